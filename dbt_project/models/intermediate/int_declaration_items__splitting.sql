-- noqa: disable=LT02
-- Parts of one consignment: what the same party (importer, else seller) declared under the same heading in
-- the hours before, to the instant, and whether they are a split one: each below the de minimis value of the
-- member, and their sum not. Whole cents, whose sums are exact in whatever order.
{{ config(materialized='view') }}
{% set days_before = var('splitting_hours') // 24 + 1 %}

with by_party as (
    select
        items.item_index,
        items.member_iso2,
        items.registered_date,
        epoch_us(items.registered_at) as registered_us,
        items.party_heading_key,
        round(items.declared_value_usd * 100) as value_us_cents
    from {{ ref('int_declaration_items__valued') }} as items
    where
        {{ in_period('items', days_before=days_before) }}
        and items.party_heading_key is not null
),

with_earlier as (
    select
        *,
        count(*) over earlier as earlier_items_n,
        coalesce(sum(value_us_cents) over earlier, 0) / 100 as earlier_value_usd,
        coalesce(max(value_us_cents) over earlier, 0) / 100 as largest_earlier_value_usd
    from by_party
    window
        earlier as (
            partition by party_heading_key
            order by registered_us
            range between {{ var('splitting_hours') * 3600000000 }} preceding and 1 preceding
        )
),

with_threshold as (
    select
        with_earlier.*,
        with_earlier.value_us_cents / 100 as value_usd,
        case
            {%- for member, threshold in var('member_de_minimis_usd').items() %}
            when with_earlier.member_iso2 = '{{ member }}' then {{ threshold }}
            {%- endfor %}
            when true then {{ var('de_minimis_usd') }}
        end as de_minimis_usd
    from with_earlier
    where {{ in_period('with_earlier') }}
)

select
    item_index,
    member_iso2,
    registered_date,
    earlier_items_n,
    earlier_value_usd,
    value_usd < de_minimis_usd and largest_earlier_value_usd < de_minimis_usd
    and value_usd + earlier_value_usd >= de_minimis_usd as is_sum_above_threshold,
    value_usd / de_minimis_usd as value_to_threshold_ratio
from with_threshold
