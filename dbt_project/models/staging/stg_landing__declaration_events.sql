select
    -- keys
    member_iso2,
    declaration_id,
    item_no,
    event_code,
    event_at,
    event_no,

    -- values
    office_code,
    queue_code,
    shift_code,
    inspector_id,
    inspector_initial_id,
    supervisor_id,
    changed_field,
    from_value,
    to_value,
    reason_code,
    sequence_no,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'declaration_events') }}
