-- noqa: disable=LT02,LT05,LT09
-- What items of the twelve months before a month weigh, cost and pay, leaving out what was known to be
-- irregular or cancelled when the month began: a value that was refused is no reference. Counted on a grid, so
-- that nothing depends on the order of items: 1/32 of a natural logarithm (3.1 % of a price), 1/32 of a
-- percentage point of a rate.
{{ config(
    materialized='in_parts',
    parts='reference_months',
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
{# Measure; the level and its key; the level that it is counted from: its points are far fewer than items. #}
{% set levels = [
    ('usd_per_kg', 'hs6_origin', 'hs6_origin_key', none),
    ('usd_per_kg', 'hs6', 'hs6_key', none),
    ('usd_per_kg', 'heading', 'heading_key', 2),
    ('usd_per_kg', 'chapter', 'chapter_key', 3),
    ('usd_per_kg', 'member', 'member_key', 4),
    ('usd_per_unit', 'hs6', 'hs6_unit_key', none),
    ('kg_per_unit', 'hs6', 'hs6_unit_key', none),
    ('gross_to_net', 'heading', 'heading_key', none),
    ('tax_rate_pct', 'hs6', 'hs6_key', none),
    ('tax_rate_pct', 'heading', 'heading_key', 9)
] %}
{% set wider_keys = ['heading_key', 'chapter_key', 'member_key'] %}

with items as not materialized (
    select items.*
    from {{ ref('int_declaration_items__valued') }} as items
    inner join {{ ref('int_rebuild_months') }} as months
        on
            items.member_iso2 = months.member_iso2
            and {{ reference_month() }} >= months.from_month
            and {{ reference_month() }} < months.until_month
    where
        items.registered_date >= {{ reference_month() }} - to_months({{ var('reference_months') }})
        and items.registered_date < {{ reference_month() }}
        and not coalesce(
            items.is_irregular and items.label_visible_after_date < {{ reference_month() }}, false
        )
        and coalesce(items.cancelled_visible_after_date >= {{ reference_month() }}, true)
),

{% for measure, level, key, finer in levels -%}
level_{{ loop.index }} as (
    select
        {{ loop.index }} as level_no,
        any_value(member_iso2) as member_iso2,
        {{ key }} as reference_key,
        {%- for wider in wider_keys %}
        any_value({{ wider }}) as {{ wider }},
        {%- endfor %}
        {%- if finer %}
        grid_value,
        sum(items_n) as items_n
    from level_{{ finer }}
        {%- else %}
        cast(round({{ measures[measure] }} * 32) as integer) as grid_value,
        cast(count(*) as double) as items_n
    from items
    where {{ measures[measure] }} is not null and {{ key }} is not null
        {%- endif %}
    group by {{ key }}, grid_value
),

{% endfor -%}
counted_at_all as (
    {%- for level in levels %}
    select level_no, member_iso2, reference_key, grid_value, items_n from level_{{ loop.index }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- Fewer items than these make no reference, and most goods have fewer.
supported as (
    select
        level_no,
        reference_key,
        sum(items_n) as total_n
    from counted_at_all
    group by level_no, reference_key
    having sum(items_n) >= {{ var('reference_min_items') }}
),

counted as (
    select
        counted_at_all.*,
        supported.total_n
    from counted_at_all
    inner join supported
        on
            counted_at_all.reference_key = supported.reference_key
            and counted_at_all.level_no = supported.level_no
),

cumulated as (
    select
        *,
        sum(items_n) over (
            partition by reference_key, level_no
            order by grid_value
            rows between unbounded preceding and current row
        ) as up_to_n
    from counted
),

-- Twice the median: of an even number of items it lies between two points of the grid.
centred as (
    select
        level_no,
        reference_key,
        any_value(member_iso2) as member_iso2,
        any_value(total_n) as total_n,
        min(grid_value) filter (where 2 * up_to_n >= total_n)
        + min(grid_value) filter (where 2 * up_to_n > total_n) as twice_median,
        min(grid_value) filter (where 100 * up_to_n >= total_n) as first_percentile,
        min(grid_value) filter (where 100 * up_to_n >= 99 * total_n) as last_percentile
    from cumulated
    group by level_no, reference_key
),

deviating as (
    select
        counted.level_no,
        counted.reference_key,
        counted.total_n,
        abs(2 * counted.grid_value - centred.twice_median) as twice_deviation,
        sum(counted.items_n) over (
            partition by counted.reference_key, counted.level_no
            order by abs(2 * counted.grid_value - centred.twice_median)
            range unbounded preceding
        ) as within_n
    from counted
    inner join centred
        on
            counted.reference_key = centred.reference_key
            and counted.level_no = centred.level_no
),

spread as (
    select
        level_no,
        reference_key,
        min(twice_deviation) filter (where 2 * within_n >= total_n)
        + min(twice_deviation) filter (where 2 * within_n > total_n) as four_times_spread
    from deviating
    group by level_no, reference_key
)

select
    case centred.level_no
        {%- for measure, level, key, finer in levels %}
        when {{ loop.index }} then '{{ measure }}'
        {%- endfor %}
    end as measure,
    case centred.level_no
        {%- for measure, level, key, finer in levels %}
        when {{ loop.index }} then '{{ level }}'
        {%- endfor %}
    end as reference_level,
    centred.member_iso2,
    centred.reference_key,
    cast({{ reference_month() }} as date) as reference_month,
    cast(centred.total_n as integer) as items_n,
    centred.twice_median / 64.0 as median,
    spread.four_times_spread / 128.0 as median_absolute_deviation,
    centred.first_percentile / 32.0 as first_percentile,
    centred.last_percentile / 32.0 as last_percentile
from centred
inner join spread
    on
        centred.reference_key = spread.reference_key
        and centred.level_no = spread.level_no
