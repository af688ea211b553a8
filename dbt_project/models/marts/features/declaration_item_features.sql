{% set smoothing = var('profile_smoothing') %}

with joined as (
    select
        items.*,
        valued.* exclude (item_index),
        profiles.* exclude (item_index),
        prices.* exclude (item_index),
        profiles.member_irregular_n / nullif(profiles.member_labelled_n, 0) as member_rate
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_declaration_items__valued') }} as valued using (item_index)
    inner join {{ ref('int_declaration_items__profiles') }} as profiles using (item_index)
    left join {{ ref('int_declaration_items__reference_prices') }} as prices using (item_index)
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
    cast(net_kg = 0 as integer) as value__is_net_kg_zero,
    cast(declared_value = 0 as integer) as value__is_value_zero,
    cast(net_kg as double) / nullif(cast(gross_kg as double), 0) as value__net_to_gross_ratio,

    -- price
    ln_unit_value - reference_ln_unit_value as price__ln_ratio_to_reference,
    cast(reference_n as integer) as price__reference_n,
    -- 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    (ln_unit_value - reference_ln_unit_value)
    / greatest(1.4826 * reference_spread, {{ var('reference_price_min_spread') }}) as price__robust_z,
    cast(reference_level as integer) as price__reference_level,

    -- tax
    cast(tax_rate_pct as double) as tax__rate_pct,
    case
        when tax_currency_code is null then declared_tax / nullif(cast(declared_value as double), 0)
        when declared_tax is not null then declared_tax_usd / nullif(declared_value_usd, 0)
    end as tax__ratio_to_value,

    -- profile
    {%- for entity in var('entities') %}
    {%- set weight = smoothing.get(entity, smoothing['default']) %}
    ({{ entity }}_irregular_n + {{ weight }} * member_rate)
    / ({{ entity }}_labelled_n + {{ weight }}) as profile__{{ entity }}_rate,
    {{ entity }}_labelled_n as profile__{{ entity }}_labelled_n,
    {{ entity }}_items_n as profile__{{ entity }}_items_n,
    {%- endfor %}

    -- novelty
    {%- for entity in ['importer', 'importer_heading', 'importer_declarant', 'product_line'] %}
    cast({{ entity }}_days_since_first_seen as integer) as novelty__{{ entity }}_days_since_first_seen,
    cast({{ entity }}_days_since_last_seen as integer) as novelty__{{ entity }}_days_since_last_seen,
    {%- endfor %}
    cast(product_line_items_n = 0 as integer) as novelty__is_product_line_new,

    -- route
    cast(dispatch_iso2 != origin_iso2 as integer) as route__is_dispatch_other_than_origin,
    origin_dispatch_items_n / nullif(origin_items_n, 0) as route__dispatch_share_of_origin,

    -- calendar
    cast(month(registered_date) as integer) as calendar__month,
    cast(isodow(registered_date) as integer) as calendar__weekday,
    cast(day(registered_date) as integer) as calendar__day_of_month
from joined
