-- noqa: disable=LT02
-- What a build in parts has to look at again: the items of extracts that the standing features do not know.
-- A build of everything compares with nothing and leaves this empty.
{{ config(post_hook="{{ begin_build() }}") }}
{% set built = standing('int_inputs__built') if execute and not flags.FULL_REFRESH else none %}
{% set valued = standing('int_declaration_items__valued') if built is not none else none %}
with unknown_extracts as (
    select
        member_iso2,
        input_key as extract_id
    from {{ ref('int_inputs') }}
    where
        dataset_name = 'declaration_items'
        {%- if valued is not none %}
        and (member_iso2, input_key) not in (
            select (built.member_iso2, built.input_key)
            from {{ built }} as built
            where built.dataset_name = 'declaration_items'
        )
        {%- else %}
        and false
        {%- endif %}
),

touched as (
    select distinct
        {{ item_index('items') }} as item_index,
        items.member_iso2,
        items.declaration_id,
        items.item_no
    from {{ ref('stg_landing__declaration_items') }} as items
    inner join unknown_extracts
        on
            items.member_iso2 = unknown_extracts.member_iso2
            and items.extract_id = unknown_extracts.extract_id
)

select
    touched.item_index,
    touched.member_iso2,
    touched.declaration_id,
    touched.item_no,
    {%- if valued is not none %}
    standing.registered_date,
    standing.is_irregular,
    standing.label_visible_after_date,
    standing.cancelled_visible_after_date,
    standing.declared_fingerprint
from touched
left join {{ valued }} as standing on touched.item_index = standing.item_index
    {%- else %}
    cast(null as date) as registered_date,
    cast(null as boolean) as is_irregular,
    cast(null as date) as label_visible_after_date,
    cast(null as date) as cancelled_visible_after_date,
    cast(null as ubigint) as declared_fingerprint
from touched
    {%- endif %}
