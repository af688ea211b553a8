-- A4. Reds that were moved to a softer lane, against the rate of comparable reds in the twelve months up to
-- then: of trusted operators or not, of perishable goods or not, and a third by declared taxes, which is
-- what there is to lose. The unit's own reds are left out of its rate, and a thin group leans on all reds of
-- operators, or of others. Of a supervisor, every red of the office counts, with the rate divided by the
-- supervisors who moved any.
with cells as (
    select
        member_iso2,
        month,
        cell,
        is_operator,
        count(*) as reds_n,
        count(*) filter (where is_softened) as softened_n
    from {{ ref('int_integrity__reds') }}
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
    from {{ ref('int_integrity__reds_of_units') }} as units
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
    from {{ ref('int_integrity__reds_of_units') }} as units
    inner join {{ ref('int_integrity__reds_of_units') }} as earlier
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
from {{ ref('int_integrity__reds_of_units') }} as units
inner join everybody using (member_iso2, month, unit_kind, unit_id, cell)
inner join own using (member_iso2, month, unit_kind, unit_id, cell)
