select
    -- keys
    member_iso2,
    currency_code,
    valid_from_date,

    -- rate
    units_per_usd,
    sequence_no,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'exchange_rates') }}
