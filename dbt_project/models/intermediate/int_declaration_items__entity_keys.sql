-- noqa: disable=LT02
{{ config(materialized='view') }}

select
    item_index,
    member_iso2,
    registered_date,
    label_visible_after_date,
    cancelled_visible_after_date,
    is_irregular,
    tax_rate_pct
    {%- for entity in all_entities() %},
    {{ entity }}_key
    {%- endfor %}
from {{ ref('int_declaration_items__valued') }}
