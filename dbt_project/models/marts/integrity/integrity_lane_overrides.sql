-- A4. Reds that were moved to a softer lane, against the rate of comparable reds in the twelve months up to
-- then: of trusted operators or not, of perishable goods or not, and a third by declared taxes, which is
-- what there is to lose. The unit's own reds are left out of its rate, and a thin group leans on all reds of
-- operators, or of others. Of a supervisor, every red of the office counts, with the rate divided by the
-- supervisors who moved any.
with overrides as (
    select
        member_iso2,
        declaration_id,
        min_by(supervisor_id, event_at) as supervisor_id
    from {{ ref('int_integrity__events') }}
    where event_code = 'LANE_SET' and from_value = 'RED' and to_value != 'RED'
    group by all
),

reds as (
    select
        declarations.member_iso2,
        cast(date_trunc('month', declarations.registered_date) as date) as month,
        declarations.office_code,
        declarations.importer_id,
        declarations.declarant_id,
        overrides.supervisor_id,
        coalesce(declarations.is_authorised_operator, false) as is_operator,
        concat_ws(
            ' ',
            if(declarations.is_authorised_operator, 'operator', 'other'),
            if(declarations.chapter_code between '01' and '08', 'perishable', 'lasting'),
            cast(
                floor(2.999 * percent_rank() over (
                    partition by declarations.member_iso2, month
                    order by declarations.declared_tax_usd
                )) as integer
            )
        ) as cell,
        coalesce(declarations.lane_final_code != 'RED', false) as is_softened
    from {{ ref('int_integrity__declarations') }} as declarations
    left join overrides
        on
            declarations.member_iso2 = overrides.member_iso2
            and declarations.declaration_id = overrides.declaration_id
    where declarations.lane_initial_code = 'RED' and declarations.office_code is not null
),

-- An importer whose reds are softened again and again is a unit of its own: a broker's signal must not rest
-- on it.
importers as (
    select distinct
        member_iso2,
        importer_id,
        month
    from reds
    where importer_id is not null
),

repeated as (
    select
        later.member_iso2,
        later.importer_id,
        later.month
    from importers as later
    inner join reds as earlier
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
    from reds
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
    from reds
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
    from reds
    where is_softened
    group by all
),

units as (
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
    from reds
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
    from reds
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
),

cells as (
    select
        member_iso2,
        month,
        cell,
        is_operator,
        count(*) as reds_n,
        count(*) filter (where is_softened) as softened_n
    from reds
    group by all
),

-- Up to and with the month, over twelve of them: what everybody did, and what the unit did itself.
everybody as (
    select
        units.member_iso2,
        units.month,
        units.unit_kind,
        units.unit_id,
        units.cell,
        sum(cells.reds_n) as all_n,
        sum(cells.softened_n) as all_softened_n,
        sum(cells.reds_n) filter (where cells.cell = units.cell) as cell_n,
        sum(cells.softened_n) filter (where cells.cell = units.cell) as cell_softened_n
    from units
    inner join cells
        on
            units.member_iso2 = cells.member_iso2
            and units.is_operator = cells.is_operator
            and cells.month between units.month - to_months(11) and units.month
    group by all
),

own as (
    select
        units.member_iso2,
        units.month,
        units.unit_kind,
        units.unit_id,
        units.cell,
        sum(earlier.reds_n / earlier.supervisors_n) as all_n,
        sum(earlier.softened_n) as all_softened_n,
        sum(earlier.reds_n / earlier.supervisors_n) filter (where earlier.cell = units.cell) as cell_n,
        sum(earlier.softened_n) filter (where earlier.cell = units.cell) as cell_softened_n
    from units
    inner join units as earlier
        on
            units.member_iso2 = earlier.member_iso2
            and units.unit_kind = earlier.unit_kind
            and units.unit_id = earlier.unit_id
            and units.is_operator = earlier.is_operator
            and earlier.month between units.month - to_months(11) and units.month
    group by all
)

select
    units.member_iso2,
    units.month,
    units.unit_kind,
    units.unit_id,
    units.cell,
    cast(units.reds_n as integer) as reds_n,
    cast(units.softened_n as integer) as softened_n,
    (
        everybody.cell_softened_n - own.cell_softened_n
        + 50 * (everybody.all_softened_n - own.all_softened_n + 1) / (everybody.all_n - own.all_n + 50)
    ) / (everybody.cell_n - own.cell_n + 50) / units.supervisors_n as softening_rate,
    units.reds_n * softening_rate as expected_softened_n
from units
inner join everybody using (member_iso2, month, unit_kind, unit_id, cell)
inner join own using (member_iso2, month, unit_kind, unit_id, cell)
