-- noqa: disable=LT01,LT02,LT06
{{ config(post_hook="{{ export_to_parquet() }}") }}
{% set chosen = var('feature_drift') %}

with judged as (
    select
        *,
        items_n >= {{ chosen['minimum_items'] }} and reference_items_n >= {{ chosen['minimum_items'] }}
            as is_judged
    from {{ ref('int_feature_drift') }}
)

select
    member_iso2,
    month,
    feature,
    cast(items_n as integer) as items_n,
    null_share,
    mean,
    first_decile,
    median,
    last_decile,
    cast(reference_items_n as integer) as reference_items_n,
    reference_null_share,
    reference_mean,
    reference_first_decile,
    reference_median,
    reference_last_decile,
    case when is_judged then psi end as psi,
    case when is_judged then psi_by_chance end as psi_by_chance,
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
from judged
