-- Lines by importer and subheading, in headings whose subheadings' general rates moved against each other.
with items as (
    select
        items.*,
        rates.general_rate_pct
    from {{ ref('int_integrity__items') }} as items
    inner join {{ ref('int_declaration_items__statutory_rates') }} as rates
        on items.item_index = rates.item_index
    where rates.general_rate_pct is not null
),

rates as (
    select
        member_iso2,
        heading_code,
        hs6,
        month,
        cast(avg(general_rate_pct) as double) as general_rate_pct
    from items
    group by all
),

-- A heading that moves as a whole keeps the distances.
distances as (
    select
        *,
        general_rate_pct - min(general_rate_pct) over (partition by member_iso2, heading_code, month)
            as above_lowest_pct
    from rates
),

parted_headings as (
    select
        member_iso2,
        heading_code
    from (
        select
            member_iso2,
            heading_code,
            hs6,
            max(above_lowest_pct) - min(above_lowest_pct) as moved_pct
        from distances
        group by all
    )
    group by all
    having count(*) > 1 and max(moved_pct) > 0
)

select
    items.member_iso2,
    items.month,
    items.importer_id,
    items.heading_code,
    items.hs6,
    cast(count(*) as integer) as lines_n,
    sum(items.cif_value_usd) as cif_value_usd,
    any_value(rates.general_rate_pct) as general_rate_pct
from items
semi join parted_headings
    on items.member_iso2 = parted_headings.member_iso2 and items.heading_code = parted_headings.heading_code
inner join rates
    on
        items.member_iso2 = rates.member_iso2
        and items.hs6 = rates.hs6
        and items.month = rates.month
where items.importer_id is not null
group by all
