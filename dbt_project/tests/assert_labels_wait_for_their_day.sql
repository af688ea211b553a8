-- A label becomes visible after the day on which it was known, and never to its own item's day.
select
    member_iso2,
    declaration_id,
    item_no
from {{ ref('int_declaration_items__current') }}
where
    label_visible_after_date < registered_date
    or label_visible_after_date < cast(label_at as date)
