{#-
    A mart as one Parquet file per member and month of registration, each in the order of the primary key:
    the same rows give the same bytes, memory is that of a large month, and a build in parts writes the months
    that it touches and no other. Months with few items are computed together, which saves planning.

    Files are written to `<table>.staged` beside the standing folder `<table>.parquet`. The relation in the
    warehouse is a view over what would stand after the swap, so that dbt's tests see it before readers do;
    `tidewaiter.marts.swap_staged` then puts the files in place.

    config `rebuilds`: `days` makes anew everything from the first day of the member's rebuild window,
    `changed_items` the months of items that changed as well.
    config `sampled`: keep values of a few items of each month, see `feature_sample.sql`.
-#}
{% materialization parquet_by_month, adapter='duckdb' %}
    {%- set target = this.incorporate(type='view') -%}
    {%- set folder = env_var('TIDEWAITER_HOME') ~ '/marts/' ~ this.schema ~ '/' ~ this.identifier -%}
    {%- set columns = model['columns'].keys() | list -%}
    {%- set key = config.require('meta')['primary_key'] | join(', ') -%}
    {%- set partial = is_partial_build() -%}
    {{- run_hooks(pre_hooks) -}}
    {%- if config.get('contract').enforced %}{{ get_assert_columns_equivalent(sql) }}{% endif -%}

    {%- set months = run_query(months_to_build(folder, partial, config.require('rebuilds'))).rows -%}
    {%- set files = months | map(attribute='file_name') | list -%}
    {%- set sampled = config.get('sampled', false) -%}
    {%- if sampled %}{% do begin_samples(months, sql, columns, partial) %}{% endif -%}
    {%- for batch in batches(months, var('mart_batch_items')) -%}
        {%- do run_query(write_batch(folder, batch, sql, columns, key, sampled)) -%}
    {%- endfor -%}
    {%- if sampled %}{% do end_samples(columns) %}{% endif -%}
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
    {%- set items = ref('int_declaration_items__valued') -%}
    {%- set changes = ref('int_declaration_items__changes') -%}
    {%- set windows = ref('int_rebuild_windows') -%}
    with standing_files as (
        select
            parse_filename(file, true) as stem,
            left(stem, length(stem) - 8) as member_iso2,
            try_cast(right(stem, 7) || '-01' as date) as month
        from glob({{ quoted(folder ~ '.parquet/*-????-??.parquet') }})
    ),

    months as (
        select
            member_iso2,
            date_trunc('month', registered_date)::date as month,
            count(*) as items_n
        from {{ items }}
        group by all
    ),

    asked as (
        select
            items.member_iso2,
            items.month
        from months as items
        inner join {{ windows }} as windows on items.member_iso2 = windows.member_iso2
        where items.month >= date_trunc('month', windows.from_date)
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
        where items.item_index in (select changes.item_index from {{ changes }} as changes)
        {%- endif %}
        {%- endif %}
    )

    select
        asked.member_iso2,
        coalesce(months.items_n, 0) as items_n,
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
    left join months on asked.member_iso2 = months.member_iso2 and asked.month = months.month
    left join {{ windows }} as windows on asked.member_iso2 = windows.member_iso2
    left join standing_files as files on asked.member_iso2 = files.member_iso2 and asked.month = files.month
    order by asked.month, asked.member_iso2
{%- endmacro %}

{#- Months one after the other, as many together as have no more items than fit in memory at once. -#}
{% macro batches(months, items_at_most) -%}
    {%- set found = [] -%}
    {%- set count = namespace(items=0) -%}
    {%- for month in months -%}
        {%- if not found or count.items + month['items_n'] > items_at_most -%}
            {%- do found.append([]) -%}
            {%- set count.items = 0 -%}
        {%- endif -%}
        {%- do found[-1].append(month) -%}
        {%- set count.items = count.items + month['items_n'] -%}
    {%- endfor -%}
    {%- do return(found) -%}
{%- endmacro %}

{#-
    Statements that write the files of a batch: rows of days that stand from the standing file, others anew. A
    month that stands in part, or has more items than fit, is written as it is computed.

    Files of a single row group are written by one thread: two take as long, and twice the processor time, as
    the one that waits does so at full speed.
-#}
{% macro write_batch(folder, batch, sql, columns, key, sampled=false) -%}
    {%- set one = batch | length == 1 -%}
    {%- set direct = one and (batch[0]['stands_before'] or batch[0]['items_n'] > var('mart_batch_items')) -%}
    {%- set select = 'select ' ~ columns | join(', ') -%}
    {{ 'set variable period_member = ' ~ quoted(batch[0]['member_iso2']) if one else 'reset variable period_member' }};
    set variable period_from = date {{ quoted((one and batch[0]['stands_before']) or batch[0]['first_day']) }};
    set variable period_to = date {{ quoted(batch[-1]['last_day']) }};
    {%- if not direct %}
    create or replace temp table mart_batch as {{ select }} from (
        {{ sql }}
    );
    {%- endif %}
    {%- for month in batch %}
    {%- set stands_before = month['stands_before'] %}
    {%- set is_one_group = not direct and month['items_n'] <= 122880 %}
    {{ 'set threads = 1;' if is_one_group }}
    copy (
        {%- if stands_before %}
        {{ select }}
        from read_parquet({{ quoted(folder ~ '.parquet/' ~ month['file_name']) }})
        where registered_date < date {{ quoted(stands_before) }}
        union all
        {%- endif %}
        {%- if direct %}
        {{ select }} from (
            {{ sql }}
        )
        {%- else %}
        {{ select }}
        from mart_batch
        where
            member_iso2 = {{ quoted(month['member_iso2']) }}
            and registered_date between date {{ quoted(stands_before or month['first_day']) }}
            and date {{ quoted(month['last_day']) }}
        {%- endif %}
        order by {{ key }}
    ) to {{ quoted(folder ~ '.staged/' ~ month['file_name']) }}
    {{ parquet_options() }};
    {{ 'set threads = ' ~ env_var('TIDEWAITER_THREADS', '2') ~ ';' if is_one_group }}
    {%- endfor %}
    {%- if sampled %}
    {{ sample_batch(folder, batch, columns, direct) }}
    {%- endif %}
    {%- if not direct %}
    drop table mart_batch;
    {%- endif %}
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

{#- How marts are written. Larger dictionaries and closer compression cost more time than they save space. -#}
{% macro parquet_options() -%}
    (format parquet, compression zstd, compression_level 1, dictionary_size_limit 1000, preserve_order true)
{%- endmacro %}
