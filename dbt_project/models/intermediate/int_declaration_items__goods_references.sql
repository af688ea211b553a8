-- noqa: disable=LT02
-- What earlier items of the same goods weigh, cost and pay, by the references of the item's month.
{{ config(materialized='view') }}
{% set median_and_spread = {'median': 'median', 'spread': 'median_absolute_deviation'} %}
{% set references = {
    'unit_price': ('usd_per_unit', 'hs6', 'hs6_unit_key', median_and_spread),
    'unit_mass': ('kg_per_unit', 'hs6', 'hs6_unit_key', median_and_spread),
    'packing': ('gross_to_net', 'heading', 'heading_key', dict(
        median_and_spread, first_percentile='first_percentile', last_percentile='last_percentile'
    )),
    'hs6_rate': ('tax_rate_pct', 'hs6', 'hs6_key', {'median': 'median'}),
    'heading_rate': ('tax_rate_pct', 'heading', 'heading_key', {'last_percentile': 'last_percentile'})
} %}

select
    items.item_index,
    items.member_iso2,
    items.registered_date
    {%- for name, (measure, level, key, figures) in references.items() %}
    {%- for figure, column in figures.items() %},
    {{ name }}.{{ column }} as {{ name }}_{{ figure }}
    {%- endfor %}
    {%- endfor %}
from {{ ref('int_declaration_items__valued') }} as items
{%- for name, (measure, level, key, figures) in references.items() %}
left join {{ ref('int_reference_distributions') }} as {{ name }}
    on
        {{ name }}.measure = '{{ measure }}'
        and {{ name }}.reference_level = '{{ level }}'
        and {{ in_period(name, 'reference_month', days_before=31) }}
        and items.{{ key }} = {{ name }}.reference_key
        and date_trunc('month', items.registered_date) = {{ name }}.reference_month
{%- endfor %}
where {{ in_period('items') }}
