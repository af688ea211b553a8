select
    -- keys
    member_iso2,
    hs_code,
    origin_group_code,
    preference_code,
    valid_from_date,

    -- values
    hs_version_code,
    valid_to_date,
    rate_pct,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'tariff_rates') }}
