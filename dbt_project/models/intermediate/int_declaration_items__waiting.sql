select
    items.member_iso2,
    items.declaration_id,
    items.item_no,
    items.item_version,
    items.extract_id,
    items.source_file,
    items.source_line
from {{ ref('stg_landing__declaration_items') }} as items
inner join {{ ref('stg_landing__extracts') }} as extracts
    on
        items.member_iso2 = extracts.member_iso2
        and items.extract_id = extracts.extract_id
        and extracts.dataset_name = 'declaration_items'
        and extracts.is_accepted
anti join {{ ref('int_declarations__current') }} as headers
    on
        items.member_iso2 = headers.member_iso2
        and items.declaration_id = headers.declaration_id
where items.is_header_apart
