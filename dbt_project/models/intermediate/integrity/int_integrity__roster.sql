-- The roster as last sent.
select
    roster.member_iso2,
    roster.office_code,
    roster.duty_date,
    roster.shift_code,
    roster.inspector_id,
    roster.team_code,
    roster.shift_from_at,
    roster.shift_to_at
from (
    select
        landed.*,
        extracts.extract_sequence
    from {{ ref('stg_landing__inspector_roster') }} as landed
    inner join {{ ref('stg_landing__extracts') }} as extracts
        on
            landed.member_iso2 = extracts.member_iso2
            and landed.extract_id = extracts.extract_id
            and extracts.dataset_name = 'inspector_roster'
            and extracts.is_accepted
) as roster
qualify row_number() over (
    partition by
        roster.member_iso2, roster.office_code, roster.duty_date, roster.shift_code, roster.inspector_id
    order by {{ latest_sending_first() }}
) = 1
