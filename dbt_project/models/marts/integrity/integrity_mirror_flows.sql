-- The member's imports beside the partner's exports to it. A member that sends no imports of its own by month
-- has them added up from its declarations.
with own_reported as (
    select
        member_iso2,
        month,
        classification_code,
        hs6,
        partner_code,
        coalesce(cif_value_usd, primary_value_usd) as own_cif_value_usd,
        fob_value_usd as own_fob_value_usd,
        net_kg as own_net_kg
    from {{ ref('int_integrity__aggregate_flows') }}
    where reporter_code = 'SELF' and flow_code = 'M'
),

partners as (
    select
        member_iso2,
        month,
        classification_code,
        hs6,
        reporter_code as partner_code,
        coalesce(fob_value_usd, primary_value_usd) as partner_fob_value_usd,
        net_kg as partner_net_kg
    from {{ ref('int_integrity__aggregate_flows') }}
    where reporter_code != 'SELF' and flow_code = 'X' and partner_code = member_iso2
),

editions as (
    select distinct
        member_iso2,
        classification_code
    from partners
),

own_declared as (
    select
        items.member_iso2,
        items.month,
        editions.classification_code,
        items.hs6,
        items.origin_iso2 as partner_code,
        sum(items.cif_value_usd) as own_cif_value_usd,
        cast(null as double) as own_fob_value_usd,
        sum(items.net_kg) as own_net_kg
    from {{ ref('int_integrity__items') }} as items
    inner join editions on items.member_iso2 = editions.member_iso2
    where
        items.origin_iso2 is not null
        and items.member_iso2 not in (select own_reported.member_iso2 from own_reported)
    group by all
),

own as (
    select * from own_reported
    union all
    select * from own_declared
),

rates as (
    select
        member_iso2,
        hs6,
        month,
        sum(tax_rate_pct * cif_value_usd) / nullif(sum(cif_value_usd), 0) as duty_rate_pct
    from {{ ref('int_integrity__items') }}
    where tax_rate_pct is not null
    group by all
)

select
    coalesce(own.member_iso2, partners.member_iso2) as member_iso2,
    coalesce(own.month, partners.month) as month,
    coalesce(own.classification_code, partners.classification_code) as classification_code,
    coalesce(own.hs6, partners.hs6) as hs6,
    coalesce(own.partner_code, partners.partner_code) as partner_code,
    own.own_cif_value_usd,
    own.own_fob_value_usd,
    own.own_net_kg,
    partners.partner_fob_value_usd,
    partners.partner_net_kg,
    rates.duty_rate_pct
from own
full outer join partners
    on
        own.member_iso2 = partners.member_iso2
        and own.month = partners.month
        and own.classification_code = partners.classification_code
        and own.hs6 = partners.hs6
        and own.partner_code = partners.partner_code
left join rates
    on
        coalesce(own.member_iso2, partners.member_iso2) = rates.member_iso2
        and coalesce(own.month, partners.month) = rates.month
        and coalesce(own.hs6, partners.hs6) = rates.hs6
