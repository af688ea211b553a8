-- noqa: disable=LT02
-- depends_on: {{ ref('int_rebuild_windows') }}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_from_rebuilt_days('reference_month') }}"
) }}
-- Measure, level, and what the level takes together. Whole numbers throughout: the place in this list stands
-- for measure and level until the end, because sorting by numbers is what makes this quick.
{% set levels = [
    ('usd_per_kg', 'hs6_origin', ['hs6', 'origin_iso2']),
    ('usd_per_kg', 'hs6', ['hs6']),
    ('usd_per_kg', 'heading', ['left(hs6, 4)']),
    ('usd_per_kg', 'chapter', ['left(hs6, 2)']),
    ('usd_per_kg', 'member', []),
    ('usd_per_unit', 'hs6', ['hs6', 'supplementary_unit_code']),
    ('kg_per_unit', 'hs6', ['hs6', 'supplementary_unit_code']),
    ('gross_to_net', 'heading', ['left(hs6, 4)']),
    ('tax_rate_pct', 'hs6', ['hs6']),
    ('tax_rate_pct', 'heading', ['left(hs6, 4)'])
] %}

-- Counted by level before months are told apart: a heading has far fewer points than its subheadings.
with by_level as (
    {%- for measure, level, columns in levels %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        {{ loop.index }} as level_no,
        member_iso2,
        {{ reference_key(columns) }} as reference_key,
        from_month,
        until_month,
        grid_value,
        sum(items_n) as items_n
    from {{ ref('int_measure_counts') }}
    where measure = '{{ measure }}'
    group by all
    {%- endfor %}
),

by_month as (
    select
        by_level.level_no,
        by_level.member_iso2,
        by_level.reference_key,
        cast(by_level.from_month + to_months(cast(later.months as integer)) as date) as reference_month,
        by_level.grid_value,
        cast(sum(by_level.items_n) as bigint) as items_n
    from by_level
    inner join {{ ref('int_rebuild_months') }} as months on by_level.member_iso2 = months.member_iso2
    cross join range({{ var('reference_months') }}) as later (months)
    where
        by_level.reference_key is not null
        and reference_month < by_level.until_month
        and reference_month >= months.from_month
        and reference_month < months.until_month
    group by all
),

cumulated as (
    select
        *,
        sum(items_n) over (
            partition by reference_key, level_no, reference_month
            order by grid_value
            rows between unbounded preceding and current row
        ) as up_to_n,
        sum(items_n) over (
            partition by reference_key, level_no, reference_month
            order by grid_value
            rows between unbounded preceding and unbounded following
        ) as total_n
    from by_month
),

-- Twice the median: of an even number of items it lies between two points of the grid.
centred as (
    select
        level_no,
        member_iso2,
        reference_key,
        reference_month,
        any_value(total_n) as total_n,
        min(grid_value) filter (where 2 * up_to_n >= total_n)
        + min(grid_value) filter (where 2 * up_to_n > total_n) as twice_median,
        min(grid_value) filter (where 100 * up_to_n >= total_n) as first_percentile,
        min(grid_value) filter (where 100 * up_to_n >= 99 * total_n) as last_percentile
    from cumulated
    group by level_no, member_iso2, reference_key, reference_month
),

deviating as (
    select
        by_month.level_no,
        by_month.reference_key,
        by_month.reference_month,
        centred.total_n,
        abs(2 * by_month.grid_value - centred.twice_median) as twice_deviation,
        sum(by_month.items_n) over (
            partition by by_month.reference_key, by_month.level_no, by_month.reference_month
            order by abs(2 * by_month.grid_value - centred.twice_median)
            range unbounded preceding
        ) as within_n
    from by_month
    inner join centred
        on
            by_month.reference_key = centred.reference_key
            and by_month.level_no = centred.level_no
            and by_month.reference_month = centred.reference_month
),

spread as (
    select
        level_no,
        reference_key,
        reference_month,
        min(twice_deviation) filter (where 2 * within_n >= total_n)
        + min(twice_deviation) filter (where 2 * within_n > total_n) as four_times_spread
    from deviating
    group by level_no, reference_key, reference_month
)

select
    case centred.level_no
        {%- for measure, level, columns in levels %}
        when {{ loop.index }} then '{{ measure }}'
        {%- endfor %}
    end as measure,
    case centred.level_no
        {%- for measure, level, columns in levels %}
        when {{ loop.index }} then '{{ level }}'
        {%- endfor %}
    end as reference_level,
    centred.member_iso2,
    centred.reference_key,
    centred.reference_month,
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
        and centred.reference_month = spread.reference_month
