-- What indicators on assignment, lanes and clearance ask of a declaration: its header, once. Where the source
-- repeats the header on every item the first item has it.
select
    member_iso2,
    declaration_id,
    min_by(office_code, item_no) as office_code,
    min_by(registered_at, item_no) as registered_at,
    min_by(registered_date, item_no) as registered_date,
    min_by(lane_at, item_no) as lane_at,
    min_by(assigned_at, item_no) as assigned_at,
    min_by(released_at, item_no) as released_at,
    min_by(cancelled_at, item_no) as cancelled_at,
    min_by(lane_initial_code, item_no) as lane_initial_code,
    min_by(lane_final_code, item_no) as lane_final_code,
    min_by(lane_source_code, item_no) as lane_source_code,
    min_by(queue_code, item_no) as queue_code,
    min_by(inspector_initial_id, item_no) as inspector_initial_id,
    min_by(inspector_final_id, item_no) as inspector_final_id,
    min_by(importer_id, item_no) as importer_id,
    min_by(declarant_id, item_no) as declarant_id,
    min_by(is_authorised_operator, item_no) as is_authorised_operator,
    min_by(transport_document_ref, item_no) as transport_document_ref,
    min_by(container_ids, item_no) as container_ids,
    min_by(left(hs6, 2), item_no) as chapter_code,
    count(*) as items_n,
    sum(coalesce(declared_tax_usd, 0)) as declared_tax_usd
from (
    select
        items.*,
        valued.declared_tax_usd
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_declaration_items__valued') }} as valued using (item_index)
)
group by member_iso2, declaration_id
