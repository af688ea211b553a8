-- noqa: disable=LT02,AL09
-- The ledger of entities with few keys and many items each: one row per entity and day on which anything
-- happened. A build in parts replaces the days from the first one that changed.
-- depends_on: {{ ref('int_rebuild_windows') }}
{{ config(
    materialized='in_parts',
    parts='day_entities',
    beside_others=true,
    keeps_rows=true,
    pre_hook="{{ delete_from_rebuilt_days('registered_date') }}"
) }}
{#- What happened: an item was registered (1), known to be cancelled (2), to be in order (3) or not (4). -#}
{% for entity in day_entities() %}
{%- if not loop.first %}

union all

{% endif -%}
select
    '{{ entity }}' as entity_kind,
    any_value(member_iso2) as member_iso2,
    entity_key,
    registered_date,
    cast(count_if(happening = 1) as integer) as items_on_day,
    cast(count_if(happening = 2) as integer) as cancelled_on_day,
    coalesce(sum(cancelled_weight), 0) as cancelled_weight_on_day,
    cast(count_if(happening > 2) as integer) as labelled_on_day,
    cast(count_if(happening = 4) as integer) as irregular_on_day
from (
    {%- for day, happening in {
        'registered_date': '1', 'cancelled_visible_after_date': '2',
        'label_visible_after_date': 'if(keys.is_irregular, 4, 3)'
    }.items() %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        keys.member_iso2,
        keys.{{ entity }}_key as entity_key,
        keys.{{ day }} as registered_date,
        cast({{ happening }} as utinyint) as happening,
        {{ decay_weight('keys.registered_date') if happening == '2' else 'null' }} as cancelled_weight
    from {{ ref('int_declaration_items__entity_keys') }} as keys
    {%- if is_partial_build() %}
    inner join {{ ref('int_rebuild_windows') }} as windows on keys.member_iso2 = windows.member_iso2
    {%- endif %}
    where
        keys.{{ entity }}_key is not null
        and keys.{{ day }} is not null
        and '{{ entity }}' = coalesce(getvariable('entity'), '{{ entity }}')
        {%- if is_partial_build() %}
        and {{ on_rebuilt_days('keys', day) }}
        {%- endif %}
    {%- endfor %}
)
group by entity_key, registered_date
{%- endfor %}
