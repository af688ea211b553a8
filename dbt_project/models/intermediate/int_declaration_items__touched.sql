-- noqa: disable=LT02
-- The items of int_declaration_items__changes as they are now.
with touched as (
    select items.*
    from {{ ref('int_declaration_items__current') }} as items
    semi join {{ ref('int_declaration_items__changes') }} as changes on items.item_index = changes.item_index
)

select
    item_index,
    member_iso2,
    registered_date,
    is_irregular,
    label_visible_after_date,
    cancelled_visible_after_date,
    {{ declared_fingerprint() }} as declared_fingerprint
from touched
