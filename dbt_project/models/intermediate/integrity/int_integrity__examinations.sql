-- What an inspector wrote of an item, from the log of acts; where a member keeps no such log, from what is
-- known of the item, on the day on which it was. What audits found afterwards is not the inspector's.
with acts as (
    select
        member_iso2,
        declaration_id,
        item_no,
        max_by(inspector_id, event_at) as inspector_id,
        max(event_at) as act_at,
        bool_or(to_value != 'CONFORM') as is_found
    from {{ ref('int_integrity__events') }}
    where event_code = 'ACT' and inspector_id is not null and to_value is not null
    group by all
),

examined as (
    select * from acts
    union all by name
    select
        items.member_iso2,
        items.declaration_id,
        items.item_no,
        coalesce(items.inspector_final_id, items.inspector_initial_id) as inspector_id,
        items.label_at as act_at,
        coalesce(items.inspection_result_code != 'CONFORM', items.is_irregular) as is_found
    from {{ ref('int_declaration_items__current') }} as items
    where
        coalesce(items.inspector_final_id, items.inspector_initial_id) is not null
        and items.label_at is not null
        and coalesce(items.label_source_code, '') != 'PCA'
        and items.member_iso2 not in (select acts.member_iso2 from acts)
),

-- An importer's record as it stood a day before: how many of its items had been examined, how many found.
with_record as (
    select
        examined.*,
        declarations.office_code,
        declarations.importer_id,
        declarations.declarant_id,
        declarations.lane_final_code,
        coalesce(declarations.queue_code, '') as queue_code,
        cast(date_trunc('month', examined.act_at) as date) as month,
        if(declarations.importer_id is null, 0, count(*) over earlier) as earlier_n,
        if(
            declarations.importer_id is null, 0,
            coalesce(sum(cast(examined.is_found as integer)) over earlier, 0)
        ) as earlier_found_n
    from examined
    inner join {{ ref('int_integrity__declarations') }} as declarations
        on
            examined.member_iso2 = declarations.member_iso2
            and examined.declaration_id = declarations.declaration_id
    where examined.is_found is not null
    window earlier as (
        partition by examined.member_iso2, declarations.importer_id
        order by examined.act_at
        range between unbounded preceding and interval '1 day' preceding
    )
)

select
    with_record.*,
    -- Half of the items, the next three tenths, and those with the worst record; equal records together.
    cast(
        case
            when percent_rank() over risk < 0.5 then 0
            when percent_rank() over risk < 0.8 then 1
            else 2
        end as integer
    ) as risk_band
from with_record
window risk as (
    partition by with_record.member_iso2, with_record.month
    order by (with_record.earlier_found_n + 0.5) / (with_record.earlier_n + 10)
)
