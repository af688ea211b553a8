-- noqa: disable=RF02,LT01,LT02,LT06
-- Each month's sample beside the months before it, and the bins that hold about a tenth of those each. In a
-- build in parts the months that it makes anew.
{{ config(materialized='view') }}
{% set chosen = var('feature_drift') %}

with windows as (
    select
        member_iso2,
        date_trunc('month', from_date) as from_month
    from {{ ref('int_rebuild_windows') }}
),

samples as (
    select
        found.*,
        windows.from_month,
        len(known_values) as known_n,
        -- Values at even ranks stand for the month in the reference: every month weighs the same.
        list_transform(
            range(least(known_n, {{ chosen['reference_items'] }})),
            lambda place: known_values[
                1 + cast(
                    floor((place + 0.5) * known_n / least(known_n, {{ chosen['reference_items'] }})) as bigint
                )
            ]
        ) as month_values
    from {{ ref('int_feature_samples') }} as found
    inner join windows on found.member_iso2 = windows.member_iso2
    where found.month >= windows.from_month - to_months({{ chosen['reference_months'] }})
),

with_months_before as (
    select
        *,
        list_sort(flatten(list(month_values) over months_before)) as reference_values,
        sum(items_n) over months_before as reference_items_n,
        sum(known_n) over months_before as reference_known_n
    from samples
    window months_before as (
        partition by member_iso2, feature
        order by month
        range between interval '{{ chosen['reference_months'] }} months' preceding
        and interval '1 month' preceding
    )
),

-- For each tenth of the reference the run of equal values that it falls into: ranks before and at its end.
tenths as (
    select
        *,
        len(reference_values) as n,
        list_transform(
            range(1, 10), lambda tenth: reference_values[greatest((tenth * n + 5) // 10, 1)]
        ) as tenth_values,
        list_transform(
            tenth_values, lambda tenth_value: list_position(reference_values, tenth_value) - 1
        ) as ranks_before,
        list_reverse(reference_values) as falling,
        list_transform(
            tenth_values, lambda tenth_value: n + 1 - list_position(falling, tenth_value)
        ) as ranks_at_end
    from with_months_before
),

-- A bin ends where values differ: at the end of a run that lies nearest to a tenth, or at every one where
-- there are few different values.
cut as (
    select
        * exclude (tenth_values, falling, ranks_before, ranks_at_end, month_values),
        case
            when len(list_distinct(reference_values)) <= 10
                then list_filter(
                    range(1, n), lambda place: reference_values[place] < reference_values[place + 1]
                )
            else list_sort(list_distinct(list_filter(
                list_transform(
                    range(1, 10),
                    lambda tenth: case
                        when
                            ranks_at_end[tenth] < n
                            and (
                                ranks_before[tenth] = 0
                                or abs(10 * ranks_at_end[tenth] - tenth * n)
                                < abs(10 * ranks_before[tenth] - tenth * n)
                            )
                            then ranks_at_end[tenth]
                        else ranks_before[tenth]
                    end
                ),
                lambda place: place > 0 and place < n
            )))
        end as places,
        list_transform(
            places, lambda place: (reference_values[place] + reference_values[place + 1]) / 2
        ) as edges
    from tenths
)

select * exclude (from_month)
from cut
where month >= from_month
