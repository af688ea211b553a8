{{ config(materialized='view') }}

with rated as (
    select
        items.*,
        -- A dollar is a dollar, whether or not the member's table says so.
        coalesce(
            cast(rates.units_per_usd as double), case when items.currency_code = 'USD' then 1.0 end
        ) as units_per_usd
    from {{ ref('int_declaration_items__current') }} as items
    asof left join {{ ref('int_exchange_rates__current') }} as rates
        on
            items.member_iso2 = rates.member_iso2
            and items.currency_code = rates.currency_code
            and items.registered_date >= rates.valid_from_date
)

select
    item_index,
    member_iso2,
    registered_date,
    units_per_usd,
    declared_value / units_per_usd as declared_value_usd,
    coalesce(declared_tax, cast(declared_value as double) * tax_rate_pct / 100) / units_per_usd
        as declared_tax_usd,
    assessed_value / units_per_usd as assessed_value_usd,
    recovered_tax / units_per_usd as recovered_tax_usd,
    -- ln(value / mass), never ln(value) / ln(mass).
    case
        when declared_value > 0 and net_kg > 0
            then ln(declared_value / units_per_usd / cast(net_kg as double))
    end as ln_unit_value_usd_per_kg,
    case
        when declared_value > 0 and supplementary_qty > 0
            then ln(declared_value / units_per_usd / cast(supplementary_qty as double))
    end as ln_unit_value_usd_per_supplementary_unit,
    case
        when net_kg > 0 and supplementary_qty > 0
            then ln(cast(net_kg as double) / cast(supplementary_qty as double))
    end as ln_kg_per_supplementary_unit,
    case
        when net_kg > 0 and gross_kg > 0 then ln(cast(gross_kg as double) / cast(net_kg as double))
    end as ln_gross_to_net
from rated
