-- Items whose amounts cannot be told in USD: the member's exchange rates start too late or lack a currency.
{{ config(severity='warn', meta={'owner': 'data-engineering'}) }}

select
    items.member_iso2,
    items.currency_code,
    min(items.registered_date) as first_registered_date,
    count(*) as items_n
from {{ ref('int_declaration_items__current') }} as items
inner join {{ ref('int_declaration_items__valued') }} as valued using (item_index)
where valued.units_per_usd is null
group by all
