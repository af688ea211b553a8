{{ config(post_hook="{{ export_to_parquet() }}") }}

-- Totals as the header declares them beside the sums of its items: once per declaration, never per item.
with item_sums as (
    select
        items.member_iso2,
        items.declaration_id,
        count(*) as items_n,
        sum(items.gross_kg) as items_gross_kg,
        sum(items.net_kg) as items_net_kg,
        sum(items.declared_value) as items_declared_value
    from {{ ref('int_declaration_items__current') }} as items
    semi join {{ ref('int_declarations__current') }} as headers
        on
            items.member_iso2 = headers.member_iso2
            and items.declaration_id = headers.declaration_id
    group by all
)

select
    headers.*,
    coalesce(item_sums.items_n, 0) as items_n,
    cast(item_sums.items_gross_kg as decimal(18, 4)) as items_gross_kg,
    cast(item_sums.items_net_kg as decimal(18, 4)) as items_net_kg,
    cast(item_sums.items_declared_value as decimal(18, 4)) as items_declared_value
from {{ ref('int_declarations__current') }} as headers
left join item_sums
    on
        headers.member_iso2 = item_sums.member_iso2
        and headers.declaration_id = item_sums.declaration_id
