-- noqa: disable=LT02
{{ config(materialized='view') }}

select
    items.item_index,
    items.member_iso2,
    items.registered_date
    {%- for entity in all_entities() %}
    {%- for column in profile_columns(entity) %},
    {{ entity }}.{{ column }} as {{ entity }}_{{ column }}
    {%- endfor %}
    {%- endfor %}
    {%- for entity in var('dated_entities') %},
    items.registered_date - {{ entity }}.first_seen_date as {{ entity }}_days_since_first_seen,
    items.registered_date - {{ entity }}.last_seen_date as {{ entity }}_days_since_last_seen
    {%- endfor %},
    importer_heading.mean_tax_rate_pct as importer_heading_mean_tax_rate_pct,
    -- What smoothed rates are drawn towards.
    member.irregular_n / nullif(member.labelled_n, 0) as member_rate
from {{ ref('int_declaration_items__entity_keys') }} as items
{#- A left join that finds some rows and not others splits its batch, and later joins pay: those last. #}
{%- for may_be_missing in [false, true] %}
{%- for entity, columns in all_entities().items()
    if ('importer_id' in columns or 'seller_id' in columns or 'courier_id' in columns) == may_be_missing %}
{%- if entity in day_entities() %}
left join {{ ref('int_entity_states') }} as {{ entity }}
    on
        {{ entity }}.entity_kind = '{{ entity }}'
        and {{ in_days_of_period(entity) }}
        and items.{{ entity }}_key = {{ entity }}.entity_key
        and items.registered_date = {{ entity }}.registered_date
{%- else %}
left join {{ ref('int_declaration_items__entity_states') }} as {{ entity }}
    on
        {{ entity }}.entity_kind = '{{ entity }}'
        and {{ in_days_of_period(entity) }}
        and items.item_index = {{ entity }}.item_index
{%- endif %}
{%- endfor %}
{%- endfor %}
where {{ in_period('items') }}
