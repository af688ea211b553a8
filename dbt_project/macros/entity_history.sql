{#-
    Condition that something happened on a day that a build in parts makes anew: not before its member's window,
    joined as `windows`. The earliest day of all members stands beside it as a number, so that what lies before it
    is not even read.
-#}
{% macro on_rebuilt_days(rows, date_column, windows='windows') -%}
    {{ rows }}.{{ date_column }} >= coalesce(getvariable('rebuilt_from'), date '0001-01-10')
    and {{ rows }}.{{ date_column }} >= {{ windows }}.from_date
{%- endmacro %}

{#-
    Labels and what they found add up in one number, labelled * 2^26 + irregular: below 2^53 sums of it are exact,
    and one sum costs half of two.
-#}
{% macro packed_labels(labelled, irregular) -%}
    {{ labelled }} * {{ 2 ** 26 }}.0 + {{ irregular }}
{%- endmacro %}

{#- The columns that all states have, from sums over earlier days: `items`, `labels`, `<count>_weight`. -#}
{% macro state_columns(entity) -%}
    {%- set is_decayed = entity in var('decayed_entities') -%}
    cast(items as integer) as items_n,
    cast({{ 'cast(labels as bigint) >> 26' if is_labelled(entity) else 'null' }} as integer) as labelled_n,
    cast({{ 'cast(labels as bigint) & ' ~ (2 ** 26 - 1) if is_labelled(entity) else 'null' }} as integer) as irregular_n,
    {%- for count in ['items', 'labelled', 'irregular'] %}
    cast({{ count ~ '_weight / ' ~ decay_weight('registered_date') if is_decayed else 'null' }} as double)
        as recent_{{ count }}_n,
    {%- endfor %}
    cast({{ 'if(first_date < registered_date, first_date, null)' if entity in var('dated_entities') else 'null' }} as date)
        as first_seen_date,
    cast({{ 'last_date' if entity in var('dated_entities') else 'null' }} as date) as last_seen_date
{%- endmacro %}

{#-
    The ledger of one kind of entity as the days to be built need it: those days one by one, and in a build in
    parts everything before them as one row per entity, dated the day before. `is_asked` where the entity has items
    on one of the days to be built.
-#}
{% macro entity_history(entity) -%}
    {%- set days = ref('int_entity_days') -%}
    {%- set windows = ref('int_rebuild_windows') -%}
    {%- set measures = {
        'items': 'days.items_on_day - days.cancelled_on_day',
        'labels': packed_labels('days.labelled_on_day', 'days.irregular_on_day')
    } -%}
    {%- if entity in var('decayed_entities') -%}
        {%- set weight = decay_weight('days.registered_date') -%}
        {%- do measures.update({
            'items_weight': 'days.items_on_day * ' ~ weight ~ ' - days.cancelled_weight_on_day',
            'labelled_weight': 'days.labelled_on_day * ' ~ weight,
            'irregular_weight': 'days.irregular_on_day * ' ~ weight
        }) -%}
    {%- endif -%}
    {%- set is_dated = entity in var('dated_entities') -%}
    select
        days.entity_key,
        days.registered_date,
        days.items_on_day > 0 as is_asked,
        {%- if is_dated %}
        days.registered_date as first_date,
        if(days.items_on_day > 0, days.registered_date, null) as last_date,
        {%- endif %}
        {%- for name, expression in measures.items() %}
        cast({{ expression }} as double) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ days }} as days
    {%- if is_partial_build() %}
    inner join {{ windows }} as windows on days.member_iso2 = windows.member_iso2
    {%- endif %}
    where days.entity_kind = '{{ entity }}'
    {%- if is_partial_build() %}
    and {{ on_rebuilt_days('days', 'registered_date') }}
    union all
    select
        days.entity_key,
        any_value(asked.from_date) - 1 as registered_date,
        false as is_asked,
        {%- if is_dated %}
        min(days.registered_date) as first_date,
        max(days.registered_date) filter (days.items_on_day > 0) as last_date,
        {%- endif %}
        {%- for name, expression in measures.items() %}
        cast(sum({{ expression }}) as double) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ days }} as days
    inner join (
        select
            days.entity_key,
            any_value(windows.from_date) as from_date
        from {{ days }} as days
        inner join {{ windows }} as windows on days.member_iso2 = windows.member_iso2
        where
            days.entity_kind = '{{ entity }}'
            and days.items_on_day > 0
            and {{ on_rebuilt_days('days', 'registered_date') }}
        group by days.entity_key
    ) as asked on days.entity_key = asked.entity_key
    where days.entity_kind = '{{ entity }}' and days.registered_date < asked.from_date
    group by days.entity_key
    {%- endif %}
{%- endmacro %}

