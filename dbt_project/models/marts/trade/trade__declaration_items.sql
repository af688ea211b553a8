-- noqa: disable=LT02
-- depends_on: {{ ref('int_declaration_items__changes') }}, {{ ref('int_rebuild_windows') }}
{{ config(materialized='parquet_by_month', rebuilds='changed_items') }}

select
    items.* exclude (item_index, label_visible_after_date, cancelled_visible_after_date),  -- noqa: RF02
    valued.units_per_usd,
    valued.declared_value_usd,
    valued.cif_value_usd,
    valued.cif_value_status_code,
    valued.declared_tax_usd,
    valued.assessed_value_usd,
    valued.recovered_tax_usd
from {{ ref('int_declaration_items__current') }} as items
inner join {{ ref('int_declaration_items__valued') }} as valued
    on items.item_index = valued.item_index and {{ in_period('valued') }}
where {{ in_period('items') }}
