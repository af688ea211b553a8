-- depends_on: {{ ref('int_declaration_items__changes') }}, {{ ref('int_rebuild_windows') }}
{{ config(materialized='parquet_by_month', rebuilds='changed_items') }}

select
    items.member_iso2,
    items.declaration_id,
    items.item_no,
    items.registered_at,
    items.registered_date,
    items.label_at,
    items.is_irregular,
    items.is_serious,
    valued.recovered_tax_usd,
    items.label_source_code,
    cast(items.selection_probability as double) as selection_probability
from {{ ref('int_declaration_items__current') }} as items
inner join {{ ref('int_declaration_items__valued') }} as valued
    on items.item_index = valued.item_index and {{ in_period('valued') }}
where items.label_visible_after_date is not null and {{ in_period('items') }}
