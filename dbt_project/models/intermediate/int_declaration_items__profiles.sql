-- noqa: disable=LT02
select
    items.item_index
    {%- for entity in all_entities() %},
    {{ entity }}.items_n as {{ entity }}_items_n,
    {{ entity }}.labelled_n as {{ entity }}_labelled_n,
    {{ entity }}.irregular_n as {{ entity }}_irregular_n
    {%- endfor %}
    {%- for entity in ['importer', 'importer_heading', 'importer_declarant', 'product_line'] %},
    items.registered_date - {{ entity }}.first_seen_date as {{ entity }}_days_since_first_seen,
    items.registered_date - {{ entity }}.last_seen_date as {{ entity }}_days_since_last_seen
    {%- endfor %}
from {{ ref('int_declaration_items__entity_keys') }} as items
{%- for entity in all_entities() %}
left join {{ ref('int_entity_days') }} as {{ entity }}
    on
        {{ entity }}.entity_kind = '{{ entity }}'
        and items.{{ entity }}_key = {{ entity }}.entity_key
        and items.registered_date = {{ entity }}.registered_date
{%- endfor %}
