-- A column that tells what became of an item has no place among its features.
{% set outcome_columns = [
    'is_irregular', 'is_serious', 'label_at', 'label_source_code', 'recovered_tax', 'recovered_tax_usd',
    'assessed_value', 'assessed_value_usd', 'assessed_hs6', 'assessed_origin_iso2', 'assessed_net_kg',
    'lane_initial_code', 'lane_final_code', 'lane_source_code', 'inspector_initial_id', 'inspector_final_id',
    'inspection_result_code', 'lane_at', 'assigned_at', 'released_at'
] %}

select columns.column_name
from duckdb_columns() as columns
where
    columns.schema_name = '{{ ref('declaration_item_features').schema }}'
    and columns.table_name = '{{ ref('declaration_item_features').identifier }}'
    and columns.column_name in ('{{ outcome_columns | join("', '") }}')
