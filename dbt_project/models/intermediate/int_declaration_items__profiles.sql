-- noqa: disable=LT02
{{ config(materialized='view') }}

select
    items.item_index,
    items.member_iso2,
    items.registered_date
    {%- for entity in all_entities() %},
    {{ entity }}.items_n as {{ entity }}_items_n,
    {{ entity }}.labelled_n as {{ entity }}_labelled_n,
    {{ entity }}.irregular_n as {{ entity }}_irregular_n
    {%- endfor %}
    {%- for entity in var('decayed_entities') %},
    {{ entity }}.recent_items_n as {{ entity }}_recent_items_n,
    {{ entity }}.recent_labelled_n as {{ entity }}_recent_labelled_n,
    {{ entity }}.recent_irregular_n as {{ entity }}_recent_irregular_n
    {%- endfor %}
    {%- for entity in var('dated_entities') %},
    items.registered_date - {{ entity }}.first_seen_date as {{ entity }}_days_since_first_seen,
    items.registered_date - {{ entity }}.last_seen_date as {{ entity }}_days_since_last_seen
    {%- endfor %},
    importer_heading.mean_tax_rate_pct as importer_heading_mean_tax_rate_pct
from {{ ref('int_declaration_items__entity_keys') }} as items
{%- for entity in day_entities() %}
left join {{ ref('int_entity_states') }} as {{ entity }}
    on
        {{ entity }}.entity_kind = '{{ entity }}'
        and {{ in_days_of_period(entity) }}
        and items.{{ entity }}_key = {{ entity }}.entity_key
        and items.registered_date = {{ entity }}.registered_date
{%- endfor %}
{%- for entity in item_entities() %}
left join {{ ref('int_declaration_items__entity_states') }} as {{ entity }}
    on
        {{ entity }}.entity_kind = '{{ entity }}'
        and {{ in_days_of_period(entity) }}
        and items.item_index = {{ entity }}.item_index
{%- endfor %}
where {{ in_period('items') }}
