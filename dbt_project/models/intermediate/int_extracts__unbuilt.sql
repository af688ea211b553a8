-- noqa: disable=LT02
-- A build of everything compares with nothing and leaves this empty.
{{ config(post_hook="{{ begin_build() }}") }}
{% set built = standing('int_inputs__built') if execute and not flags.FULL_REFRESH else none %}
select
    member_iso2,
    dataset_name,
    input_key as extract_id
from {{ ref('int_inputs') }}
where
    dataset_name in ('declaration_items', 'declarations')
    {%- if built is not none %}
    and (member_iso2, dataset_name, input_key) not in (
        select (built.member_iso2, built.dataset_name, built.input_key)
        from {{ built }} as built
    )
    {%- else %}
    and false
    {%- endif %}
