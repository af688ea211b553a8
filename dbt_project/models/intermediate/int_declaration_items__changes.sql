-- noqa: disable=LT02
-- What a build in parts has to look at again: the items of extracts that the standing features do not know,
-- and those that have the rest of their columns from a header that came in one.
-- depends_on: {{ ref('int_extracts__unbuilt') }}
with touched as (
    select
        {{ item_index('items') }} as item_index,
        items.member_iso2,
        items.declaration_id,
        items.item_no
    from {{ ref('stg_landing__declaration_items') }} as items
    inner join {{ ref('int_extracts__unbuilt') }} as unbuilt
        on
            items.member_iso2 = unbuilt.member_iso2
            and items.extract_id = unbuilt.extract_id
            and unbuilt.dataset_name = 'declaration_items'
    union
    select
        {{ item_index('items') }} as item_index,
        items.member_iso2,
        items.declaration_id,
        items.item_no
    from {{ ref('stg_landing__declaration_items') }} as items
    inner join {{ ref('int_declarations__changes') }} as headers
        on items.member_iso2 = headers.member_iso2 and items.declaration_id = headers.declaration_id
    where items.is_header_apart
)

select
    touched.item_index,
    touched.member_iso2,
    touched.declaration_id,
    touched.item_no,
    {%- if is_partial_build() %}
    standing.registered_date,
    standing.is_irregular,
    standing.label_visible_after_date,
    standing.cancelled_visible_after_date,
    standing.declared_fingerprint
from touched
left join {{ standing('int_declaration_items__valued') }} as standing on touched.item_index = standing.item_index
    {%- else %}
    cast(null as date) as registered_date,
    cast(null as boolean) as is_irregular,
    cast(null as date) as label_visible_after_date,
    cast(null as date) as cancelled_visible_after_date,
    cast(null as ubigint) as declared_fingerprint
from touched
    {%- endif %}
