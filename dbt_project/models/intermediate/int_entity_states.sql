-- noqa: disable=LT02
-- What was known of an entity when a day on which it declares began: its ledger summed up to the day before.
-- Only the days that this build makes anew: what the ledger holds of earlier ones goes in as one row.
-- depends_on: {{ ref('int_rebuild_windows') }}, {{ ref('int_declaration_items__entity_keys') }}
{{ config(materialized='in_parts', parts='day_entities', beside_others=true) }}
{% for entity in day_entities() %}
    {%- if not loop.first %}

union all

    {% endif -%}
(
    select
        '{{ entity }}' as entity_kind,
        entity_key,
        registered_date,
        {{ state_columns(entity) }}
    from (
        select
            entity_key,
            registered_date,
            is_asked,
            {%- if entity in var('dated_entities') %}
            first_value(first_date) over by_day as first_date,
            max(last_date) over before as last_date,
            {%- endif %}
            {%- if entity in var('decayed_entities') %}
            {%- for count in ['items', 'labelled', 'irregular'] %}
            coalesce(sum({{ count }}_weight) over before, 0) as {{ count }}_weight,
            {%- endfor %}
            {%- endif %}
            coalesce(sum(labels) over before, 0) as labels,
            coalesce(sum(items) over before, 0) as items
        from ({{ entity_history(entity) }})
        window
            before as (
                partition by entity_key
                order by registered_date
                rows between unbounded preceding and 1 preceding
            ),
            by_day as (
                partition by entity_key
                order by registered_date
            )
    )
    where is_asked and '{{ entity }}' = coalesce(getvariable('entity'), '{{ entity }}')
    order by registered_date
)
{%- endfor %}
