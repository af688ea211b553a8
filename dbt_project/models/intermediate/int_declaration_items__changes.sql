-- noqa: disable=LT02
-- What a build in parts has to look at again: the items of extracts that the standing features do not know.
-- A build of everything compares with nothing and leaves this empty.
{{ config(post_hook="{{ begin_build() }}") }}
{% set built = standing('int_inputs__built') if execute and not flags.FULL_REFRESH else none %}
with unknown_extracts as (
    select
        member_iso2,
        input_key as extract_id
    from {{ ref('int_inputs') }}
    where
        dataset_name = 'declaration_items'
        {%- if built is not none %}
        and (member_iso2, input_key) not in (
            select (built.member_iso2, built.input_key)
            from {{ built }} as built
            where built.dataset_name = 'declaration_items'
        )
        {%- elif flags.FULL_REFRESH or standing('int_declaration_items__current') is none %}
        and false
        {%- endif %}
),

touched as (
    select distinct
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
    touched.member_iso2,
    touched.declaration_id,
    touched.item_no,
    {%- if built is not none %}
    standing.registered_date,
    standing.is_irregular,
    standing.label_visible_after_date,
    standing.declared_fingerprint
from touched
left join (
    select
        *,
        {{ declared_fingerprint() }} as declared_fingerprint
    from {{ standing('int_declaration_items__current') }}
) as standing
    on
        touched.member_iso2 = standing.member_iso2
        and touched.declaration_id = standing.declaration_id
        and touched.item_no = standing.item_no
    {%- else %}
    cast(null as date) as registered_date,
    cast(null as boolean) as is_irregular,
    cast(null as date) as label_visible_after_date,
    cast(null as ubigint) as declared_fingerprint
from touched
    {%- endif %}
