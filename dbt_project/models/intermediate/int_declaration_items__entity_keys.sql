-- noqa: disable=LT02
select
    item_index,
    registered_date,
    label_visible_after_date,
    is_irregular
    {%- for entity, columns in all_entities().items() %},
    {{ entity_key(entity, columns) }} as {{ entity }}_key
    {%- endfor %}
from {{ ref('int_declaration_items__current') }}
