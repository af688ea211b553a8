-- Reds of importers, brokers and supervisors by group of comparable ones. Of a supervisor, every red of the
-- office counts from the month in which the first was moved by this one, beside how many supervisors it has.
with importers as (
    select distinct
        member_iso2,
        importer_id,
        month
    from {{ ref('int_integrity__reds') }}
    where importer_id is not null
),

-- An importer whose reds are softened again and again is a unit of its own: a broker's signal must not rest
-- on it.
repeated as (
    select
        later.member_iso2,
        later.importer_id,
        later.month
    from importers as later
    inner join {{ ref('int_integrity__reds') }} as earlier
        on
            later.member_iso2 = earlier.member_iso2
            and later.importer_id = earlier.importer_id
            and earlier.month between later.month - to_months(2) and later.month
    where earlier.is_softened
    group by later.member_iso2, later.importer_id, later.month
    having count(*) > 2
),

supervisors as (
    select
        member_iso2,
        office_code,
        supervisor_id,
        min(month) as from_month
    from {{ ref('int_integrity__reds') }}
    where is_softened and supervisor_id is not null
    group by all
),

reds_of_offices as (
    select
        member_iso2,
        month,
        office_code,
        cell,
        is_operator,
        count(*) as reds_n
    from {{ ref('int_integrity__reds') }}
    group by all
),

serving as (
    select
        reds.member_iso2,
        reds.month,
        reds.office_code,
        reds.cell,
        reds.is_operator,
        supervisors.supervisor_id,
        count(*) over (
            partition by reds.member_iso2, reds.month, reds.office_code, reds.cell
        ) as supervisors_n,
        reds.reds_n
    from reds_of_offices as reds
    inner join supervisors
        on
            reds.member_iso2 = supervisors.member_iso2
            and reds.office_code = supervisors.office_code
            and reds.month >= supervisors.from_month
),

softened_by as (
    select
        member_iso2,
        month,
        office_code,
        supervisor_id,
        cell,
        count(*) as softened_n
    from {{ ref('int_integrity__reds') }}
    where is_softened
    group by all
)

select
    member_iso2,
    month,
    'importer' as unit_kind,
    importer_id as unit_id,
    cell,
    is_operator,
    count(*) as reds_n,
    count(*) filter (where is_softened) as softened_n,
    1 as supervisors_n
from {{ ref('int_integrity__reds') }}
where importer_id is not null
group by all
union all
select
    reds.member_iso2,
    reds.month,
    'broker' as unit_kind,
    reds.declarant_id as unit_id,
    reds.cell,
    reds.is_operator,
    count(*) as reds_n,
    count(*) filter (where reds.is_softened) as softened_n,
    1 as supervisors_n
from {{ ref('int_integrity__reds') }} as reds
anti join repeated
    on
        reds.member_iso2 = repeated.member_iso2
        and reds.importer_id = repeated.importer_id
        and reds.month = repeated.month
where reds.declarant_id is not null
group by all
union all
select
    serving.member_iso2,
    serving.month,
    'supervisor' as unit_kind,
    serving.supervisor_id as unit_id,
    serving.cell,
    serving.is_operator,
    sum(serving.reds_n) as reds_n,
    sum(coalesce(own.softened_n, 0)) as softened_n,
    max(serving.supervisors_n) as supervisors_n
from serving
left join softened_by as own using (member_iso2, month, office_code, supervisor_id, cell)
group by serving.member_iso2, serving.month, serving.supervisor_id, serving.cell, serving.is_operator
