{#-
    A mart as one Parquet file per member and month of registration, each in the order of the primary key:
    the same rows give the same bytes, memory is that of a month, and a build in parts writes the months that
    it touches and no other.

    Files are written to `<table>.staged` beside the standing folder `<table>.parquet`. The relation in the
    warehouse is a view over what would stand after the swap, so that dbt's tests see it before readers do;
    `tidewaiter.marts.swap_staged` then puts the files in place.

    config `rebuilds`: `days` makes anew everything from the first day of the member's rebuild window,
    `changed_items` the months of items that changed as well.
-#}
{% materialization parquet_by_month, adapter='duckdb' %}
    {%- set target = this.incorporate(type='view') -%}
    {%- set folder = env_var('TIDEWAITER_HOME') ~ '/marts/' ~ this.schema ~ '/' ~ this.identifier -%}
    {%- set columns = model['columns'].keys() | list -%}
    {%- set key = config.require('meta')['primary_key'] | join(', ') -%}
    {%- set partial = is_partial_build() -%}
    {{- run_hooks(pre_hooks) -}}
    {%- if config.get('contract').enforced %}{{ get_assert_columns_equivalent(sql) }}{% endif -%}

    {%- set months = run_query(months_to_build(folder, partial, config.require('rebuilds'))) -%}
    {%- set files = [] -%}
    {%- for month in months.rows -%}
        {%- set name = month['file_name'] -%}
        {%- do files.append(name) -%}
        {%- set copied = write_month(folder, month, sql, columns, key) -%}
        {%- do run_query(copied) -%}
    {%- endfor -%}
    {%- do run_query("reset variable period_member; reset variable period_from; reset variable period_to") -%}
    {%- if not partial -%}
        {#- A table without rows is a file without rows, and readers find the columns in it. -#}
        {%- do files.append('none.parquet') -%}
        {%- do run_query(
            "copy (select " ~ columns | join(', ') ~ " from (" ~ sql ~ ") limit 0) to " ~ quoted(folder ~ '.staged/none.parquet')
            ~ " (format parquet)"
        ) -%}
    {%- endif -%}
    {%- do run_query(
        "copy (select " ~ ('false' if partial else 'true') ~ " as is_whole, "
        ~ ("[" ~ files | map('tojson') | join(', ') | replace('"', "'") ~ "]::varchar[]") ~ " as files) to "
        ~ quoted(folder ~ '.staged/plan.json') ~ " (format json)"
    ) -%}

    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is not none and not existing.is_view %}{% do adapter.drop_relation(existing) %}{% endif -%}
    {%- call statement('main') -%}
        create or replace view {{ target }} as
        select * from read_parquet({{ files_after_swap(folder, files, partial) }})
    {%- endcall -%}
    {%- do persist_docs(target, model) -%}
    {{- run_hooks(post_hooks) -}}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{% macro quoted(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}

{#- Query for the months to build: member, first and last day, the file, and the day before which it stands. -#}
{% macro months_to_build(folder, partial, rebuilds) -%}
    {%- set items = ref('int_declaration_items__current') -%}
    {%- set changes = ref('int_declaration_items__changes') -%}
    {%- set windows = ref('int_rebuild_windows') -%}
    with standing_files as (
        select
            parse_filename(file, true) as stem,
            left(stem, length(stem) - 8) as member_iso2,
            try_cast(right(stem, 7) || '-01' as date) as month
        from glob({{ quoted(folder ~ '.parquet/*-????-??.parquet') }})
    ),

    asked as (
        select distinct
            items.member_iso2,
            date_trunc('month', items.registered_date)::date as month
        from {{ items }} as items
        inner join {{ windows }} as windows on items.member_iso2 = windows.member_iso2
        where date_trunc('month', items.registered_date) >= date_trunc('month', windows.from_date)
        {%- if partial %}
        union
        select
            files.member_iso2,
            files.month
        from standing_files as files
        inner join {{ windows }} as windows on files.member_iso2 = windows.member_iso2
        where files.month >= date_trunc('month', windows.from_date)
        {%- if rebuilds == 'changed_items' %}
        union
        select
            member_iso2,
            date_trunc('month', registered_date)::date
        from {{ changes }}
        where registered_date is not null
        union
        select
            items.member_iso2,
            date_trunc('month', items.registered_date)::date
        from {{ items }} as items
        semi join {{ changes }} using (member_iso2, declaration_id, item_no)
        {%- endif %}
        {%- endif %}
    )

    select
        asked.member_iso2,
        strftime(asked.month, '%Y-%m-%d') as first_day,
        strftime(last_day(asked.month), '%Y-%m-%d') as last_day,
        asked.member_iso2 || '-' || strftime(asked.month, '%Y-%m') || '.parquet' as file_name,
        {%- if partial and rebuilds == 'days' %}
        case
            when windows.from_date > asked.month and files.month is not null
                then strftime(windows.from_date, '%Y-%m-%d')
        end as stands_before
        {%- else %}
        null as stands_before
        {%- endif %}
    from asked
    left join {{ windows }} as windows on asked.member_iso2 = windows.member_iso2
    left join standing_files as files on asked.member_iso2 = files.member_iso2 and asked.month = files.month
    order by asked.member_iso2, asked.month
{%- endmacro %}

{#- Statement that writes one month: the days that stand from its standing file, the others anew. -#}
{% macro write_month(folder, month, sql, columns, key) -%}
    {%- set stands_before = month['stands_before'] -%}
    set variable period_member = {{ quoted(month['member_iso2']) }};
    set variable period_from = date {{ quoted(stands_before or month['first_day']) }};
    set variable period_to = date {{ quoted(month['last_day']) }};
    copy (
        {%- if stands_before %}
        select {{ columns | join(', ') }}
        from read_parquet({{ quoted(folder ~ '.parquet/' ~ month['file_name']) }})
        where registered_date < date {{ quoted(stands_before) }}
        union all
        {%- endif %}
        select {{ columns | join(', ') }} from (
            {{ sql }}
        )
        order by {{ key }}
    ) to {{ quoted(folder ~ '.staged/' ~ month['file_name']) }} (format parquet, compression zstd, preserve_order true)
{%- endmacro %}

{#- List of the files that stand after the swap, as SQL: the staged ones, and in a build in parts the others. -#}
{% macro files_after_swap(folder, staged, partial) -%}
    {%- set found = [] -%}
    {%- for name in staged %}{% do found.append(quoted(folder ~ '.staged/' ~ name)) %}{% endfor -%}
    {%- if partial -%}
        {%- set standing = run_query("select file from glob(" ~ quoted(folder ~ '.parquet/*.parquet') ~ ") order by file") -%}
        {%- for row in standing.rows if row['file'].rsplit('/', 1)[-1] not in staged -%}
            {%- do found.append(quoted(row['file'])) -%}
        {%- endfor -%}
    {%- endif -%}
    [{{ found | join(', ') }}]
{%- endmacro %}
