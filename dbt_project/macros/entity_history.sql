{#-
    The ledger of one kind of entity as the days to be built need it: those days one by one, with `is_rebuilt`,
    and in a build in parts everything before them as one row per entity, dated the day before.
-#}
{% macro entity_history(entity) -%}
    {%- set days = ref('int_entity_days') -%}
    {%- set windows = ref('int_rebuild_windows') -%}
    {%- set measures = {
        'items': 'days.items_on_day - days.cancelled_on_day',
        'labelled': 'days.labelled_on_day',
        'irregular': 'days.irregular_on_day'
    } -%}
    {%- if entity in var('decayed_entities') -%}
        {%- set weight = decay_weight('days.registered_date') -%}
        {%- do measures.update({
            'items_weight': 'days.items_on_day * ' ~ weight ~ ' - days.cancelled_weight_on_day',
            'labelled_weight': 'days.labelled_on_day * ' ~ weight,
            'irregular_weight': 'days.irregular_on_day * ' ~ weight
        }) -%}
    {%- endif -%}
    select
        days.entity_key,
        days.registered_date,
        days.items_on_day > 0 as is_rebuilt
        {%- for name, expression in measures.items() %},
        cast({{ expression }} as double) as {{ name }}
        {%- endfor %}
    from {{ days }} as days
    inner join {{ windows }} as windows on days.member_iso2 = windows.member_iso2
    where days.entity_kind = '{{ entity }}' and days.registered_date >= windows.from_date
    {%- if is_partial_build() %}
    union all
    select
        days.entity_key,
        windows.from_date - 1 as registered_date,
        false as is_rebuilt
        {%- for name, expression in measures.items() %},
        cast(sum({{ expression }}) as double) as {{ name }}
        {%- endfor %}
    from {{ days }} as days
    inner join {{ windows }} as windows on days.member_iso2 = windows.member_iso2
    where
        days.entity_kind = '{{ entity }}'
        and days.registered_date < windows.from_date
        and days.entity_key in (
            select asked.entity_key
            from {{ days }} as asked
            inner join {{ windows }} as asked_windows on asked.member_iso2 = asked_windows.member_iso2
            where asked.entity_kind = '{{ entity }}' and asked.registered_date >= asked_windows.from_date
        )
    group by days.entity_key, windows.from_date
    {%- endif %}
{%- endmacro %}

{#-
    What happened to the entities of one kind, item by item, as the days to be built need it: an item, a label or
    a cancellation a row; in a build in parts everything before those days as one row per entity and kind of
    happening, dated the day before. `item_index` is given where the row is an item whose state is asked for.
    Labels and what they found add up in one number, `labels` = labelled * 2^26 + irregular: below 2^53 sums of
    it are exact, and one sum costs half of two.
-#}
{% macro item_history(entity) -%}
    {%- set keys = ref('int_declaration_items__entity_keys') -%}
    {%- set windows = ref('int_rebuild_windows') -%}
    {%- set is_decayed = entity in var('decayed_entities') -%}
    {%- set is_profiled = entity in var('entities') -%}
    {%- set is_taxed = entity == 'importer_heading' -%}
    {%- set label = 'if(keys.is_irregular, ' ~ (2 ** 26 + 1) ~ '.0, ' ~ 2 ** 26 ~ '.0)' -%}
    {%- set weight = decay_weight('keys.registered_date') -%}
    {%- set label_weight = decay_weight('keys.label_visible_after_date') -%}
    {#- Day of the happening; then what it adds. -#}
    {%- set happenings = {'registered_date': {
        'items': '1.0', 'labels': '0.0', 'items_weight': weight, 'labelled_weight': '0.0',
        'irregular_weight': '0.0', 'first_date': 'keys.registered_date', 'last_date': 'keys.registered_date',
        'tax_rate_pct': 'cast(keys.tax_rate_pct * 10000 as double)', 'taxed': 'cast(keys.tax_rate_pct is not null as double)'
    }} -%}
    {%- if is_profiled -%}
        {%- do happenings.update({'label_visible_after_date': {
            'items': '0.0', 'labels': label, 'items_weight': '0.0', 'labelled_weight': label_weight,
            'irregular_weight': 'if(keys.is_irregular, ' ~ label_weight ~ ', 0.0)', 'first_date': 'null',
            'last_date': 'null', 'tax_rate_pct': '0.0', 'taxed': '0.0'
        }}) -%}
    {%- endif -%}
    {%- do happenings.update({'cancelled_visible_after_date': {
        'items': '-1.0', 'labels': '0.0', 'items_weight': '-' ~ weight, 'labelled_weight': '0.0',
        'irregular_weight': '0.0', 'first_date': 'null', 'last_date': 'null', 'tax_rate_pct': '0.0', 'taxed': '0.0'
    }}) -%}
    {%- set sums = ['items'] + (['labels'] if is_profiled else [])
        + (['items_weight', 'labelled_weight', 'irregular_weight'] if is_decayed else [])
        + (['tax_rate_pct', 'taxed'] if is_taxed else []) -%}
    {%- set is_dated = entity in var('dated_entities') -%}
    {%- for day, adds in happenings.items() %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        {{ 'keys.item_index' if day == 'registered_date' else 'null' }} as item_index,
        keys.{{ entity }}_key as entity_key,
        keys.{{ day }} as registered_date
        {%- for name in sums %},
        {{ adds[name] }} as {{ name }}
        {%- endfor %}
        {%- if is_dated %},
        cast({{ adds['first_date'] }} as date) as first_date,
        cast({{ adds['last_date'] }} as date) as last_date
        {%- endif %}
    from {{ keys }} as keys
    inner join {{ windows }} as windows on keys.member_iso2 = windows.member_iso2
    where keys.{{ day }} >= windows.from_date and keys.{{ entity }}_key is not null
    {%- if is_partial_build() %}
    {%- if day != 'registered_date' %}
    and keys.{{ entity }}_key in ({{ rebuilt_keys(entity) }})
    {%- endif %}
    union all
    select
        null as item_index,
        keys.{{ entity }}_key as entity_key,
        windows.from_date - 1 as registered_date
        {%- for name in sums %},
        sum({{ adds[name] }}) as {{ name }}
        {%- endfor %}
        {%- if is_dated %},
        cast(min({{ adds['first_date'] }}) as date) as first_date,
        cast(max({{ adds['last_date'] }}) as date) as last_date
        {%- endif %}
    from {{ keys }} as keys
    inner join {{ windows }} as windows on keys.member_iso2 = windows.member_iso2
    where keys.{{ day }} < windows.from_date and keys.{{ entity }}_key in ({{ rebuilt_keys(entity) }})
    group by keys.{{ entity }}_key, windows.from_date
    {%- endif %}
    {%- endfor %}
{%- endmacro %}

{#- The keys of one kind that items of days to be built have. -#}
{% macro rebuilt_keys(entity) -%}
    select asked.{{ entity }}_key
    from {{ ref('int_declaration_items__entity_keys') }} as asked
    inner join {{ ref('int_rebuild_windows') }} as asked_windows on asked.member_iso2 = asked_windows.member_iso2
    where asked.registered_date >= asked_windows.from_date and asked.{{ entity }}_key is not null
{%- endmacro %}
