-- noqa: disable=LT02
-- depends_on: {{ ref('int_rebuild_windows') }}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_from_rebuilt_days('reference_month') }}"
) }}
{% set levels = {
    'usd_per_kg': {
        'hs6_origin': ['hs6', 'origin_iso2'],
        'hs6': ['hs6'],
        'heading': ['left(hs6, 4)'],
        'chapter': ['left(hs6, 2)'],
        'member': []
    },
    'usd_per_unit': {'hs6': ['hs6', 'supplementary_unit_code']},
    'kg_per_unit': {'hs6': ['hs6', 'supplementary_unit_code']},
    'gross_to_net': {'heading': ['left(hs6, 4)']},
    'tax_rate_pct': {'hs6': ['hs6'], 'heading': ['left(hs6, 4)']}
} %}

with by_month as (
    select
        counts.* exclude (from_month, until_month, items_n),
        cast(reference.month as date) as reference_month,
        sum(counts.items_n) as items_n
    from {{ ref('int_measure_counts') }} as counts
    inner join {{ ref('int_rebuild_months') }} as months on counts.member_iso2 = months.member_iso2
    cross join lateral (
        select unnest(generate_series(
            greatest(counts.from_month, months.from_month),
            least(counts.until_month, months.until_month) - interval 1 month,
            interval 1 month
        )) as month
    ) as reference
    group by all
),

by_level as (
    {%- for measure, keys in levels.items() %}
    {%- set outer = loop %}
    {%- for level, columns in keys.items() %}
    {%- if not (outer.first and loop.first) %}
    union all
    {%- endif %}
    select
        '{{ measure }}' as measure,
        '{{ level }}' as reference_level,
        member_iso2,
        {{ reference_key(columns) }} as reference_key,
        reference_month,
        grid_value,
        sum(items_n) as items_n
    from by_month
    where measure = '{{ measure }}'
    group by all
    {%- endfor %}
    {%- endfor %}
),

cumulated as (
    select
        *,
        sum(items_n) over (
            partition by measure, reference_level, reference_key, reference_month
            order by grid_value
            rows unbounded preceding
        ) as up_to_n,
        sum(items_n) over (partition by measure, reference_level, reference_key, reference_month) as total_n
    from by_level
    where reference_key is not null
),

-- Twice the median: of an even number of items it lies between two points of the grid.
centred as (
    select
        *,
        min(case when 2 * up_to_n >= total_n then grid_value end) over reference
        + min(case when 2 * up_to_n > total_n then grid_value end) over reference as twice_median
    from cumulated
    window reference as (partition by measure, reference_level, reference_key, reference_month)
),

deviating as (
    select
        *,
        abs(2 * grid_value - twice_median) as twice_deviation,
        sum(items_n) over (
            partition by measure, reference_level, reference_key, reference_month
            order by abs(2 * grid_value - twice_median)
            range unbounded preceding
        ) as within_n
    from centred
)

select
    measure,
    reference_level,
    member_iso2,
    reference_key,
    reference_month,
    cast(any_value(total_n) as integer) as items_n,
    any_value(twice_median) / 64.0 as median,
    (
        min(case when 2 * within_n >= total_n then twice_deviation end)
        + min(case when 2 * within_n > total_n then twice_deviation end)
    ) / 128.0 as median_absolute_deviation,
    min(case when 100 * up_to_n >= total_n then grid_value end) / 32.0 as first_percentile,
    min(case when 100 * up_to_n >= 99 * total_n then grid_value end) / 32.0 as last_percentile
from deviating
group by measure, reference_level, member_iso2, reference_key, reference_month
