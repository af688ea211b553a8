-- noqa: disable=LT02
-- The items of int_declaration_items__changes as they are now: resolved among several rows, or as they came
-- in a new extract. Both where it is the same row.
with touched as (
    select items.*
    from {{ ref('int_declaration_items__resolved') }} as items
    where items.item_index in (
        select changes.item_index from {{ ref('int_declaration_items__changes') }} as changes
    )
    union all by name
    select items.*
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_extracts__unbuilt') }} as unbuilt
        on
            items.member_iso2 = unbuilt.member_iso2
            and items.extract_id = unbuilt.extract_id
            and unbuilt.dataset_name = 'declaration_items'
)

select distinct
    item_index,
    member_iso2,
    registered_date,
    is_irregular,
    label_visible_after_date,
    cancelled_visible_after_date,
    {{ declared_fingerprint() }} as declared_fingerprint
from touched
