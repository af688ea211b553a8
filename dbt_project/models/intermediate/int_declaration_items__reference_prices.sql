-- noqa: disable=LT02
-- Each level's reference is the median of earlier items; its spread is the median distance that earlier
-- items had from the reference of *their* day. That equals a median absolute deviation that never looks
-- back with later knowledge, and needs no second pass over the past for every day.
{% set levels = {
    'hs6_origin': ['hs6', 'origin_iso2'],
    'hs6': ['hs6'],
    'heading': ['heading_code']
} %}

with priced as (
    select
        items.item_index,
        items.member_iso2,
        items.registered_date - date '1970-01-01' as registered_day,
        items.hs6,
        items.heading_code,
        items.origin_iso2,
        valued.ln_unit_value_usd_per_kg as ln_unit_value
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_declaration_items__valued') }} as valued using (item_index)
    where valued.ln_unit_value_usd_per_kg is not null
),

medians as (
    select
        *
        {%- for level in levels %},
        median(ln_unit_value) over earlier_in_{{ level }} as {{ level }}_median,
        count(*) over earlier_in_{{ level }} as {{ level }}_n,
        abs(ln_unit_value - {{ level }}_median) as {{ level }}_distance
        {%- endfor %}
    from priced
    window
        {%- for level, columns in levels.items() %}
        earlier_in_{{ level }} as (
            partition by member_iso2, {{ columns | join(', ') }}
            order by registered_day
            range between {{ var('reference_price_days') }} preceding and 1 preceding
        ){{ "," if not loop.last }}
        {%- endfor %}
),

spreads as (
    select
        *
        {%- for level in levels %},
        median({{ level }}_distance) over earlier_in_{{ level }} as {{ level }}_spread
        {%- endfor %}
    from medians
    window
        {%- for level, columns in levels.items() %}
        earlier_in_{{ level }} as (
            partition by member_iso2, {{ columns | join(', ') }}
            order by registered_day
            range between {{ var('reference_price_days') }} preceding and 1 preceding
        ){{ "," if not loop.last }}
        {%- endfor %}
),

levelled as (
    select
        *,
        case
            {%- for level in levels %}
            when {{ level }}_n >= {{ var('reference_price_min_items') }} then {{ loop.index }}
            {%- endfor %}
        end as reference_level
    from spreads
)

select
    item_index,
    ln_unit_value,
    reference_level,
    case reference_level
        {%- for level in levels %}
        when {{ loop.index }} then {{ level }}_median
        {%- endfor %}
    end as reference_ln_unit_value,
    case reference_level
        {%- for level in levels %}
        when {{ loop.index }} then {{ level }}_spread
        {%- endfor %}
    end as reference_spread,
    case reference_level
        {%- for level in levels %}
        when {{ loop.index }} then {{ level }}_n
        {%- endfor %}
    end as reference_n
from levelled
