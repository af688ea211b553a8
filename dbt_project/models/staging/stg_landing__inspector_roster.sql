select
    -- keys
    member_iso2,
    office_code,
    duty_date,
    shift_code,
    inspector_id,

    -- values
    team_code,
    shift_from_at,
    shift_to_at,
    sequence_no,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'inspector_roster') }}
