-- noqa: disable=RF02,LT01,LT02,LT06
-- How far each month's features lie from those of the months before. The population stability index is
-- sum((a - e) ln(a / e)) over bins that hold about a tenth of the reference each, and one for null: the same
-- arithmetic as `ml/drift.py`, which a test compares.
{{ config(post_hook="{{ export_to_parquet() }}") }}
{% set chosen = var('feature_drift') %}
{# A bin that is empty on one side would make the index infinite; half an item in a thousand does not. #}
{% set empty_share = 0.0005 %}

with samples as (
    select
        *,
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
    from {{ ref('int_feature_samples') }}
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
),

valued as (
    select
        member_iso2,
        month,
        feature,
        edges,
        unnest(known_values) as known_value
    from cut
),

counted as (
    select
        member_iso2,
        month,
        feature,
        histogram(
            {%- for tenth in range(1, 10) %}
            cast(coalesce(edges[{{ tenth }}] <= known_value, false) as integer){{ ' +' if not loop.last }}
            {%- endfor %}
        ) as items_by_bin
    from valued
    group by all
),

-- Shares of the bins, then of null, none of them empty.
shares as (
    select
        cut.*,
        list_transform(
            list_append(
                list_transform(
                    range(len(places) + 1),
                    lambda bin: (coalesce(places[bin + 1], n) - coalesce(places[bin], 0)) / nullif(n, 0)
                    * reference_known_n / reference_items_n
                ),
                1 - reference_known_n / reference_items_n
            ),
            lambda share: greatest(coalesce(share, 0), {{ empty_share }})
        ) as expected,
        list_transform(
            list_append(
                list_transform(
                    range(len(places) + 1),
                    lambda bin: coalesce(items_by_bin[cast(bin as integer)], 0) / items_n
                ),
                1 - known_n / items_n
            ),
            lambda share: greatest(share, {{ empty_share }})
        ) as actual
    from cut
    left join counted
        on
            cut.member_iso2 = counted.member_iso2
            and cut.month = counted.month
            and cut.feature = counted.feature
),

compared as (
    select
        *,
        list_sum(list_transform(
            range(1, len(expected) + 1),
            lambda bin: (actual[bin] / list_sum(actual) - expected[bin] / list_sum(expected))
            * ln((actual[bin] / list_sum(actual)) / (expected[bin] / list_sum(expected)))
        )) as index_found,
        (len(places) + cast(known_n < items_n or reference_known_n < reference_items_n as integer))
        * (1 / items_n + 1 / nullif(n, 0)) as index_by_chance,
        coalesce(
            items_n >= {{ chosen['minimum_items'] }} and reference_items_n >= {{ chosen['minimum_items'] }},
            false
        ) as is_judged
    from shares
)

select
    member_iso2,
    month,
    feature,
    cast(items_n as integer) as items_n,
    (items_n - known_n) / items_n as null_share,
    list_avg(known_values) as mean,
    list_aggregate(known_values, 'quantile_cont', 0.1) as first_decile,
    list_aggregate(known_values, 'quantile_cont', 0.5) as median,
    list_aggregate(known_values, 'quantile_cont', 0.9) as last_decile,
    cast(coalesce(reference_items_n, 0) as integer) as reference_items_n,
    (reference_items_n - reference_known_n) / reference_items_n as reference_null_share,
    list_aggregate(reference_values, 'quantile_cont', 0.5) as reference_median,
    case when is_judged then round(index_found, 6) end as psi,
    case when is_judged then round(coalesce(index_by_chance, 0), 6) end as psi_by_chance,
    not (
        {%- for pattern in chosen['moves_by_itself'] %}
        {{ 'or ' if not loop.first }}feature glob '{{ pattern }}'
        {%- endfor %}
    ) as is_watched,
    is_judged
    and month = max(case when is_judged then month end) over (partition by member_iso2) as is_latest,
    case
        when not is_judged then 'too few items'
        when psi - psi_by_chance > {{ chosen['large_psi'] }} then 'large shift'
        when psi - psi_by_chance > {{ chosen['moderate_psi'] }} then 'moderate shift'
        else 'stable'
    end as verdict
from compared
