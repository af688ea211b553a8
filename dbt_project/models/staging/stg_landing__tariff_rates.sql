select
    -- keys
    member_iso2,
    hs_code,
    hs_edition_code,
    origin_group_code,
    preference_code,
    valid_from_date,

    -- values
    valid_to_date,
    rate_pct,
    sequence_no,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'tariff_rates') }}
