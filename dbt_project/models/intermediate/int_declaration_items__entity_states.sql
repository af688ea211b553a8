-- noqa: disable=LT02,LT05
-- What was known of an item's entities when its day began, for entities of many keys with few items each: what
-- happened on earlier days, summed item by item. Only the items that this build makes anew.
{{ config(materialized='in_parts', parts='item_entities') }}
{% set two_to_26 = 2 ** 26 %}
{% for entity in item_entities() %}
    {%- set is_profiled = entity in var('entities') %}
    {%- set is_decayed = entity in var('decayed_entities') %}
    {%- set is_dated = entity in var('dated_entities') %}
    {%- set is_taxed = entity == 'importer_heading' %}
    {%- if not loop.first %}

union all

    {% endif -%}
(
    select
        '{{ entity }}' as entity_kind,
        item_index,
        registered_date,
        cast(items_n as integer) as items_n,
        cast({{ 'labels // ' ~ two_to_26 if is_profiled else 'null' }} as integer) as labelled_n,
        cast({{ 'labels % ' ~ two_to_26 if is_profiled else 'null' }} as integer) as irregular_n,
        {%- for count in ['items', 'labelled', 'irregular'] %}
        {%- if is_decayed %}
        {{ count }}_weight / {{ decay_weight('registered_date') }} as recent_{{ count }}_n,
        {%- else %}
        cast(null as double) as recent_{{ count }}_n,
        {%- endif %}
        {%- endfor %}
        {{ 'if(first_date < registered_date, first_date, null)' if is_dated else 'cast(null as date)' }} as first_seen_date,
        {{ 'last_date' if is_dated else 'cast(null as date)' }} as last_seen_date,
        {{ 'tax_rate_pct / nullif(taxed, 0) / 10000' if is_taxed else 'cast(null as double)' }} as mean_tax_rate_pct
    from (
        select
            item_index,
            registered_date,
            {%- if is_profiled %}
            coalesce(sum(labels) over earlier_days, 0) as labels,
            {%- endif %}
            {%- if is_decayed %}
            {%- for count in ['items', 'labelled', 'irregular'] %}
            coalesce(sum({{ count }}_weight) over earlier_days, 0) as {{ count }}_weight,
            {%- endfor %}
            {%- endif %}
            {%- if is_dated %}
            -- The first happening of an entity is an item: labels and cancellations follow one.
            first_value(first_date ignore nulls) over by_day as first_date,
            max(last_date) over earlier_days as last_date,
            {%- endif %}
            {%- if is_taxed %}
            sum(tax_rate_pct) over earlier_days as tax_rate_pct,
            sum(taxed) over earlier_days as taxed,
            {%- endif %}
            coalesce(sum(items) over earlier_days, 0) as items_n
        from ({{ item_history(entity) }})
        window
            earlier_days as (
                partition by entity_key
                order by registered_date
                groups between unbounded preceding and 1 preceding
            ),
            by_day as (
                partition by entity_key
                order by registered_date
            )
    )
    where item_index is not null and '{{ entity }}' = coalesce(getvariable('entity'), '{{ entity }}')
    order by registered_date
)
{%- endfor %}
