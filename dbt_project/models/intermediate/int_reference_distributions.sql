-- noqa: disable=LT02,LT05,LT09
-- What items of the twelve months before a month weigh, cost and pay, leaving out what was known to be
-- irregular or cancelled when the month began: a value that was refused is no reference. Measured on a grid, so
-- that nothing depends on the order of items: 1/32 of a natural logarithm (3.1 % of a price), 1/32 of a
-- percentage point of a rate.
{{ config(
    materialized='in_parts',
    parts='reference_months',
    beside_others=true,
    keeps_rows=true,
    pre_hook="{{ delete_from_rebuilt_days('reference_month') }}"
) }}
{% set measures = {
    'usd_per_kg': 'ln_unit_value_usd_per_kg',
    'usd_per_unit': 'ln_unit_value_usd_per_supplementary_unit',
    'kg_per_unit': 'ln_kg_per_supplementary_unit',
    'gross_to_net': 'ln_gross_to_net',
    'tax_rate_pct': 'cast(tax_rate_pct as double)'
} %}
{# Per key of goods: the level's name, and which figures of which measure features use. #}
{% set price = {'usd_per_kg': ['median', 'spread']} %}
{% set levels = {
    'hs6_origin_key': ('hs6_origin', price),
    'hs6_key': ('hs6', dict(price, tax_rate_pct=['median'])),
    'hs6_unit_key': ('hs6', {'usd_per_unit': ['median', 'spread'], 'kg_per_unit': ['median', 'spread']}),
    'heading_key': ('heading', dict(
        price, gross_to_net=['median', 'spread', 'percentiles'], tax_rate_pct=['percentiles']
    )),
    'chapter_key': ('chapter', price),
    'member_key': ('member', price)
} %}
{# A point is four points of the grid: half of two medians' distance is a whole number then, and whole numbers
   are compared in half the time that floating ones take. #}
{% set points = {
    'median': 'median({}) / 128.0',
    'spread': 'mad({}) / 128.0',
    'percentiles': 'quantile_disc({}, [0.01, 0.99])'
} %}

with months as (
    select
        member_iso2,
        cast(unnest(generate_series(
            greatest(from_month, coalesce(getvariable('reference_from'), from_month)),
            least(until_month, coalesce(getvariable('reference_until'), until_month)) - interval 1 month,
            interval 1 month
        )) as date) as reference_month
    from {{ ref('int_rebuild_months') }}
),

months_before as (
    select
        member_iso2,
        reference_month,
        cast(unnest(generate_series(
            reference_month - to_months({{ var('reference_months') }}), reference_month - interval 1 month,
            interval 1 month
        )) as date) as registered_month
    from months
),

items as materialized (
    select
        items.member_iso2,
        months_before.reference_month
        {%- for key in levels %},
        items.{{ key }}
        {%- endfor %}
        {%- for measure, expression in measures.items() %},
        cast(4 * cast(round({{ expression }} * 32) as integer) as decimal(9, 0)) as {{ measure }}
        {%- endfor %}
    from {{ ref('int_declaration_items__valued') }} as items
    inner join months_before
        on
            items.member_iso2 = months_before.member_iso2
            and date_trunc('month', items.registered_date) = months_before.registered_month
    where
        items.registered_date
        >= coalesce(getvariable('reference_from'), date '0002-01-01') - to_months({{ var('reference_months') }})
        and items.registered_date < coalesce(getvariable('reference_until'), date '9999-12-31')
        and not coalesce(
            items.is_irregular and items.label_visible_after_date < months_before.reference_month, false
        )
        and coalesce(items.cancelled_visible_after_date >= months_before.reference_month, true)
),

-- Most goods with an origin have too few items for a reference: those are counted, and no more.
with_origin as (
    select
        reference_month,
        hs6_origin_key
    from items
    where usd_per_kg is not null and hs6_origin_key is not null
    group by reference_month, hs6_origin_key
    having count(*) >= {{ var('reference_min_items') }}
)

{%- for key, (level, figures) in levels.items() %},

by_{{ key }} as materialized (
    select
        items.reference_month,
        items.{{ key }} as reference_key,
        any_value(items.member_iso2) as member_iso2
        {%- for measure, names in figures.items() %},
        cast(count(items.{{ measure }}) as integer) as {{ measure }}_items_n
        {%- for name in names %},
        {{ points[name].format('items.' ~ measure) }} as {{ measure }}_{{ name }}
        {%- endfor %}
        {%- endfor %}
    from items
    {%- if key == 'hs6_origin_key' %}
    semi join with_origin
        on
            items.hs6_origin_key = with_origin.hs6_origin_key
            and items.reference_month = with_origin.reference_month
    {%- endif %}
    where items.{{ key }} is not null and coalesce(
        {%- for measure in figures %}items.{{ measure }}{{ ', ' if not loop.last }}{% endfor %}) is not null
    group by items.reference_month, items.{{ key }}
)
{%- endfor %}
{%- for key, (level, figures) in levels.items() %}
{%- set outer = loop %}
{%- for measure, names in figures.items() %}
{%- if not (loop.first and outer.first) %}

union all
{%- endif %}

select
    '{{ measure }}' as measure,
    '{{ level }}' as reference_level,
    member_iso2,
    reference_key,
    reference_month,
    {{ measure }}_items_n as items_n,
    {{ measure ~ '_median' if 'median' in names else 'cast(null as double)' }} as median,
    {{ measure ~ '_spread' if 'spread' in names else 'cast(null as double)' }} as median_absolute_deviation,
    {%- for name in ['first_percentile', 'last_percentile'] %}
    {{ measure ~ '_percentiles[' ~ loop.index ~ '] / 128.0' if 'percentiles' in names else 'cast(null as double)' }}
        as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
from by_{{ key }}
where {{ measure }}_items_n >= {{ var('reference_min_items') }}
{%- endfor %}
{%- endfor %}
