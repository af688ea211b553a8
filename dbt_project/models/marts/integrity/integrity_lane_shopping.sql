-- A5. A declaration is shopped where it was cancelled and the same consignment was registered anew within 72
-- hours of that, by transport document or, without one, by containers. Counted a working week after
-- registration, when that is known.
with declarations as (
    select
        *,
        coalesce(transport_document_ref, container_ids) as consignment
    from {{ ref('int_integrity__declarations') }}
    where declarant_id is not null and lane_initial_code is not null
),

shopped as (
    select distinct
        cancelled.member_iso2,
        cancelled.declaration_id
    from declarations as cancelled
    inner join declarations as again
        on
            cancelled.member_iso2 = again.member_iso2
            and cancelled.consignment = again.consignment
            and cancelled.declarant_id = again.declarant_id
            and cancelled.declaration_id != again.declaration_id
            and cancelled.cancelled_at <= again.registered_at
            and cancelled.cancelled_at + to_hours(72) >= again.registered_at
    where cancelled.cancelled_at is not null
)

select
    declarations.member_iso2,
    cast(date_trunc('month', declarations.registered_date + to_days(5)) as date) as month,
    declarations.declarant_id,
    cast(count(*) filter (where declarations.lane_initial_code = 'RED') as integer) as red_n,
    cast(
        count(*) filter (where declarations.lane_initial_code = 'RED' and shopped.declaration_id is not null)
        as integer
    ) as red_shopped_n,
    cast(count(*) filter (where declarations.lane_initial_code != 'RED') as integer) as other_n,
    cast(
        count(*) filter (where declarations.lane_initial_code != 'RED' and shopped.declaration_id is not null)
        as integer
    ) as other_shopped_n
from declarations
left join shopped
    on declarations.member_iso2 = shopped.member_iso2 and declarations.declaration_id = shopped.declaration_id
group by all
