{{ config(materialized='view') }}

select
    items.item_index,
    items.member_iso2,
    items.registered_date,
    rates.statutory_rate_pct,
    rates.general_rate_pct,
    items.registered_date - rates.since_date as days_since_rate_change
from {{ ref('int_declaration_items__valued') }} as items
asof left join {{ ref('int_tariff_rates__applicable') }} as rates
    on
        items.tariff_key = rates.tariff_key
        and items.registered_date >= rates.valid_from_date
where {{ in_period('items') }}
