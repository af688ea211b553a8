-- No leak by construction: what an entity's state counts was registered on an earlier day, and every label
-- in it belongs to one of those items.
select
    entity_kind,
    registered_date,
    last_seen_date,
    items_n,
    labelled_n,
    irregular_n
from {{ ref('int_entity_states') }}
where
    last_seen_date >= registered_date
    or first_seen_date > last_seen_date
    or labelled_n > items_n
    or irregular_n > labelled_n
    or recent_items_n > items_n
    or recent_labelled_n > labelled_n
    or recent_irregular_n > recent_labelled_n
    or (items_n = 0 and last_seen_date is not null)
