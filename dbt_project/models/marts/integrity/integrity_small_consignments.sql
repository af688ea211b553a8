-- Consignments of small value, one by one: the thresholds that they may keep under are the contract's.
with general_rates as (
    select
        member_iso2,
        hs6,
        median(tax_rate_pct) filter (where tax_rate_pct > 0 and preference_code = '') as general_rate_pct
    from {{ ref('int_integrity__items') }}
    group by all
),

small as (
    select
        items.member_iso2,
        items.declaration_id,
        cast(date_trunc('month', min(items.registered_date)) as date) as month,
        min(items.chapter_code) as chapter_code,
        sum(items.declared_value_usd) as value_usd,
        -- Null where a rate is missing: revenue at stake is then not told.
        sum(items.declared_value_usd * general_rates.general_rate_pct)
        / nullif(sum(items.declared_value_usd), 0) as general_rate_pct
    from {{ ref('int_integrity__items') }} as items
    inner join general_rates
        on items.member_iso2 = general_rates.member_iso2 and items.hs6 = general_rates.hs6
    where items.declared_value_usd is not null
    group by items.member_iso2, items.declaration_id
    having sum(items.declared_value_usd) between 1 and {{ var('integrity_small_value_usd') }}
),

-- When an importer was first seen at all: whoever came late cannot have been there before.
importers as (
    select
        member_iso2,
        importer_id,
        min(registered_at) as importer_since_at
    from {{ ref('int_integrity__declarations') }}
    where importer_id is not null
    group by all
)

select
    small.member_iso2,
    small.month,
    small.declaration_id,
    declarations.office_code,
    declarations.importer_id,
    declarations.declarant_id,
    small.chapter_code,
    declarations.registered_at,
    importers.importer_since_at,
    small.value_usd,
    small.general_rate_pct
from small
inner join {{ ref('int_integrity__declarations') }} as declarations
    on small.member_iso2 = declarations.member_iso2 and small.declaration_id = declarations.declaration_id
left join importers
    on declarations.member_iso2 = importers.member_iso2 and declarations.importer_id = importers.importer_id
