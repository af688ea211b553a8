-- A view: freight and insurance that a header declares once for all its items, by value, as customs
-- apportions them.
{{ config(materialized='view') }}

with shares as (
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
                    partition by declared.member_iso2, declared.declaration_id, declared.registered_date
                )
            ) as double
        ), 0) as share_of_value
    from {{ ref('int_declaration_items__current') }} as declared
    inner join {{ ref('int_declarations__current') }} as totals
        on
            declared.member_iso2 = totals.member_iso2
            and declared.declaration_id = totals.declaration_id
    where
        {{ in_period('declared') }}
        and (totals.total_freight is not null or totals.total_insurance is not null)
)

select
    item_index,
    total_freight * share_of_value as freight,
    total_insurance * share_of_value as insurance,
    freight_currency_code
from shares
