-- noqa: disable=LT02
-- depends_on: {{ ref('int_declaration_items__changes') }}, {{ ref('int_declaration_items__current') }}
-- depends_on: {{ ref('int_rebuild_windows') }}
-- All that features take from an item itself, as numbers: amounts in USD, each at its own currency's rate of
-- the day of registration, the value on one basis, and the keys of its entities. Months lie together.
{{ config(
    materialized='in_parts',
    parts='months',
    keeps_rows=true,
    pre_hook=["{{ delete_from_rebuilt_days('registered_date') }}", "{{ delete_touched_items() }}"]
) }}
{% set derived = [
    'freight', 'insurance', 'charges_currency_code', 'units_per_usd', 'tax_units_per_usd', 'declared_value_usd',
    'freight_usd', 'insurance_usd', 'adding_code', 'cif_value_usd'
] %}

with charged as not materialized (
    select
        items.*,
        coalesce(items.declared_freight, headers.freight) as freight,
        coalesce(items.declared_insurance, headers.insurance) as insurance,
        coalesce(
            if(
                items.declared_freight is null and items.declared_insurance is null,
                coalesce(headers.freight_currency_code, items.freight_currency_code),
                items.freight_currency_code
            ),
            items.currency_code
        ) as charges_currency_code
    from {{ ref('int_declaration_items__rebuilt') }} as items
    left join {{ ref('int_declaration_items__apportioned_charges') }} as headers
        on items.item_index = headers.item_index
),

-- Asked for three currencies of an item, and found once.
rates as materialized (
    select * from {{ ref('int_exchange_rates__daily') }}
),

in_usd as not materialized (
    select
        charged.*,
        rates.units_per_usd,
        if(charged.tax_currency_code is null, rates.units_per_usd, tax_rates.units_per_usd)
            as tax_units_per_usd,
        cast(charged.declared_value as double) / rates.units_per_usd as declared_value_usd,
        cast(charged.freight as double) / charge_rates.units_per_usd as freight_usd,
        cast(charged.insurance as double) / charge_rates.units_per_usd as insurance_usd
    from charged
    {%- for alias, column in {
        'rates': 'currency_code', 'tax_rates': 'tax_currency_code', 'charge_rates': 'charges_currency_code'
    }.items() %}
    left join rates as {{ alias }}
        on
            charged.member_iso2 = {{ alias }}.member_iso2
            and charged.registered_date = {{ alias }}.registered_date
            and charged.{{ column }} = {{ alias }}.currency_code
    {%- endfor %}
),

-- What the price of each term holds, after Incoterms 2020 and the terms of earlier editions: the C and D
-- terms carriage to the importing country, CIF, CIP and the D terms also the insurance of it. DDP holds
-- duties besides, and is on no such basis.
on_one_basis as not materialized (
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
    -- keys and context
    item_index,
    member_iso2,
    declaration_id,
    item_no,
    office_code,
    registered_at,
    registered_date,
    hs6,
    origin_iso2,

    -- amounts
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

    -- as declared
    net_kg,
    gross_kg,
    declared_value,
    declared_tax,
    tax_currency_code,
    tax_rate_pct,
    -- Other procedures than home use (4...) suspend or waive duty: paying none says nothing there.
    not starts_with(procedure_code, '4') as is_duty_suspended,
    cast(dispatch_iso2 != origin_iso2 as integer) as is_dispatch_other_than_origin,
    cast(length(hs_national_code) as integer) as national_code_digits_n,
    {{ count_missing(var('document_fields')) }} as missing_fields_n,

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
    end as ln_gross_to_net,

    -- what became of it, and when others may know
    is_irregular,
    label_visible_after_date,
    cancelled_visible_after_date,
    {{ declared_fingerprint(derived) }} as declared_fingerprint,

    -- keys of what it is compared with
    {%- for entity, columns in all_entities().items() %}
    {{ entity_key(entity, columns) }} as {{ entity }}_key,
    {%- endfor %}
    {{ entity_key('hs6_unit', ['hs6', 'supplementary_unit_code']) }} as hs6_unit_key,
    case
        when coalesce(importer_id, seller_id) is not null
            then hash(member_iso2, coalesce(importer_id, seller_id), heading_code)
    end as party_heading_key,
    {{ tariff_key() }} as tariff_key
from on_one_basis
