select
    -- keys
    member_iso2,
    reporter_code,
    frequency_code,
    period_from_date,
    flow_code,
    partner_code,
    second_partner_code,
    classification_code,
    hs_code,
    customs_procedure_code,
    transport_mode_code,
    detail_code,

    -- values
    quantity,
    quantity_unit_code,
    net_kg,
    gross_kg,
    cif_value_usd,
    fob_value_usd,
    primary_value_usd,
    is_quantity_estimated,
    is_net_kg_estimated,
    is_reported,
    is_aggregate,
    sequence_no,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'aggregate_flows') }}
