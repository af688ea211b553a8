select
    -- keys
    member_iso2,
    declaration_id,
    item_no,

    -- when and where
    office_code,
    registered_at,
    registered_date,

    -- score
    score,
    probability,
    expected_recovery_usd,
    rank_in_office_day,
    suggested_lane_code,

    -- reasons
    reason_1,
    reason_2,
    reason_3,

    -- provenance
    model_name,
    model_version,
    run_id,
    scored_at
from {{ source('scoring', 'declaration_item_scores') }}
