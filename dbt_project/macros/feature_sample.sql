{#-
    Values of a few items of each member and month, kept beside a mart while its rows are in memory: to find a
    few hundred items of each month in the files would mean to read all of them. An item is in the sample by the
    hash of its key, so the same items are whoever builds, and as many of a small month as of a large one.
-#}

{#- The table that holds them: one row per member, month and feature of the mart. -#}
{% macro samples_of(relation) -%}
    {%- do return(api.Relation.create(
        database=relation.database, schema='intermediate', identifier=relation.identifier ~ '__sample', type='table'
    )) -%}
{%- endmacro %}

{#- Columns of the mart that are features. -#}
{% macro features_among(columns) -%}
    {%- set found = [] -%}
    {%- for name in columns if '__' in name %}{% do found.append(name) %}{% endfor -%}
    {%- do return(found) -%}
{%- endmacro %}

{#-
    Forget what is about to be made anew: everything, or in a build in parts its months. Sampled items wait in a
    temporary table until all are there: hundreds of columns are made lists once, not batch by batch.
-#}
{% macro begin_samples(months, sql, columns, partial) -%}
    {%- set samples = samples_of(this) -%}
    {%- if not partial %}{% do run_query("drop table if exists " ~ samples) %}{% endif -%}
    {%- do run_query(
        "create table if not exists " ~ samples
        ~ " (member_iso2 varchar, month date, items_n bigint, feature varchar, known_values double[])"
    ) -%}
    {%- do run_query(
        "create or replace temp table mart_sample as select " ~ sample_columns(columns) ~ " from (" ~ sql ~ ") limit 0"
    ) -%}
    {%- for month in months if partial -%}
        {%- do run_query(
            "delete from " ~ samples ~ " where member_iso2 = " ~ quoted(month['member_iso2'])
            ~ " and month = date " ~ quoted(month['first_day'])
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{#- What is kept of a sampled item. -#}
{% macro sample_columns(columns) -%}
    {{ (['member_iso2', 'registered_date'] + features_among(columns)) | join(', ') }}
{%- endmacro %}

{#- Statements that sample the months of a batch: from memory, or from the file just written where it was not there. -#}
{% macro sample_batch(folder, batch, columns, direct) -%}
    {%- set drawn = 'hash(batch.declaration_id, batch.item_no) / 18446744073709551616.0' -%}
    {%- set in_memory = [] -%}
    {%- for month in batch if month['items_n'] > 0 -%}
        {%- if direct or month['stands_before'] %}
        insert into mart_sample
        select {{ sample_columns(columns) }}
        from read_parquet({{ quoted(folder ~ '.staged/' ~ month['file_name']) }}) as batch
        where {{ drawn }} < {{ sampled_share(month) }};
        {%- else -%}
            {%- do in_memory.append(
                "(" ~ quoted(month['member_iso2']) ~ ", date " ~ quoted(month['first_day']) ~ ", " ~ sampled_share(month) ~ ")"
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if in_memory %}
        insert into mart_sample
        select {{ sample_columns(columns) }}
        from mart_batch
        where rowid in (
            select batch.rowid
            from mart_batch as batch
            inner join (values {{ in_memory | join(', ') }}) as asked (member_iso2, month, share)
                on batch.member_iso2 = asked.member_iso2
                and date_trunc('month', batch.registered_date) = asked.month
            where {{ drawn }} < asked.share
        );
    {%- endif -%}
{%- endmacro %}

{#- Share of a month's items in its sample, as SQL. -#}
{% macro sampled_share(month) -%}
    cast({{ var('feature_drift')['sampled_items'] }} as double) / {{ month['items_n'] }}
{%- endmacro %}

{#- Add what was sampled: one row per member, month and feature. -#}
{% macro end_samples(columns) -%}
    {%- set features = features_among(columns) -%}
    {%- set statements %}
    insert into {{ samples_of(this) }} by name
    select
        member_iso2,
        month,
        feature,
        items_n,
        list_sort(known_values) as known_values
    from (
        select
            member_iso2,
            month,
            feature,
            count(*) as items_n,
            list(value) filter (where value is not null) as known_values
        from (
            select
                member_iso2,
                cast(date_trunc('month', registered_date) as date) as month
                {%- for feature in features %},
                cast({{ feature }} as double) as {{ feature }}
                {%- endfor %}
            from mart_sample
        )
        unpivot include nulls (value for feature in ({{ features | join(', ') }}))
        group by all
    );
    drop table mart_sample;
    {%- endset -%}
    {%- do run_query(statements) -%}
{%- endmacro %}
