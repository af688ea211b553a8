-- A6. How many declarations the random draw took. Brokers are compared within office and month; where the
-- draw is even a broker's drawn ones are a hypergeometric number. Offices are compared with the configured
-- share, and hours (UTC) with the office's month.
with declarations as (
    select
        member_iso2,
        cast(date_trunc('month', registered_date) as date) as month,
        office_code,
        declarant_id,
        printf('%02d', hour(registered_at)) as hour_utc,
        coalesce(lane_source_code = 'RANDOM', false) as is_drawn
    from {{ ref('int_integrity__declarations') }}
    where lane_initial_code is not null and office_code is not null
),

offices as (
    select
        member_iso2,
        month,
        office_code,
        count(*) as office_declarations_n,
        count(*) filter (where is_drawn) as office_drawn_n
    from declarations
    group by all
),

units as (
    select
        member_iso2,
        month,
        office_code,
        'office' as unit_kind,
        office_code as unit_id,
        is_drawn
    from declarations
    union all
    select
        member_iso2,
        month,
        office_code,
        'broker' as unit_kind,
        declarant_id as unit_id,
        is_drawn
    from declarations
    where declarant_id is not null
    union all
    select
        member_iso2,
        month,
        office_code,
        'hour' as unit_kind,
        hour_utc as unit_id,
        is_drawn
    from declarations
)

select
    units.member_iso2,
    units.month,
    units.office_code,
    units.unit_kind,
    units.unit_id,
    cast(offices.office_declarations_n as integer) as population_n,
    cast(offices.office_drawn_n as integer) as marked_n,
    cast(count(*) as integer) as drawn_n,
    cast(count(*) filter (where units.is_drawn) as integer) as observed_n,
    count(*) * offices.office_drawn_n / offices.office_declarations_n as expected_n
from units
inner join offices
    on
        units.member_iso2 = offices.member_iso2
        and units.month = offices.month
        and units.office_code = offices.office_code
group by
    units.member_iso2,
    units.month,
    units.office_code,
    units.unit_kind,
    units.unit_id,
    offices.office_declarations_n,
    offices.office_drawn_n
