-- noqa: disable=LT02
-- Each level's median and spread is drawn towards the next wider one, the more the fewer items it rests on:
-- (n * own + a * wider) / (n + a), from all goods of the member down to the subheading and origin.
{{ config(materialized='view') }}
{% set levels = {
    'member': 'member_key',
    'chapter': 'chapter_key',
    'heading': 'heading_key',
    'hs6': 'hs6_key',
    'hs6_origin': 'hs6_origin_key'
} %}
{% set prior = var('reference_prior_items') %}

with found as (
    select
        items.item_index,
        items.member_iso2,
        items.registered_date
        {%- for level in levels %},
        coalesce({{ level }}.items_n, 0) as {{ level }}_n,
        {%- set wider = loop.previtem %}
        {%- for figure, name in {'median': 'reference', 'median_absolute_deviation': 'spread'}.items() %}
        {%- if wider is not defined %}
        {{ level }}.{{ figure }} as {{ level }}_{{ name }}{{ ',' if not loop.last }}
        {%- else %}
        coalesce(
            ({{ level }}.items_n * {{ level }}.{{ figure }} + {{ prior }} * {{ wider }}_{{ name }})
            / ({{ level }}.items_n + {{ prior }}),
            {{ wider }}_{{ name }}
        ) as {{ level }}_{{ name }}{{ ',' if not loop.last }}
        {%- endif %}
        {%- endfor %}
        {%- endfor %}
    from {{ ref('int_declaration_items__valued') }} as items
    {%- for level, key in levels.items() %}
    left join {{ ref('int_reference_distributions') }} as {{ level }}
        on
            {{ level }}.measure = 'usd_per_kg'
            and {{ level }}.reference_level = '{{ level }}'
            and {{ in_period(level, 'reference_month', days_before=31) }}
            and items.{{ key }} = {{ level }}.reference_key
            and date_trunc('month', items.registered_date) = {{ level }}.reference_month
    {%- endfor %}
    where {{ in_period('items') }}
)

select
    item_index,
    member_iso2,
    registered_date,
    -- The finest level with items enough for a reference of its own.
    case
        when hs6_origin_n > 0 then 1
        when hs6_n > 0 then 2
        when heading_n > 0 then 3
        when chapter_n > 0 then 4
        when member_n > 0 then 5
    end as reference_level,
    case reference_level
        when 1 then hs6_origin_n
        when 2 then hs6_n
        when 3 then heading_n
        when 4 then chapter_n
        when 5 then member_n
    end as reference_n,
    case when reference_level is not null then hs6_origin_reference end as reference_ln_unit_value,
    case when reference_level is not null then hs6_origin_spread end as reference_spread
from found
