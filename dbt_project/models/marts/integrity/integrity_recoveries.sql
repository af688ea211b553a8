-- What examinations bring: recovered tax by file, its sum and the sum of its squares, so that a mean has an
-- interval. In the month in which the result was known; what audits found afterwards is not counted.
with files as (
    select
        items.member_iso2,
        cast(date_trunc('month', max(items.label_at)) as date) as month,
        items.declaration_id,
        bool_or(items.is_irregular) as is_found,
        sum(coalesce(valued.recovered_tax_usd, 0)) as recovered_usd
    from {{ ref('int_declaration_items__current') }} as items
    inner join {{ ref('int_declaration_items__valued') }} as valued on items.item_index = valued.item_index
    where
        items.label_at is not null
        and items.is_irregular is not null
        and coalesce(items.label_source_code, '') != 'PCA'
    group by items.member_iso2, items.declaration_id
)

select
    member_iso2,
    month,
    cast(count(*) as integer) as files_n,
    cast(count(*) filter (where is_found) as integer) as found_files_n,
    round(sum(recovered_usd), 2) as recovered_usd,
    round(sum(recovered_usd * recovered_usd), 2) as squared_recovered_usd
from files
group by member_iso2, month
