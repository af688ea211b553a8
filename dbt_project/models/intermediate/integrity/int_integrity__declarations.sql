-- What indicators on assignment, lanes and clearance ask of a declaration: its header, once. Where the source
-- repeats the header on every item the first item has it.
with declarations as (
    select
        min_by(items.item_index, items.item_no) as item_index,
        count(*) as items_n,
        sum(coalesce(valued.declared_tax_usd, 0)) as declared_tax_usd
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_declaration_items__valued') }} as valued on items.item_index = valued.item_index
    group by items.member_iso2, items.declaration_id
)

select
    items.member_iso2,
    items.declaration_id,
    items.office_code,
    items.registered_at,
    items.registered_date,
    items.lane_at,
    items.assigned_at,
    items.released_at,
    items.cancelled_at,
    items.lane_initial_code,
    items.lane_final_code,
    items.lane_source_code,
    items.queue_code,
    items.inspector_initial_id,
    items.inspector_final_id,
    items.importer_id,
    items.declarant_id,
    items.is_authorised_operator,
    items.transport_document_ref,
    items.container_ids,
    left(items.hs6, 2) as chapter_code,
    declarations.items_n,
    declarations.declared_tax_usd
from declarations
inner join {{ ref('int_declaration_items__current') }} as items on declarations.item_index = items.item_index
