-- noqa: disable=LT02
{{ config(materialized='view') }}

select
    item_index,
    member_iso2,
    registered_date,
    label_visible_after_date,
    is_irregular,
    tax_rate_pct
    {%- for entity, columns in all_entities().items() %},
    {{ entity_key(entity, columns) }} as {{ entity }}_key
    {%- endfor %}
from {{ ref('int_declaration_items__current') }}
