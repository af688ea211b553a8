-- noqa: disable=LT02
-- What earlier items of the same goods weigh, cost and pay, by the references of the item's month.
{{ config(materialized='view') }}
{% set references = {
    'unit_price': ['usd_per_unit', 'hs6', 'hs6_unit_key'],
    'unit_mass': ['kg_per_unit', 'hs6', 'hs6_unit_key'],
    'packing': ['gross_to_net', 'heading', 'heading_key'],
    'hs6_rate': ['tax_rate_pct', 'hs6', 'hs6_key'],
    'heading_rate': ['tax_rate_pct', 'heading', 'heading_key']
} %}

select
    items.item_index,
    items.member_iso2,
    items.registered_date
    {%- for name in references %},
    {{ name }}.median as {{ name }}_median,
    {{ name }}.median_absolute_deviation as {{ name }}_spread,
    {{ name }}.first_percentile as {{ name }}_first_percentile,
    {{ name }}.last_percentile as {{ name }}_last_percentile
    {%- endfor %}
from {{ ref('int_declaration_items__valued') }} as items
{%- for name, (measure, level, key) in references.items() %}
left join {{ ref('int_reference_distributions') }} as {{ name }}
    on
        {{ name }}.measure = '{{ measure }}'
        and {{ name }}.reference_level = '{{ level }}'
        and {{ in_period(name, 'reference_month', days_before=31) }}
        and items.{{ key }} = {{ name }}.reference_key
        and date_trunc('month', items.registered_date) = {{ name }}.reference_month
{%- endfor %}
where {{ in_period('items') }}
