select
    scores.member_iso2,
    scores.declaration_id,
    scores.item_no,
    scores.office_code,
    scores.registered_at,
    scores.registered_date,

    -- what to do
    scores.rank_in_office_day,
    scores.suggested_lane_code,
    scores.score,
    scores.probability,
    scores.expected_recovery_usd,
    scores.reason_1,
    scores.reason_2,
    scores.reason_3,

    -- the item in short; the rest is in trade.declaration_items
    items.importer_id,
    items.declarant_id,
    items.hs6,
    items.origin_iso2,
    items.dispatch_iso2,
    items.net_kg,
    items.declared_value_usd,
    items.declared_tax_usd,

    -- provenance
    scores.model_name,
    scores.model_version,
    scores.run_id,
    scores.scored_at
from {{ ref('stg_scoring__declaration_item_scores') }} as scores
left join {{ ref('trade__declaration_items') }} as items
    on
        scores.member_iso2 = items.member_iso2
        and scores.declaration_id = items.declaration_id
        and scores.item_no = items.item_no
