-- noqa: disable=LT02
-- depends_on: {{ ref('int_rebuild_windows') }}
-- Amounts in USD, each at its own currency's rate of the day of registration, and the value on one basis.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook=["{{ delete_from_rebuilt_days('registered_date') }}", "{{ delete_replaced_items() }}"]
) }}

with charges_of_headers as (
    select
        declared.item_index,
        totals.total_freight,
        totals.total_insurance,
        coalesce(totals.freight_currency_code, totals.currency_code) as freight_currency_code,
        cast(declared.declared_value as double)
        / nullif(cast(
            coalesce(
                totals.total_declared_value,
                sum(declared.declared_value) over (
                    partition by declared.member_iso2, declared.declaration_id
                )
            ) as double
        ), 0) as share_of_value
    from {{ ref('int_declaration_items__current') }} as declared
    inner join {{ ref('int_declarations__current') }} as totals
        on
            declared.member_iso2 = totals.member_iso2
            and declared.declaration_id = totals.declaration_id
    where totals.total_freight is not null or totals.total_insurance is not null
),

items as (
    select
        items.*,
        -- Freight and insurance that are declared once per declaration, by value: as customs apportions them.
        coalesce(items.declared_freight, headers.total_freight * headers.share_of_value) as freight,
        coalesce(items.declared_insurance, headers.total_insurance * headers.share_of_value) as insurance,
        if(
            items.declared_freight is null and items.declared_insurance is null,
            coalesce(headers.freight_currency_code, items.freight_currency_code),
            items.freight_currency_code
        ) as charges_currency_code
    from {{ ref('int_declaration_items__current') }} as items
    left join charges_of_headers as headers on items.item_index = headers.item_index
    {%- if is_incremental() %}
    anti join {{ this }} as standing on items.item_index = standing.item_index
    {%- endif %}
),

-- Few items have freight or taxes in a currency of their own: their rates are found apart.
other_rates as (
    select
        needed.member_iso2,
        needed.registered_date,
        needed.currency_code,
        coalesce(
            cast(rates.units_per_usd as double), case when needed.currency_code = 'USD' then 1.0 end
        ) as units_per_usd
    from (
        select
            member_iso2,
            registered_date,
            charges_currency_code as currency_code
        from items
        where charges_currency_code is not null
        union
        select
            member_iso2,
            registered_date,
            tax_currency_code as currency_code
        from items
        where tax_currency_code is not null
    ) as needed
    asof left join {{ ref('int_exchange_rates__current') }} as rates
        on
            needed.member_iso2 = rates.member_iso2
            and needed.currency_code = rates.currency_code
            and needed.registered_date >= rates.valid_from_date
),

rated as (
    select
        items.*,
        -- A dollar is a dollar, whether or not the member's table says so.
        coalesce(
            cast(rates.units_per_usd as double), case when items.currency_code = 'USD' then 1.0 end
        ) as units_per_usd
    from items
    asof left join {{ ref('int_exchange_rates__current') }} as rates
        on
            items.member_iso2 = rates.member_iso2
            and items.currency_code = rates.currency_code
            and items.registered_date >= rates.valid_from_date
),

in_usd as (
    select
        rated.*,
        if(rated.tax_currency_code is null, rated.units_per_usd, tax_rates.units_per_usd)
            as tax_units_per_usd,
        cast(rated.declared_value as double) / rated.units_per_usd as declared_value_usd,
        cast(rated.freight as double)
        / if(rated.charges_currency_code is null, rated.units_per_usd, charge_rates.units_per_usd)
            as freight_usd,
        cast(rated.insurance as double)
        / if(rated.charges_currency_code is null, rated.units_per_usd, charge_rates.units_per_usd)
            as insurance_usd
    from rated
    left join other_rates as tax_rates
        on
            rated.member_iso2 = tax_rates.member_iso2
            and rated.registered_date = tax_rates.registered_date
            and rated.tax_currency_code = tax_rates.currency_code
    left join other_rates as charge_rates
        on
            rated.member_iso2 = charge_rates.member_iso2
            and rated.registered_date = charge_rates.registered_date
            and rated.charges_currency_code = charge_rates.currency_code
),

-- What the price of each term holds, after Incoterms 2020 and the terms of earlier editions: the C and D
-- terms carriage to the importing country, CIF, CIP and the D terms also the insurance of it. DDP holds
-- duties besides, and is on no such basis.
on_one_basis as (
    select
        *,
        case
            when value_basis_code in ('CIF', 'CIP', 'DAP', 'DPU', 'DAT', 'DAF', 'DES', 'DEQ', 'DDU')
                then 'AS_DECLARED'
            when value_basis_code in ('CFR', 'CPT') then 'INSURANCE_ADDED'
            when value_basis_code in ('EXW', 'FCA', 'FAS', 'FOB') then 'FREIGHT_AND_INSURANCE_ADDED'
        end as adding_code,
        case adding_code
            when 'AS_DECLARED' then declared_value_usd
            when 'INSURANCE_ADDED' then declared_value_usd + insurance_usd
            when 'FREIGHT_AND_INSURANCE_ADDED' then declared_value_usd + freight_usd + insurance_usd
        end as cif_value_usd
    from in_usd
)

select
    item_index,
    member_iso2,
    registered_date,
    units_per_usd,
    declared_value_usd,
    cif_value_usd,
    case
        when value_basis_code is null then 'BASIS_UNKNOWN'
        when adding_code is null then 'BASIS_HOLDS_DUTIES'
        when declared_value_usd is null then 'NO_EXCHANGE_RATE'
        when cif_value_usd is null then 'CHARGES_UNKNOWN'
        else adding_code
    end as cif_value_status_code,
    case
        when declared_tax is not null then cast(declared_tax as double) / tax_units_per_usd
        else cast(declared_value as double) * tax_rate_pct / 100 / units_per_usd
    end as declared_tax_usd,
    assessed_value / units_per_usd as assessed_value_usd,
    recovered_tax / tax_units_per_usd as recovered_tax_usd,
    -- ln(value / mass), never ln(value) / ln(mass). Prices are compared on one basis where there is one; as
    -- declared they differ from it by freight, which is less than goods of one kind differ among themselves.
    case
        when declared_value > 0 and net_kg > 0
            then ln(coalesce(cif_value_usd, declared_value_usd) / cast(net_kg as double))
    end as ln_unit_value_usd_per_kg,
    case
        when declared_value > 0 and supplementary_qty > 0
            then ln(coalesce(cif_value_usd, declared_value_usd) / cast(supplementary_qty as double))
    end as ln_unit_value_usd_per_supplementary_unit,
    case
        when net_kg > 0 and supplementary_qty > 0
            then ln(cast(net_kg as double) / cast(supplementary_qty as double))
    end as ln_kg_per_supplementary_unit,
    case
        when net_kg > 0 and gross_kg > 0 then ln(cast(gross_kg as double) / cast(net_kg as double))
    end as ln_gross_to_net
from on_one_basis
