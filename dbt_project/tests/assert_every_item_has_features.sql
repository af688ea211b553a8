-- Joins neither lose an item nor repeat one.
select
    items.item_count,
    features.feature_count
from (select count(*) as item_count from {{ ref('int_declaration_items__current') }}) as items
cross join (select count(*) as feature_count from {{ ref('declaration_item_features') }}) as features
where items.item_count != features.feature_count
