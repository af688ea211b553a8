-- No leak by construction: what is known of an entity happened on an earlier day, and what labels say is no
-- more than there are. Cancelled items leave the count of items and their labels stay: so labels may be more.
with states as (
    select
        entity_kind,
        registered_date,
        labelled_n,
        irregular_n,
        recent_labelled_n,
        recent_irregular_n,
        items_n,
        first_seen_date,
        last_seen_date
    from {{ ref('int_entity_states') }}
    union all
    select
        entity_kind,
        registered_date,
        labelled_n,
        irregular_n,
        recent_labelled_n,
        recent_irregular_n,
        items_n,
        first_seen_date,
        last_seen_date
    from {{ ref('int_declaration_items__entity_states') }}
)

select *
from states
where
    last_seen_date >= registered_date
    or first_seen_date > last_seen_date
    or (first_seen_date is null) != (last_seen_date is null)
    or items_n < 0
    or irregular_n > labelled_n
    or recent_labelled_n > labelled_n
    or recent_irregular_n > recent_labelled_n
