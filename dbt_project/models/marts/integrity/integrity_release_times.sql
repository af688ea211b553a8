-- noqa: disable=LT02
-- B3. A file is fast where it was released sooner after its assignment than four of five files of its
-- stratum, slow where later: office, queue, shift, lane and month of assignment. What is not released counts
-- as later than whatever is, so nothing is lost by waiting; files are compared a month after they were
-- assigned.
with files as (
    select
        assignments.member_iso2,
        cast(assignments.month + to_months(1) as date) as month,
        assignments.office_code,
        assignments.declarant_id,
        declarations.inspector_final_id as inspector_id,
        hash(
            assignments.member_iso2, assignments.month, assignments.office_code, assignments.queue_code,
            assignments.shift_code, declarations.lane_final_code,
            coalesce(declarations.is_authorised_operator, false)
        ) as stratum_key,
        cume_dist() over (
            partition by stratum_key
            order by
                coalesce(epoch(declarations.released_at - declarations.assigned_at), 1e12)
        ) as place,
        1 - cume_dist() over (
            partition by stratum_key
            order by
                coalesce(epoch(declarations.released_at - declarations.assigned_at), 1e12) desc
        ) as place_from_behind
    from {{ ref('int_integrity__assignments') }} as assignments
    inner join {{ ref('int_integrity__declarations') }} as declarations
        on
            assignments.member_iso2 = declarations.member_iso2
            and assignments.declaration_id = declarations.declaration_id
    where
        declarations.inspector_final_id is not null
        and declarations.cancelled_at is null
        and declarations.lane_final_code in ('RED', 'YELLOW')
        and (declarations.released_at is null or declarations.released_at >= declarations.assigned_at)
),
{% for outcome, is_marked in {'fast': 'place <= 0.2', 'slow': 'place_from_behind >= 0.8'}.items() %}
{{ outcome }}_files as (
    select
        *,
        {{ is_marked }} as is_marked
    from files
),

{{ outcome }} as (
{{ counts_within_strata(outcome ~ '_files', with_pairs=true) }}
){{ "," if not loop.last }}
{% endfor %}

select
    *,
    'fast' as outcome
from fast
union all
select
    *,
    'slow' as outcome
from slow
