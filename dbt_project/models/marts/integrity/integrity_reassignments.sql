-- A3. Of an inspector's or a broker's assigned files, how many were given to another inspector; and of the
-- files that were taken from others in shifts in which an inspector was on duty, how many came to him, where
-- each of those on duty was as likely.
with files as (
    select
        *,
        coalesce(inspector_final_id != inspector_initial_id, false) as is_reassigned
    from {{ ref('int_integrity__assignments') }}
),

on_duty as (
    select distinct
        roster.member_iso2,
        roster.office_code,
        coalesce(roster.team_code, '') as queue_code,
        roster.duty_date,
        roster.shift_code,
        roster.inspector_id
    from {{ ref('int_integrity__roster') }} as roster
),

given as (
    select
        member_iso2,
        month,
        office_code,
        'inspector, files given away' as unit_kind,
        inspector_initial_id as unit_id,
        cast(null as double) as chance,
        is_reassigned as is_counted
    from files
    union all
    select
        member_iso2,
        month,
        office_code,
        'broker' as unit_kind,
        declarant_id as unit_id,
        cast(null as double) as chance,
        is_reassigned as is_counted
    from files
    where declarant_id is not null
    union all
    select
        files.member_iso2,
        files.month,
        files.office_code,
        'inspector, files taken over' as unit_kind,
        on_duty.inspector_id as unit_id,
        1.0 / (files.inspectors_on_duty_n - 1) as chance,
        files.inspector_final_id = on_duty.inspector_id as is_counted
    from files
    inner join on_duty
        on
            files.member_iso2 = on_duty.member_iso2
            and files.office_code = on_duty.office_code
            and files.queue_code = on_duty.queue_code
            and files.duty_date = on_duty.duty_date
            and files.shift_code = on_duty.shift_code
            and files.inspector_initial_id != on_duty.inspector_id
    where files.is_reassigned and files.inspectors_on_duty_n > 2
)

select
    member_iso2,
    month,
    office_code,
    unit_kind,
    unit_id,
    coalesce(chance, -1) as chance,
    cast(count(*) as integer) as files_n,
    cast(count(*) filter (where is_counted) as integer) as reassigned_n
from given
group by all
