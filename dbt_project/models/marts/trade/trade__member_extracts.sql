{{ config(post_hook="{{ export_to_parquet() }}") }}

with current_items as (
    select
        member_iso2,
        extract_id,
        count(*) as items_current_n,
        count(is_irregular) as items_labelled_n,
        count(*) filter (where is_irregular) as items_irregular_n,
        min(registered_date) as first_registered_date,
        max(registered_date) as last_registered_date
    from {{ ref('int_declaration_items__current') }}
    group by all
),

waiting_items as (
    select
        member_iso2,
        extract_id,
        count(*) as items_waiting_n
    from {{ ref('int_declaration_items__waiting') }}
    group by all
)

select
    extracts.*,
    coalesce(current_items.items_current_n, 0) as items_current_n,
    coalesce(current_items.items_labelled_n, 0) as items_labelled_n,
    coalesce(current_items.items_irregular_n, 0) as items_irregular_n,
    coalesce(waiting_items.items_waiting_n, 0) as items_waiting_n,
    current_items.first_registered_date,
    current_items.last_registered_date
from {{ ref('stg_landing__extracts') }} as extracts
left join current_items
    on
        extracts.member_iso2 = current_items.member_iso2
        and extracts.extract_id = current_items.extract_id
        and extracts.dataset_name = 'declaration_items'
left join waiting_items
    on
        extracts.member_iso2 = waiting_items.member_iso2
        and extracts.extract_id = waiting_items.extract_id
        and extracts.dataset_name = 'declaration_items'