{#-
    The keys of one kind whose items can know of anything earlier, with the last day on which one asks: keys that
    came on more than one day, and in a build in parts those of the days that it makes anew.
-#}
{% macro asked_keys(entity) -%}
    select
        keys.{{ entity }}_key as entity_key,
        {%- if is_partial_build() %}
        any_value(windows.from_date) as from_date,
        {%- endif %}
        max(keys.registered_date) as last_asked_date
    from {{ ref('int_declaration_items__entity_keys') }} as keys
    {%- if is_partial_build() %}
    inner join {{ ref('int_rebuild_windows') }} as windows on keys.member_iso2 = windows.member_iso2
    {%- endif %}
    where
        keys.{{ entity }}_key is not null
        and '{{ entity }}' = coalesce(getvariable('entity'), '{{ entity }}')
        {%- if is_partial_build() %}
        and {{ on_rebuilt_days('keys', 'registered_date') }}
        {%- endif %}
    group by keys.{{ entity }}_key
    {%- if not is_partial_build() %}
    having min(keys.registered_date) < max(keys.registered_date)
    {%- endif %}
{%- endmacro %}

{#-
    What happened to the entities that `asked` names, item by item, as the days to be built need it: an item, a
    label or a cancellation a row; in a build in parts everything before those days as one row per entity, dated
    the day before. `item_index` is given where the row is an item whose state is asked for.
-#}
{% macro item_history(entity) -%}
    {%- set weight = decay_weight('keys.registered_date') -%}
    {%- set label_weight = decay_weight('keys.label_visible_after_date') -%}
    {#- Day of the happening, then what it adds, as floating point (1e0): sums of decimals cost half as much again.
        The first happening of an entity is an item. -#}
    {%- set happenings = {
        'registered_date': {
            'items': '1e0', 'items_weight': weight, 'last_date': 'keys.registered_date',
            'tax_rate_pct': 'coalesce(cast(keys.tax_rate_pct * 10000 as double), 0.0)',
            'taxed': 'cast(keys.tax_rate_pct is not null as double)'
        },
        'label_visible_after_date': {
            'labels': packed_labels('1', 'cast(keys.is_irregular as double)'), 'labelled_weight': label_weight,
            'irregular_weight': 'if(keys.is_irregular, ' ~ label_weight ~ ', 0.0)'
        },
        'cancelled_visible_after_date': {'items': '-1e0', 'items_weight': '-' ~ weight}
    } -%}
    {%- set is_dated = entity in var('dated_entities') -%}
    {%- set sums = summed_by_item(entity) -%}
    {%- for day, adds in happenings.items() if is_labelled(entity) or 'labels' not in adds %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        {{ 'keys.item_index' if loop.first else 'null' }} as item_index,
        asked.entity_key,
        keys.{{ day }} as registered_date
        {%- if is_dated %},
        keys.{{ day }} as first_date,
        cast({{ adds.get('last_date', 'null') }} as date) as last_date
        {%- endif %}
        {%- for name in sums %},
        {{ adds.get(name, '0e0') }} as {{ name }}
        {%- endfor %}
    from {{ ref('int_declaration_items__entity_keys') }} as keys
    inner join asked on keys.{{ entity }}_key = asked.entity_key
    where
        keys.{{ day }} <= asked.last_asked_date
        {%- if is_partial_build() %}
        and {{ on_rebuilt_days('keys', day, 'asked') }}
        {%- endif %}
    {%- endfor %}
    {%- if is_partial_build() %}
    union all
    select
        null as item_index,
        asked.entity_key,
        any_value(asked.from_date) - 1 as registered_date
        {%- if is_dated %},
        min(keys.registered_date) as first_date,
        max(keys.registered_date) as last_date
        {%- endif %}
        {%- for name in sums %},
        {%- for day, adds in happenings.items() if name in adds %}
        {{ '+ ' if not loop.first }}coalesce(sum({{ adds[name] }}) filter (keys.{{ day }} < asked.from_date), 0.0)
        {%- endfor %} as {{ name }}
        {%- endfor %}
    from {{ ref('int_declaration_items__entity_keys') }} as keys
    inner join asked on keys.{{ entity }}_key = asked.entity_key
    where keys.registered_date < asked.from_date
    group by asked.entity_key
    {%- endif %}
{%- endmacro %}

{#- What is summed item by item for a kind of entity. -#}
{% macro summed_by_item(entity) -%}
    {%- do return(
        ['items']
        + (['labels'] if is_labelled(entity) else [])
        + (['items_weight', 'labelled_weight', 'irregular_weight'] if entity in var('decayed_entities') else [])
        + (['tax_rate_pct', 'taxed'] if entity == 'importer_heading' else [])
    ) -%}
{%- endmacro %}
