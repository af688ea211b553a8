-- A column that tells what became of an item has no place among its features.
select described.column_name
from duckdb_columns() as described
where
    described.schema_name = '{{ ref('declaration_item_features').schema }}'
    and described.table_name = '{{ ref('declaration_item_features').identifier }}'
    and described.column_name in (
        'lane_at', 'assigned_at', 'released_at', 'lane_initial_code', 'lane_final_code', 'lane_source_code',
        'inspector_initial_id', 'inspector_final_id', 'inspection_result_code',
        'assessed_value', 'assessed_value_usd', 'assessed_hs6', 'assessed_origin_iso2', 'assessed_net_kg',
        'recovered_tax', 'recovered_tax_usd', 'is_irregular', 'is_serious', 'label_at', 'label_source_code',
        'selection_probability'
    )
