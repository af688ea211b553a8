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

{#- Forget what is about to be made anew: everything, or in a build in parts its months. -#}
{% macro forget_samples(months, columns, partial) -%}
    {%- set samples = samples_of(this) -%}
    {%- if not partial %}{% do run_query("drop table if exists " ~ samples) %}{% endif -%}
    {%- do run_query(
        "create table if not exists " ~ samples
        ~ " (member_iso2 varchar, month date, items_n bigint, feature varchar, known_values double[])"
    ) -%}
    {%- for month in months if partial -%}
        {%- do run_query(
            "delete from " ~ samples ~ " where member_iso2 = " ~ quoted(month['member_iso2'])
            ~ " and month = date " ~ quoted(month['first_day'])
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{#- Statements that add the months of a batch: from memory, or from the file just written where it was not there. -#}
{% macro sample_batch(folder, batch, columns, direct) -%}
    {%- set in_memory = [] -%}
    {%- for month in batch if month['items_n'] > 0 -%}
        {%- if direct or month['stands_before'] -%}
            {{ add_samples(
                "read_parquet(" ~ quoted(folder ~ '.staged/' ~ month['file_name']) ~ ")",
                "hash(declaration_id, item_no) / 18446744073709551616.0 < " ~ sampled_share(month), columns
            ) }}
        {%- else -%}
            {%- do in_memory.append(
                "(" ~ quoted(month['member_iso2']) ~ ", date " ~ quoted(month['first_day']) ~ ", " ~ sampled_share(month) ~ ")"
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if in_memory -%}
        {%- set chosen -%}
            rowid in (
                select batch.rowid
                from mart_batch as batch
                inner join (values {{ in_memory | join(', ') }}) as asked (member_iso2, month, share)
                    on batch.member_iso2 = asked.member_iso2
                    and date_trunc('month', batch.registered_date) = asked.month
                where hash(batch.declaration_id, batch.item_no) / 18446744073709551616.0 < asked.share
            )
        {%- endset -%}
        {{ add_samples('mart_batch', chosen, columns) }}
    {%- endif -%}
{%- endmacro %}

{#- Share of a month's items in its sample, as SQL. -#}
{% macro sampled_share(month) -%}
    cast({{ var('feature_drift')['sampled_items'] }} as double) / {{ month['items_n'] }}
{%- endmacro %}

{#- Statement that adds the sampled rows of a relation: one row per member, month and feature. -#}
{% macro add_samples(source, chosen, columns) -%}
    {%- set features = features_among(columns) %}
    insert into {{ samples_of(this) }} by name
    from (
        select
            member_iso2,
            cast(date_trunc('month', registered_date) as date) as month,
            count(*) as items_n
            {%- for feature in features %},
            list_sort(list(cast({{ feature }} as double)) filter (where {{ feature }} is not null)) as {{ feature }}
            {%- endfor %}
        from {{ source }}
        where {{ chosen }}
        group by all
    )
    unpivot include nulls (known_values for feature in ({{ features | join(', ') }}));
{%- endmacro %}
