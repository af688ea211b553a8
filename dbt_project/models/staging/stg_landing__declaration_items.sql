select
    -- keys
    member_iso2,
    declaration_id,
    item_no,
    item_version,
    sequence_no,
    is_header_apart,

    -- when and where
    registered_at,
    registered_date,
    office_code,
    lane_at,
    assigned_at,
    released_at,
    cancelled_at,

    -- declaration
    declaration_type_code,
    process_type_code,
    procedure_code,
    goods_use_code,
    payment_method_code,
    transport_mode_code,
    transport_document_ref,
    container_ids,

    -- parties
    importer_id,
    declarant_id,
    seller_id,
    courier_id,
    is_authorised_operator,

    -- commodity
    hs6,
    left(hs6, 4) as heading_code,
    left(hs6, 2) as chapter_code,
    hs_national_code,
    hs_edition_code,
    origin_iso2,
    dispatch_iso2,
    origin_marking_code,
    preference_code,

    -- quantities
    gross_kg,
    net_kg,
    supplementary_qty,
    supplementary_unit_code,

    -- values as declared
    currency_code,
    declared_value,
    value_basis_code,
    incoterm_code,
    declared_freight,
    declared_insurance,
    freight_currency_code,
    tax_rate_pct,
    declared_tax,
    tax_currency_code,

    -- selectivity and inspection
    lane_initial_code,
    lane_final_code,
    lane_source_code,
    queue_code,
    inspector_initial_id,
    inspector_final_id,
    inspection_result_code,

    -- outcome
    assessed_value,
    recovered_tax,
    is_irregular,
    is_serious,
    label_at,
    label_source_code,
    selection_probability,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'declaration_items') }}
