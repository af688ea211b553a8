-- What indicators on values and commodities ask of an item, without those whose declaration was cancelled.
select
    items.item_index,
    items.member_iso2,
    items.declaration_id,
    items.registered_date,
    cast(date_trunc('month', items.registered_date) as date) as month,
    items.office_code,
    items.importer_id,
    items.declarant_id,
    items.inspector_initial_id,
    items.hs6,
    items.heading_code,
    items.chapter_code,
    items.origin_iso2,
    coalesce(nullif(items.preference_code, 'MFN'), '') as preference_code,
    cast(items.tax_rate_pct as double) as tax_rate_pct,
    cast(items.declared_value as double) as declared_value,
    cast(items.net_kg as double) as net_kg,
    valued.declared_value_usd,
    coalesce(valued.cif_value_usd, valued.declared_value_usd) as cif_value_usd,
    valued.ln_unit_value_usd_per_kg
from {{ ref('int_declaration_items__current') }} as items
inner join {{ ref('int_declaration_items__valued') }} as valued on items.item_index = valued.item_index
where items.cancelled_at is null
