-- noqa: disable=LT02,AL09
-- The ledger of entities with few keys and many items each: one row per entity and day on which anything
-- happened. A build in parts replaces the days from the first one that changed.
{{ config(
    materialized='in_parts',
    parts='once',
    keeps_rows=true,
    pre_hook="{{ delete_from_rebuilt_days('registered_date') }}"
) }}
{% for entity in day_entities() %}
{%- if not loop.first %}

union all
{% endif %}
select
    '{{ entity }}' as entity_kind,
    member_iso2,
    entity_key,
    registered_date,
    cast(sum(items) as integer) as items_on_day,
    cast(sum(cancelled) as integer) as cancelled_on_day,
    sum(cancelled_weight) as cancelled_weight_on_day,
    cast(sum(labelled) as integer) as labelled_on_day,
    cast(sum(irregular) as integer) as irregular_on_day
from (
    {%- set happenings = {
        'registered_date': ['1', '0', '0.0', '0', '0'],
        'label_visible_after_date': ['0', '0', '0.0', '1', 'cast(keys.is_irregular as integer)'],
        'cancelled_visible_after_date': ['0', '1', decay_weight('keys.registered_date'), '0', '0'],
    } %}
    {%- for day, counts in happenings.items() %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        keys.member_iso2,
        keys.{{ entity }}_key as entity_key,
        keys.{{ day }} as registered_date,
        {{ counts[0] }} as items,
        {{ counts[1] }} as cancelled,
        {{ counts[2] }} as cancelled_weight,
        {{ counts[3] }} as labelled,
        {{ counts[4] }} as irregular
    from {{ ref('int_declaration_items__entity_keys') }} as keys
    inner join {{ ref('int_rebuild_windows') }} as windows on keys.member_iso2 = windows.member_iso2
    where keys.{{ day }} >= windows.from_date and keys.{{ entity }}_key is not null
    {%- endfor %}
)
group by entity_key, member_iso2, registered_date
{%- endfor %}
