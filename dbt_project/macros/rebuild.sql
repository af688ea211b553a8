{#-
    A build in parts makes anew, member by member, the days from the first one that a change can be felt on
    (`int_rebuild_windows`), and leaves the days before and the other members as they stand.
-#}

{#- Whether this build is one in parts: an earlier one was completed and nobody asked for all of it. -#}
{% macro is_partial_build() -%}
    {%- do return(execute and not flags.FULL_REFRESH and standing('int_inputs__before') is not none) -%}
{%- endmacro %}

{#- A table as the last build left it. Not `ref`: what is built from it comes earlier in this build. -#}
{% macro standing(name) -%}
    {%- do return(adapter.get_relation(database=this.database, schema='intermediate', identifier=name)) -%}
{%- endmacro %}

{#-
    Put what the last complete build was made of aside, and with it the claim that the standing features are
    complete: a build that does not come to its end is followed by one of everything.
-#}
{% macro begin_build() -%}
    {%- if execute -%}
        {%- set before = standing('int_inputs__before') -%}
        {%- set built = standing('int_inputs__built') -%}
        {%- if before is not none -%}{%- do adapter.drop_relation(before) -%}{%- endif -%}
        {%- if built is not none -%}
            {%- set before = api.Relation.create(
                database=this.database, schema='intermediate', identifier='int_inputs__before', type='table'
            ) -%}
            {%- do adapter.rename_relation(built, before) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Before a model adds the days that are made anew: delete what stands there. -#}
{% macro delete_from_rebuilt_days(date_column) -%}
    delete from {{ this }} as standing
    using {{ ref('int_rebuild_windows') }} as windows
    where standing.member_iso2 = windows.member_iso2 and standing.{{ date_column }} >= windows.from_date
{%- endmacro %}

{#- The same for what is kept by month. -#}
{% macro delete_from_rebuilt_months(month_column) -%}
    delete from {{ this }} as standing
    using {{ ref('int_rebuild_windows') }} as windows
    where
        standing.member_iso2 = windows.member_iso2
        and standing.{{ month_column }} >= date_trunc('month', windows.from_date)
{%- endmacro %}

{#- Before a model of items adds those that new extracts tell about: delete what it has of them. -#}
{% macro delete_touched_items() -%}
    delete from {{ this }} as standing
    where standing.item_index in (
        select changes.item_index from {{ ref('int_declaration_items__changes') }} as changes
    )
{%- endmacro %}

{#- The same for headers. -#}
{% macro delete_touched_declarations() -%}
    delete from {{ this }} as standing
    where (standing.member_iso2, standing.declaration_id) in (
        select (changes.member_iso2, changes.declaration_id)
        from {{ ref('int_declarations__changes') }} as changes
    )
{%- endmacro %}

{#- Digest of what a header says of freight and insurance, which its items share; null where it says nothing. -#}
{% macro charges_fingerprint(headers) -%}
    case
        when coalesce({{ headers }}.total_freight, {{ headers }}.total_insurance) is not null
            then hash(
                {{ headers }}.total_freight, {{ headers }}.total_insurance, {{ headers }}.total_declared_value,
                {{ headers }}.freight_currency_code, {{ headers }}.currency_code
            )
    end
{%- endmacro %}

{#-
    Digest of what an item declares: everything but what became of it, and where the row came from.
    `derived` names columns that the query has computed besides.
-#}
{% macro declared_fingerprint(derived=[]) -%}
    {%- set others = [
        'item_index', 'label_visible_after_date', 'cancelled_visible_after_date', 'item_version', 'sequence_no',
        'extract_id', 'source_file', 'source_line', 'sendings_n'
    ] -%}
    hash(*columns(* exclude ({{ (outcome_columns() + others + derived) | join(', ') }})))
{%- endmacro %}

{#- Columns of an item that its latest row gives: what became of it, and where that was read. -#}
{% macro outcome_columns() -%}
    {%- do return(header_outcome_columns() + [
        'assessed_value', 'recovered_tax', 'assessed_hs6', 'assessed_origin_iso2', 'assessed_net_kg'
    ]) -%}
{%- endmacro %}
