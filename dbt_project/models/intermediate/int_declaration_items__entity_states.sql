-- noqa: disable=LT02,LT05,AM04
-- What was known of an item's entities when its day began, for entities of many keys with few items each: what
-- happened on earlier days, summed item by item. Only the items that this build makes anew.
-- depends_on: {{ ref('int_rebuild_windows') }}
{{ config(materialized='in_parts', parts='item_entities', beside_others=true) }}
{% for entity in item_entities() %}
    {%- set sums = summed_by_item(entity) %}
    {%- if not loop.first %}

union all

    {% endif -%}
(
    with asked as ({{ asked_keys(entity) }}),

    summed as (
        select
            item_index,
            registered_date,
            {%- if entity in var('dated_entities') %}
            first_value(first_date) over by_day as first_date,
            max(last_date) over earlier_days as last_date,
            {%- endif %}
            {%- for name in sums %}
            coalesce(sum({{ name }}) over earlier_days, 0) as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
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
    ),

    -- Of an entity that never came before nothing can be known, and most keys come but once.
    all_items as (
        select *
        from summed
        where item_index is not null
        {%- if not is_partial_build() %}
        union all
        select
            keys.item_index,
            keys.registered_date,
            {%- if entity in var('dated_entities') %}
            null as first_date,
            null as last_date,
            {%- endif %}
            {%- for name in sums %}
            0 as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ ref('int_declaration_items__entity_keys') }} as keys
        anti join asked on keys.{{ entity }}_key = asked.entity_key
        where keys.{{ entity }}_key is not null and '{{ entity }}' = coalesce(getvariable('entity'), '{{ entity }}')
        {%- endif %}
    )

    select
        '{{ entity }}' as entity_kind,
        item_index,
        registered_date,
        {{ state_columns(entity) }},
        {{ 'tax_rate_pct / nullif(taxed, 0) / 10000' if entity == 'importer_heading' else 'cast(null as double)' }}
            as mean_tax_rate_pct
    from all_items
    order by registered_date
)
{%- endfor %}
