-- Joins neither lose an item nor repeat one.
with items as (
    select count(*) as item_count from {{ ref('int_declaration_items__current') }}
),

features as (
    select count(*) as feature_count from {{ ref('declaration_item_features') }}
)

select
    items.item_count,
    features.feature_count
from items
cross join features
where items.item_count != features.feature_count
