-- A view: currencies and days are few, so that their rates are found once, not item by item.
{{ config(materialized='view') }}

with days as (
    select distinct
        items.member_iso2,
        items.registered_date
    from {{ ref('int_declaration_items__rebuilt') }} as items
),

-- A dollar is a dollar, whether or not the member's table says so.
currencies as (
    select
        member_iso2,
        currency_code
    from {{ ref('int_exchange_rates__current') }}
    union
    select
        member_iso2,
        'USD' as currency_code
    from days
)

select
    needed.member_iso2,
    needed.registered_date,
    needed.currency_code,
    coalesce(
        cast(known.units_per_usd as double), case when needed.currency_code = 'USD' then 1.0 end
    ) as units_per_usd
from (
    select
        days.member_iso2,
        days.registered_date,
        currencies.currency_code
    from days
    inner join currencies on days.member_iso2 = currencies.member_iso2
) as needed
asof left join {{ ref('int_exchange_rates__current') }} as known
    on
        needed.member_iso2 = known.member_iso2
        and needed.currency_code = known.currency_code
        and needed.registered_date >= known.valid_from_date
