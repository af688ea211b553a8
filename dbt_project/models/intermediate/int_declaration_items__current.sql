-- noqa: disable=LT02
-- A view: an item that landed once stands in the landed Parquet, which is read faster than a copy is written.
{{ config(materialized='view') }}

with accepted_items as (
    {{ accepted_items() }}
)

select
    items.* exclude (is_header_apart),  -- noqa: RF03
    1 as sendings_n,
    {{ visible_after('is_irregular is not null and label_at is not null', 'label_at') }}
        as label_visible_after_date,
    {{ visible_after('cancelled_at is not null', 'cancelled_at') }} as cancelled_visible_after_date
from accepted_items as items
where
    not coalesce(items.is_header_apart, false)
    and items.item_index not in (
        select resolved.item_index from {{ ref('int_declaration_items__resolved') }} as resolved
    )
union all by name
select *
from {{ ref('int_declaration_items__resolved') }}
