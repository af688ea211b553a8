-- noqa: disable=LT02
-- What items are compared by, counted on a grid so that counts add up and nothing depends on their order:
-- 1/32 of a natural logarithm (3.1 % of a price), 1/32 of a percentage point of a rate.
-- An item counts in the references of the months after its own, for a year, and no longer than until the
-- month after it was found irregular: a value that was refused is no reference. Only what months to
-- be built need.
{% set measures = {
    'usd_per_kg': {'value': 'ln_unit_value_usd_per_kg', 'by': ['origin_iso2']},
    'usd_per_unit': {'value': 'ln_unit_value_usd_per_supplementary_unit', 'by': ['supplementary_unit_code']},
    'kg_per_unit': {'value': 'ln_kg_per_supplementary_unit', 'by': ['supplementary_unit_code']},
    'gross_to_net': {'value': 'ln_gross_to_net', 'by': []},
    'tax_rate_pct': {'value': 'tax_rate_pct', 'by': []}
} %}

with measured as (
    select
        items.member_iso2,
        items.hs6,
        items.origin_iso2,
        items.supplementary_unit_code,
        date_trunc('month', items.registered_date) + interval 1 month as from_month,
        least(
            date_trunc('month', items.registered_date) + to_months({{ var('reference_months') + 1 }}),
            case
                when items.is_irregular
                    then date_trunc('month', items.label_visible_after_date) + interval 1 month
            end
        ) as until_month,
        valued.ln_unit_value_usd_per_kg,
        valued.ln_unit_value_usd_per_supplementary_unit,
        valued.ln_kg_per_supplementary_unit,
        valued.ln_gross_to_net,
        cast(items.tax_rate_pct as double) as tax_rate_pct
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_declaration_items__valued') }} as valued on items.item_index = valued.item_index
    inner join {{ ref('int_rebuild_months') }} as months on items.member_iso2 = months.member_iso2
    where
        items.registered_date >= months.from_month - to_months({{ var('reference_months') }})
        and items.registered_date < months.until_month - interval 1 month
)
{% for measure, how in measures.items() %}
{%- if not loop.first %}

union all
{% endif %}
select
    '{{ measure }}' as measure,
    member_iso2,
    hs6,
    {%- for column in ['origin_iso2', 'supplementary_unit_code'] %}
    {{ column if column in how['by'] else 'cast(null as varchar) as ' ~ column }},
    {%- endfor %}
    from_month,
    until_month,
    cast(round({{ how['value'] }} * 32) as integer) as grid_value,
    cast(count(*) as integer) as items_n
from measured
where {{ how['value'] }} is not null and from_month < until_month
group by all
{%- endfor %}
