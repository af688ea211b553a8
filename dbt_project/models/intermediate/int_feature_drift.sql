-- noqa: disable=RF02,LT01,LT02,LT06
-- How far each month's features lie from those of the months before: sum((a - e) ln(a / e)) over bins that
-- hold about a tenth of the reference each, and one for null, the same arithmetic as `ml/drift.py`, which a
-- test compares. A build in parts replaces the months that it makes anew.
-- depends_on: {{ ref('int_rebuild_windows') }}
{{ config(
    materialized='in_parts',
    parts='once',
    keeps_rows=true,
    pre_hook="{{ delete_from_rebuilt_months('month') }}"
) }}
{# A bin that is empty on one side would make the index infinite; half an item in a thousand does not. #}
{% set empty_share = 0.0005 %}

with cut as materialized (
    select * from {{ ref('int_feature_samples__binned') }}
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
)

select
    member_iso2,
    month,
    feature,
    items_n,
    (items_n - known_n) / items_n as null_share,
    list_avg(known_values) as mean,
    list_aggregate(known_values, 'quantile_cont', 0.1) as first_decile,
    list_aggregate(known_values, 'quantile_cont', 0.5) as median,
    list_aggregate(known_values, 'quantile_cont', 0.9) as last_decile,
    coalesce(reference_items_n, 0) as reference_items_n,
    (reference_items_n - reference_known_n) / reference_items_n as reference_null_share,
    list_avg(reference_values) as reference_mean,
    list_aggregate(reference_values, 'quantile_cont', 0.1) as reference_first_decile,
    list_aggregate(reference_values, 'quantile_cont', 0.5) as reference_median,
    list_aggregate(reference_values, 'quantile_cont', 0.9) as reference_last_decile,
    round(list_sum(list_transform(
        range(1, len(expected) + 1),
        lambda bin: (actual[bin] / list_sum(actual) - expected[bin] / list_sum(expected))
        * ln((actual[bin] / list_sum(actual)) / (expected[bin] / list_sum(expected)))
    )), 6) as psi,
    round(coalesce(
        (len(places) + cast(known_n < items_n or reference_known_n < reference_items_n as integer))
        * (1 / items_n + 1 / nullif(n, 0)),
        0
    ), 6) as psi_by_chance
from shares
