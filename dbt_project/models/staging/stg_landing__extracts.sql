select
    -- keys
    member_iso2,
    dataset as dataset_name,
    extract_id,

    -- arrival
    source_file,
    source_sha256,
    received_at,
    extract_sequence,
    is_accepted,

    -- counts
    rows_in,
    rows_landed,
    rows_quarantined
from {{ source('landing', 'extracts') }}
