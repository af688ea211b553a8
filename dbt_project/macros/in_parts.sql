{#-
    A table that is filled part after part, each by the model's query with other variables set, so that memory
    is that of the largest part and what is read together lies together.

    config `parts`: `once`; `months` of registration, as many together as have no more items than
    `mart_batch_items`; `reference_months`, as many together as look back on no more items than
    `reference_batch_items`; `day_entities` and `item_entities`, one after the other, or all at once where few
    items are made anew.
    config `keeps_rows`: in a build in parts, the rows that the pre-hooks leave stand.
    config `beside_others`: take half of the threads, as models of equal weight are built at the same time. DuckDB's
    threads wait at full speed, and more of them than cores hold up each other.
-#}
{% materialization in_parts, adapter='duckdb' %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set standing = load_cached_relation(this) -%}
    {%- set keeps = config.get('keeps_rows', false) and standing is not none and is_partial_build() -%}
    {%- if standing is not none and not keeps %}{% do adapter.drop_relation(standing) %}{% endif -%}
    {%- if keeps %}{{ run_hooks(pre_hooks) }}{% endif -%}
    {%- if not keeps -%}
        {%- do run_query("create table " ~ target ~ " as select * from (" ~ sql ~ ") limit 0") -%}
    {%- endif -%}
    {%- set columns = adapter.get_columns_in_relation(target) | map(attribute='quoted') | join(', ') -%}
    {%- set threads = env_var('TIDEWAITER_THREADS', '2') | int -%}
    {%- if config.get('beside_others', false) %}{% do run_query("set threads = " ~ [threads // 2, 1] | max) %}{% endif -%}
    {%- for part in parts_to_build(config.require('parts')) -%}
        {%- for name, value in part.items() %}{% do run_query("set variable " ~ name ~ " = " ~ value) %}{% endfor -%}
        {%- do run_query("insert into " ~ target ~ " (" ~ columns ~ ") select " ~ columns ~ " from (" ~ sql ~ ")") -%}
        {%- for name in part %}{% do run_query("reset variable " ~ name) %}{% endfor -%}
    {%- endfor -%}
    {%- do run_query("set threads = " ~ threads) -%}
    {%- call statement('main') %}select 1{% endcall -%}
    {%- do persist_docs(target, model) -%}
    {{- run_hooks(post_hooks) -}}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#- The variables of each part, as SQL. -#}
{% macro parts_to_build(kind) -%}
    {%- set found = [] -%}
    {%- if kind == 'once' -%}
        {%- do found.append({}) -%}
    {%- elif kind in ('day_entities', 'item_entities') -%}
        {%- set rebuilt = run_query(rebuilt_items()).rows[0] -%}
        {%- set rebuilt_from = "cast('" ~ rebuilt['from_day'] ~ "' as date)" -%}
        {%- if rebuilt['items_n'] <= var('mart_batch_items') -%}
            {%- do found.append({'rebuilt_from': rebuilt_from}) -%}
        {%- else -%}
            {%- for entity in (day_entities() if kind == 'day_entities' else item_entities()) -%}
                {%- do found.append({'entity': quoted(entity), 'rebuilt_from': rebuilt_from}) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- elif kind == 'reference_months' -%}
        {%- for batch in batches(run_query(months_of_references()).rows, var('reference_batch_items')) -%}
            {%- do found.append({
                'reference_from': 'date ' ~ quoted(batch[0]['first_day']),
                'reference_until': 'date ' ~ quoted(batch[-1]['next_first_day']),
            }) -%}
        {%- endfor -%}
    {%- elif kind == 'months' -%}
        {%- set batches = batches(run_query(months_of_items()).rows, var('mart_batch_items')) -%}
        {%- for batch in batches -%}
            {#- Without a gap between them, and none before the first or after the last: no row falls through. -#}
            {%- do found.append({
                'period_from': "date '0001-01-10'" if loop.first else 'date ' ~ quoted(batch[0]['first_day']),
                'period_to': "date '9999-12-30'" if loop.last
                    else 'date ' ~ quoted(loop.nextitem[0]['first_day']) ~ ' - 1',
            }) -%}
        {%- endfor -%}
        {%- if not found %}{% do found.append({}) %}{% endif -%}
    {%- else -%}
        {%- do exceptions.raise_compiler_error("in_parts knows no parts '" ~ kind ~ "'") -%}
    {%- endif -%}
    {%- do return(found) -%}
{%- endmacro %}

{#- Query for the months that have items of days to be built, and how many. -#}
{% macro months_of_items() -%}
    select
        strftime(date_trunc('month', items.registered_date), '%Y-%m-%d') as first_day,
        count(*) as items_n
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_rebuild_windows') }} as windows on items.member_iso2 = windows.member_iso2
    where items.registered_date >= windows.from_date
    group by first_day
    order by first_day
{%- endmacro %}

{#- Query for the first day that a build makes anew, whoever's, and how many items there are from that day on. -#}
{% macro rebuilt_items() -%}
    select
        strftime(coalesce(min(windows.from_date), date '9999-12-30'), '%Y-%m-%d') as from_day,
        (
            select count(*)
            from {{ ref('int_declaration_items__entity_keys') }} as keys
            where keys.registered_date >= (select min(earliest.from_date) from {{ ref('int_rebuild_windows') }} as earliest)
        ) as items_n
    from {{ ref('int_rebuild_windows') }} as windows
{%- endmacro %}

{#- Query for the months whose references are to be built, and how many items they look back on. -#}
{% macro months_of_references() -%}
    with counted as (
        select
            member_iso2,
            date_trunc('month', registered_date) as month,
            count(*) as items_n
        from {{ ref('int_declaration_items__valued') }}
        group by all
    ),

    asked as (
        select
            member_iso2,
            unnest(generate_series(from_month, until_month - interval 1 month, interval 1 month)) as month
        from {{ ref('int_rebuild_months') }}
        where from_month < until_month
    )

    select
        strftime(asked.month, '%Y-%m-%d') as first_day,
        strftime(asked.month + interval 1 month, '%Y-%m-%d') as next_first_day,
        coalesce(sum(counted.items_n), 0) as items_n
    from asked
    left join counted
        on
            asked.member_iso2 = counted.member_iso2
            and counted.month >= asked.month - to_months({{ var('reference_months') }})
            and counted.month < asked.month
    group by asked.month
    order by first_day
{%- endmacro %}
