-- The stratum of each assignment: within it the draw is even, so within it files are compared. It is the
-- office, the queue and the shift whose hours hold the instant of assignment; a file that was assigned when
-- no shift was on has no stratum and is left out. Where the roster has no teams the queue plays no part.
with shifts as (
    select
        member_iso2,
        office_code,
        coalesce(team_code, '') as team_code,
        duty_date,
        shift_code,
        min(shift_from_at) as shift_from_at,
        max(shift_to_at) as shift_to_at,
        count(distinct inspector_id) as inspectors_on_duty_n
    from {{ ref('int_integrity__roster') }}
    where shift_from_at is not null and shift_to_at > shift_from_at
    group by all
),

teams as (
    select distinct
        member_iso2,
        office_code,
        team_code
    from shifts
),

assigned as (
    select
        declarations.member_iso2,
        declarations.declaration_id,
        declarations.office_code,
        declarations.assigned_at,
        declarations.declarant_id,
        declarations.importer_id,
        declarations.inspector_initial_id,
        declarations.inspector_final_id,
        declarations.chapter_code,
        declarations.declared_tax_usd,
        coalesce(teams.team_code, '') as queue_code
    from {{ ref('int_integrity__declarations') }} as declarations
    left join teams
        on
            declarations.member_iso2 = teams.member_iso2
            and declarations.office_code = teams.office_code
            and declarations.queue_code = teams.team_code
    where declarations.assigned_at is not null and declarations.inspector_initial_id is not null
)

select
    assigned.*,
    shifts.duty_date,
    shifts.shift_code,
    shifts.inspectors_on_duty_n,
    cast(date_trunc('month', shifts.duty_date) as date) as month,
    hash(assigned.member_iso2, assigned.office_code, assigned.queue_code, shifts.duty_date, shifts.shift_code)
        as stratum_key
from assigned
asof inner join shifts
    on
        assigned.member_iso2 = shifts.member_iso2
        and assigned.office_code = shifts.office_code
        and assigned.queue_code = shifts.team_code
        and assigned.assigned_at >= shifts.shift_from_at
where assigned.assigned_at < shifts.shift_to_at
