-- Consignments of small value, one by one: the thresholds that they may keep under are the contract's.
select
    member_iso2,
    cast(date_trunc('month', min(registered_date)) as date) as month,
    declaration_id,
    min(office_code) as office_code,
    min(importer_id) as importer_id,
    min(declarant_id) as declarant_id,
    min(chapter_code) as chapter_code,
    min(registered_at) as registered_at,
    -- When the importer was first seen at all: whoever came late cannot have been there before.
    min(importer_since_at) as importer_since_at,
    sum(declared_value_usd) as value_usd,
    -- Null where a rate is missing: revenue at stake is then not told.
    sum(declared_value_usd * general_rate_pct) / nullif(sum(declared_value_usd), 0) as general_rate_pct
from (
    select
        items.*,
        declarations.registered_at,
        min(declarations.registered_at) over (partition by items.member_iso2, items.importer_id)
            as importer_since_at,
        median(items.tax_rate_pct) filter (where items.tax_rate_pct > 0 and items.preference_code = '')
            over (partition by items.member_iso2, items.hs6) as general_rate_pct
    from {{ ref('int_integrity__items') }} as items
    inner join {{ ref('int_integrity__declarations') }} as declarations
        on
            items.member_iso2 = declarations.member_iso2
            and items.declaration_id = declarations.declaration_id
)
where declared_value_usd is not null
group by member_iso2, declaration_id
having sum(declared_value_usd) between 1 and {{ var('integrity_small_value_usd') }}
