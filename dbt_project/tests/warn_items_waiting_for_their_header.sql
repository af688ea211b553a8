-- Items whose header comes apart and has not come: they are kept, and join it whenever it does.
{{ config(severity='warn', meta={'owner': 'data-engineering'}) }}

select
    member_iso2,
    count(*) as items_waiting_n
from {{ ref('int_declaration_items__waiting') }}
group by all
