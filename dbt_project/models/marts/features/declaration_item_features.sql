-- noqa: disable=LT02,RF02
-- depends_on: {{ ref('int_declaration_items__changes') }}, {{ ref('int_rebuild_windows') }}
{{ config(materialized='parquet_by_month', rebuilds='days', sampled=true) }}
{% set smoothing = var('profile_smoothing') %}
{% set parts = {
    'profiles': 'profiles', 'prices': 'reference_prices', 'goods': 'goods_references',
    'rates': 'statutory_rates', 'splitting': 'splitting'
} %}

with joined as (
    select
        items.*,
        profiles.* exclude (item_index, member_iso2, registered_date),
        prices.* exclude (item_index, member_iso2, registered_date),
        goods.* exclude (item_index, member_iso2, registered_date),
        rates.* exclude (item_index, member_iso2, registered_date),
        splitting.* exclude (item_index, member_iso2, registered_date)
    from {{ ref('int_declaration_items__valued') }} as items
    {%- for alias, name in parts.items() %}
    left join {{ ref('int_declaration_items__' ~ name) }} as {{ alias }}
        on items.item_index = {{ alias }}.item_index and {{ in_period(alias) }}
    {%- endfor %}
    where {{ in_period('items') }}
)

select
    -- keys and context: not features
    member_iso2,
    declaration_id,
    item_no,
    office_code,
    registered_at,
    registered_date,
    hs6,
    origin_iso2,
    declared_value_usd,
    declared_tax_usd,

    -- value
    case when declared_value_usd > 0 then ln(declared_value_usd) end as value__ln_value_usd,
    case when net_kg > 0 then ln(cast(net_kg as double)) end as value__ln_net_kg,
    ln_unit_value_usd_per_kg as value__ln_unit_value_usd_per_kg,
    ln_unit_value_usd_per_supplementary_unit as value__ln_unit_value_usd_per_supplementary_unit,
    cast(net_kg = 0 as integer) as value__is_net_kg_zero,
    cast(declared_value = 0 as integer) as value__is_value_zero,
    cast(declared_value > 0 and declared_value % 100 = 0 as integer) as value__is_value_round,
    cast(net_kg as double) / nullif(cast(gross_kg as double), 0) as value__net_to_gross_ratio,

    -- price. 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    ln_unit_value_usd_per_kg - reference_ln_unit_value as price__ln_ratio_to_reference,
    cast(case when ln_unit_value_usd_per_kg is not null then reference_n end as integer)
        as price__reference_n,
    {{ robust_z('ln_unit_value_usd_per_kg', 'reference_ln_unit_value', 'reference_spread') }}
        as price__robust_z,
    cast(case when ln_unit_value_usd_per_kg is not null then reference_level end as integer)
        as price__reference_level,
    ln_unit_value_usd_per_supplementary_unit - unit_price_median
        as price__supplementary_ln_ratio_to_reference,
    {{ robust_z('ln_unit_value_usd_per_supplementary_unit', 'unit_price_median', 'unit_price_spread') }}
        as price__supplementary_robust_z,

    -- weight
    ln_gross_to_net - packing_median as weight__ln_gross_to_net_difference,
    {{ robust_z('ln_gross_to_net', 'packing_median', 'packing_spread') }} as weight__gross_to_net_robust_z,
    cast(ln_gross_to_net not between packing_first_percentile and packing_last_percentile as integer)
        as weight__is_gross_to_net_unusual,
    ln_kg_per_supplementary_unit - unit_mass_median as weight__kg_per_unit_ln_ratio_to_reference,
    {{ robust_z('ln_kg_per_supplementary_unit', 'unit_mass_median', 'unit_mass_spread') }}
        as weight__kg_per_unit_robust_z,
    cast(net_kg > 0 and net_kg = floor(net_kg) as integer) as weight__is_net_kg_whole,

    -- tax
    cast(tax_rate_pct as double) as tax__rate_pct,
    {{ tax_ratio('declared_tax', 'declared_value') }} as tax__ratio_to_value,
    cast(is_duty_suspended as integer) as tax__is_duty_suspended,
    case when is_duty_suspended is not true then cast(statutory_rate_pct as double) end
        as tax__statutory_rate_pct,
    case when is_duty_suspended is not true then cast(statutory_rate_pct - tax_rate_pct as double) end
        as tax__statutory_gap_pct,
    case when is_duty_suspended is not true then cast(general_rate_pct - tax_rate_pct as double) end
        as tax__general_rate_gap_pct,
    cast(days_since_rate_change as integer) as tax__days_since_rate_change,
    case when is_duty_suspended is not true then hs6_rate_median - cast(tax_rate_pct as double) end
        as tax__gap_to_usual_rate_pct,
    {{ tax_ratio('declared_tax', 'declared_value') }} / nullif(cast(tax_rate_pct as double) / 100, 0)
        as tax__declared_to_computed_ratio,

    -- switch to a cheaper neighbour within the heading
    heading_rate_last_percentile - cast(tax_rate_pct as double) as switch__gap_to_highest_rate_in_heading_pct,
    importer_heading_mean_tax_rate_pct - cast(tax_rate_pct as double) as switch__gap_to_own_mean_rate_pct,
    importer_hs6_items_n / nullif(importer_heading_items_n, 0) as switch__hs6_share_of_own_heading,
    cast(importer_heading_items_n > 0 and importer_hs6_items_n = 0 as integer)
        as switch__is_hs6_new_in_own_heading,
    cast(
        importer_heading_items_n > 0 and importer_hs6_items_n = 0
        and cast(tax_rate_pct as double) < importer_heading_mean_tax_rate_pct as integer
    ) as switch__is_to_lower_rate,

    -- profile
    {%- for entity in var('entities') %}
    {%- set weight = smoothing.get(entity, smoothing['default']) %}
    ({{ entity }}_irregular_n + {{ weight }} * member_rate)
    / ({{ entity }}_labelled_n + {{ weight }}) as profile__{{ entity }}_rate,
    {{ entity }}_labelled_n as profile__{{ entity }}_labelled_n,
    {{ entity }}_items_n as profile__{{ entity }}_items_n,
    {%- if entity in var('decayed_entities') %}
    ({{ entity }}_recent_irregular_n + {{ weight }} * member_rate)
    / ({{ entity }}_recent_labelled_n + {{ weight }}) as profile__{{ entity }}_recent_rate,
    {{ entity }}_recent_items_n as profile__{{ entity }}_recent_items_n,
    {%- endif %}
    {%- endfor %}

    -- novelty
    {%- for entity in var('dated_entities') %}
    cast({{ entity }}_days_since_first_seen as integer) as novelty__{{ entity }}_days_since_first_seen,
    cast({{ entity }}_days_since_last_seen as integer) as novelty__{{ entity }}_days_since_last_seen,
    {%- endfor %}
    cast(product_line_items_n = 0 as integer) as novelty__is_product_line_new,

    -- origin and preference
    importer_origin_items_n / nullif(importer_items_n, 0) as origin__share_of_importer,
    heading_origin_items_n / nullif(heading_items_n, 0) as origin__share_of_heading,
    cast(importer_heading_items_n > 0 and importer_origin_items_n = 0 as integer)
        as origin__is_new_for_importer,
    heading_origin_preference_items_n / nullif(heading_origin_items_n, 0)
        as origin__preference_share_of_heading_origin,

    -- route
    is_dispatch_other_than_origin as route__is_dispatch_other_than_origin,
    origin_dispatch_items_n / nullif(origin_items_n, 0) as route__dispatch_share_of_origin,
    heading_origin_dispatch_items_n / nullif(heading_origin_items_n, 0)
        as route__dispatch_share_of_heading_origin,

    -- splitting
    cast(earlier_items_n as integer) as splitting__earlier_items_n,
    earlier_value_usd as splitting__earlier_value_usd,
    cast(is_sum_above_threshold as integer) as splitting__is_sum_above_threshold,
    value_to_threshold_ratio as splitting__value_to_threshold_ratio,

    -- document
    missing_fields_n as document__missing_fields_n,
    national_code_digits_n as document__national_code_digits_n,

    -- calendar
    cast(month(registered_date) as integer) as calendar__month,
    cast(isodow(registered_date) as integer) as calendar__weekday,
    cast(day(registered_date) as integer) as calendar__day_of_month,
    cast(last_day(registered_date) - registered_date as integer) as calendar__days_to_month_end,
    cast(hour(registered_at) as integer) as calendar__hour_utc
from joined
