-- noqa: disable=LT02
-- What was known of an entity when a day on which it declares began. Totals run over the entity's own
-- days, of items and of labels, and stop before the day itself: the as-of answer stands ready, and an item
-- finds it by (entity, day) with a hash join where an ASOF join would sort all items once per entity.
{% for entity in all_entities() %}
    {%- if not loop.first %}

union all

    {% endif -%}
    select
        '{{ entity }}' as entity_kind,
        entity_key,
        state_date as registered_date,
        cast(coalesce(sum(items_on_day) over before_{{ entity }}, 0) as integer) as items_n,
        cast(coalesce(sum(labelled_on_day) over before_{{ entity }}, 0) as integer) as labelled_n,
        cast(coalesce(sum(irregular_on_day) over before_{{ entity }}, 0) as integer) as irregular_n,
        min(seen_date) over before_{{ entity }} as first_seen_date,
        max(seen_date) over before_{{ entity }} as last_seen_date
    from (
        select
            entity_key,
            state_date,
            count(seen_date) as items_on_day,
            count(is_irregular) as labelled_on_day,
            count(*) filter (where is_irregular) as irregular_on_day,
            max(seen_date) as seen_date
        from (
            select
                {{ entity }}_key as entity_key,
                registered_date as state_date,
                registered_date as seen_date,
                null as is_irregular
            from {{ ref('int_declaration_items__entity_keys') }}
            union all
            select
                {{ entity }}_key as entity_key,
                label_visible_after_date as state_date,
                null as seen_date,
                is_irregular
            from {{ ref('int_declaration_items__entity_keys') }}
            where label_visible_after_date is not null
        )
        where entity_key is not null
        group by all
    )
    window
        before_{{ entity }} as (
            partition by entity_key
            order by state_date
            rows between unbounded preceding and 1 preceding
        )
    qualify items_on_day > 0
{%- endfor %}
