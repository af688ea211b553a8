select
    -- keys
    member_iso2,
    declaration_id,
    declaration_version,
    sequence_no,
    source_rows_n,

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
    payment_method_code,
    transport_mode_code,
    transport_document_ref,
    container_ids,
    dispatch_iso2,

    -- parties
    importer_id,
    declarant_id,
    seller_id,
    courier_id,
    is_authorised_operator,

    -- terms
    currency_code,
    value_basis_code,
    incoterm_code,
    freight_currency_code,
    tax_currency_code,

    -- totals of the whole declaration
    total_items_n,
    total_packages_n,
    total_gross_kg,
    total_net_kg,
    total_declared_value,
    total_freight,
    total_insurance,
    total_declared_tax,

    -- selectivity and inspection
    lane_initial_code,
    lane_final_code,
    lane_source_code,
    queue_code,
    inspector_initial_id,
    inspector_final_id,
    inspection_result_code,

    -- outcome
    is_irregular,
    is_serious,
    label_at,
    label_source_code,
    selection_probability,

    -- lineage
    extract_id,
    source_file,
    source_line
from {{ source('landing', 'declarations') }}
