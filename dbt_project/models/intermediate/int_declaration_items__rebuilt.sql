-- depends_on: {{ ref('int_declaration_items__changes') }}, {{ ref('int_declaration_items__resolved') }}
-- A view: which items the months that are made anew hold, and those of earlier months that were sent again.
{{ config(materialized='view') }}

select items.*
from {{ ref('int_declaration_items__current') }} as items
inner join {{ ref('int_rebuild_windows') }} as windows on items.member_iso2 = windows.member_iso2
where {{ in_period('items') }} and items.registered_date >= windows.from_date
{%- if is_partial_build() %}
-- Older ones that were sent again.
union all by name
select items.*
from {{ ref('int_declaration_items__resolved') }} as items
left join {{ ref('int_rebuild_windows') }} as windows on items.member_iso2 = windows.member_iso2
where
    {{ in_period('items') }}
    and items.registered_date < coalesce(windows.from_date, date '9999-12-31')
    and items.item_index in (
        select changes.item_index from {{ ref('int_declaration_items__changes') }} as changes
    )
{%- endif %}
