{#-
    The ledger of one kind of entity as the days to be built need it: those days one by one, with `is_rebuilt`,
    and in a build in parts everything before them as one row per entity, dated the day before.
-#}
{% macro entity_history(entity) -%}
    {%- set days = ref('int_entity_days') -%}
    {%- set windows = ref('int_rebuild_windows') -%}
    {%- set counts = ['items', 'labelled', 'irregular'] -%}
    select
        days.member_iso2,
        days.entity_key,
        days.registered_date,
        true as is_rebuilt,
        {%- for count in counts %}
        days.{{ count }}_on_day,
        {%- if entity in var('decayed_entities') %}
        days.{{ count }}_on_day * {{ decay_weight('days.registered_date') }} as {{ count }}_weight,
        {%- endif %}
        {%- endfor %}
        case when days.items_on_day > 0 then days.registered_date end as first_date,
        case when days.items_on_day > 0 then days.registered_date end as last_date,
        days.tax_rate_pct_on_day,
        days.taxed_on_day
    from {{ days }} as days
    inner join {{ windows }} as windows on days.member_iso2 = windows.member_iso2
    where days.entity_kind = '{{ entity }}' and days.registered_date >= windows.from_date
    {%- if is_partial_build() %}
    union all
    select
        days.member_iso2,
        days.entity_key,
        windows.from_date - 1 as registered_date,
        false as is_rebuilt,
        {%- for count in counts %}
        sum(days.{{ count }}_on_day) as {{ count }}_on_day,
        {%- if entity in var('decayed_entities') %}
        sum(days.{{ count }}_on_day * {{ decay_weight('days.registered_date') }}) as {{ count }}_weight,
        {%- endif %}
        {%- endfor %}
        min(days.registered_date) filter (where days.items_on_day > 0) as first_date,
        max(days.registered_date) filter (where days.items_on_day > 0) as last_date,
        sum(days.tax_rate_pct_on_day) as tax_rate_pct_on_day,
        sum(days.taxed_on_day) as taxed_on_day
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
    group by all
    {%- endif %}
{%- endmacro %}
