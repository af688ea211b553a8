"""Parts that nobody plays by name: offices, brokers, chapters, flows that a scenario touched.

Derived from the table `touched`, one row per landed item with what was planted in it, see `truth`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ml.integrity.evaluate.parts import Part
from tidewaiter.warehouse import quote_literal

if TYPE_CHECKING:
    import duckdb

# A unit bunches where so many consignments just under the threshold are parts of split ones, and these add so
# much to the others there: about the least effect that the indicator of bunching tells.
SPLIT_FILES, SPLIT_SHARE = 10, 0.15
OVERRIDDEN_FILES = 3  # a broker is part of the ring's trace from so many of its files on
SWITCHED_LINES = 3  # an importer switches a heading from so many lines on
# ln; by how much more goods at a duty of 20 % and more must be short of value per kg than others for the gap
# to grow with duty by plan: half of the least slope that the indicator tells, over these twenty points.
PLANTED_RISE, HIGH_DUTY_PCT = 0.02, 20
PLANTED_GAP = 0.2  # ln; what a flow must be short by for its gap to count as planted


def derived_parts(connection: duckdb.DuckDBPyConnection, named: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts that follow from the items that scenarios touched."""
    parts = list(named)
    starts = {part.scenario: part for part in parts}
    for scenario in ("S6", "S7", "S8", "S9", "S10", "S11"):
        if scenario in starts:
            yield from _offices(connection, [part for part in parts if part.scenario == scenario])
    if "S8" in starts:
        yield from _brokers_of_ring(connection, starts["S8"])
    first = connection.execute("select min(registered_date) from touched").fetchall()[0][0]
    if first is not None:
        for role, column in (
            ("office", "office_code"),
            ("broker", "declarant_id"),
            ("chapter", "left(hs6, 2)"),
        ):
            yield from _split_in(connection, role, column, first)
        yield from _switched(connection, first)
        for role, column in (("goods of a chapter", "left(hs6, 2)"), ("all goods", "'all chapters'")):
            yield from _short_by_duty(connection, role, column, first)
        for what, gap, missing in _GAPS:
            yield from _short_flows(connection, what, gap, missing)


def _offices(connection: duckdb.DuckDBPyConnection, parts: list[Part]) -> Iterator[Part]:
    """Yield the office at which each officer or broker of a scheme has most files."""
    for part in parts:
        column = {"broker": "declarant_id", "inspector": "inspector_final_id"}.get(part.role)
        if column is None or (part.scenario == "S6" and part.role != "inspector"):
            continue
        found = connection.execute(
            f"select office_code from touched where {column} = ? group by office_code"
            " order by count(*) desc, office_code limit 1",
            [part.unit_id],
        ).fetchone()
        if found is not None:
            yield Part(
                part.scenario,
                "office",
                found[0],
                None,
                part.starts_on,
                part.ends_on,
                part.files,
                part.loss_usd,
                part.diversion,
                is_named=False,
            )


def _brokers_of_ring(connection: duckdb.DuckDBPyConnection, ring: Part) -> Iterator[Part]:
    rows = connection.execute(
        "select declarant_id, count(distinct declaration_key) as files, sum(loss_usd) from touched"
        " where is_overridden_by_ring and declarant_id is not null group by 1"
        f" having files >= {OVERRIDDEN_FILES} order by 1"
    ).fetchall()
    for unit, files, loss in rows:
        yield Part("S8", "broker", unit, None, ring.starts_on, None, files, loss, is_named=False)


_SPLIT_IN = """
    with files as (
        select
            any_value({column}) as unit, sum(declared_value_usd) as value_usd, sum(loss_usd) as loss_usd,
            bool_or(coalesce(scenario, '') = 'S5') as is_part
        from touched
        group by declaration_key
    )

    select
        unit, count(*) filter (is_part) as parts_n, sum(loss_usd) filter (is_part)
    from files
    where
        unit is not null
        and value_usd between (select max(value_usd) / 2 from files where is_part)
        and (select max(value_usd) from files where is_part)
    group by unit
    having parts_n >= {least} and parts_n >= {share} * (count(*) - parts_n)
    order by unit
"""


def _split_in(connection: duckdb.DuckDBPyConnection, role: str, column: str, first: date) -> Iterator[Part]:
    """Yield units in which parts of split consignments bunch, from half of the highest part's value to it."""
    sql = _SPLIT_IN.format(column=column, least=SPLIT_FILES, share=SPLIT_SHARE)
    for unit, files, loss in connection.execute(sql).fetchall():
        yield Part("S5", role, unit, None, first, None, files, loss or 0.0, is_named=False)


def _switched(connection: duckdb.DuckDBPyConnection, first: date) -> Iterator[Part]:
    rows = connection.execute(
        "select importer_id, left(hs6, 4), count(*) as lines, sum(loss_usd) from touched"
        " where scenario = 'S2' and importer_id is not null group by 1, 2"
        f" having lines >= {SWITCHED_LINES} order by 1, 2"
    ).fetchall()
    for importer, heading, lines, loss in rows:
        yield Part("S2", "importer and heading", importer, heading, first, None, lines, loss, is_named=False)


_SHORT_BY_DUTY = """
    with goods as (
        select
            {column} as unit, true_rate_pct >= {high} as is_high,
            sum(loss_usd) as loss_usd, count(*) as items_n,
            ln(sum(true_value_usd) / sum(true_net_kg)) - ln(sum(declared_value_usd) / sum(net_kg)) as gap
        from touched
        where cancelled_at is null and net_kg > 0 and hs6 is not null
        group by all
    )

    select high.unit, high.items_n, high.loss_usd
    from goods as high
    inner join goods as low on high.unit = low.unit and high.is_high and not low.is_high
    where high.gap - low.gap >= {rise}
    order by 1
"""


def _short_by_duty(
    connection: duckdb.DuckDBPyConnection, role: str, column: str, first: date
) -> Iterator[Part]:
    """Yield goods whose value per kg is short by more where the duty is high: the trace of S1."""
    sql = _SHORT_BY_DUTY.format(column=column, high=HIGH_DUTY_PCT, rise=PLANTED_RISE)
    for unit, items, loss in connection.execute(sql).fetchall():
        yield Part("S1", role, unit, None, first, None, items, loss or 0.0, is_named=False)


# What a flow is short of: the logarithm of what was true of it over what was declared under its name.
_MASS = "ln(true_kg / declared_kg)"
_GAPS = (
    ("mass", _MASS, "missing_kg"),
    ("value per kg", f"ln(true_usd / declared_usd) - {_MASS}", "missing_usd"),
)
_SHORT_FLOWS = """
    with windows as (
        select
            last_day(month) as ends_on,
            greatest(
                (select min(registered_date) from touched), (month - interval 11 months)::date
            ) as starts_on
        from (select distinct date_trunc('month', registered_date) as month from touched)
        where month(month) % 3 = 0
    ),

    known as (
        select
            true_hs6, true_origin_iso2, hs6, origin_iso2, scenario, windows.starts_on, windows.ends_on,
            hs6 = true_hs6 and origin_iso2 = true_origin_iso2 as is_kept,
            sum(true_net_kg) as true_kg, sum(true_value_usd) as true_usd,
            sum(net_kg) as kg, sum(declared_value_usd) as usd, sum(loss_usd) as loss_usd, count(*) as items_n
        from touched
        inner join windows on touched.registered_date between windows.starts_on and windows.ends_on
        where cancelled_at is null
        group by all
    ),

    of_flow as (
        select
            true_hs6, true_origin_iso2, starts_on, ends_on,
            sum(true_kg) as true_kg, sum(true_usd) as true_usd,
            sum(items_n) filter (scenario is not null) as planted_n, sum(loss_usd) as loss_usd
        from known
        group by all
    ),

    under_its_name as (
        select hs6, origin_iso2, ends_on, sum(kg) as declared_kg, sum(usd) as declared_usd
        from known
        group by all
    ),

    takers as (
        select true_hs6, true_origin_iso2, ends_on, arg_max(scenario, missing) as scenario
        from (
            select
                true_hs6, true_origin_iso2, ends_on, scenario,
                sum(true_kg) - coalesce(sum(kg) filter (is_kept), 0) as missing_kg,
                sum(true_usd) - coalesce(sum(usd) filter (is_kept), 0) as missing_usd,
                {missing} as missing
            from known
            where scenario is not null
            group by all
        )
        group by all
    )

    select
        true_hs6 || ' from ' || true_origin_iso2, min(of_flow.starts_on), max(of_flow.ends_on),
        arg_max(scenario, {gap}),
        max(planted_n), max(loss_usd)
    from of_flow
    inner join under_its_name
        on true_hs6 = hs6 and true_origin_iso2 = origin_iso2 and of_flow.ends_on = under_its_name.ends_on
    inner join takers using (true_hs6, true_origin_iso2)
    where
        takers.ends_on = of_flow.ends_on and declared_kg > 0 and declared_usd > 0 and {gap} >= {planted}
    group by true_hs6, true_origin_iso2
    order by 1
"""


def _short_flows(connection: duckdb.DuckDBPyConnection, what: str, gap: str, missing: str) -> Iterator[Part]:
    """Yield the flows that were short by `PLANTED_GAP` in any twelve months up to the end of a quarter."""
    sql = _SHORT_FLOWS.format(gap=gap, missing=missing, planted=PLANTED_GAP)
    for flow, start, end, scenario, items, loss in connection.execute(sql).fetchall():
        role = f"flow short of {what}"
        yield Part(scenario, role, flow, None, start, end, items, loss or 0.0, is_named=False)


# What the first days of a part show, and what honest colleagues or the even draw would have given.
_EVIDENCE = {
    "S9": """
        select
            count(*) filter (is_theirs), sum(is_marked::int) filter (is_theirs),
            count(*) filter (is_theirs) * avg(is_marked::int) filter (not is_theirs)
        from (
            select
                inspector_final_id = {unit} as is_theirs,
                bool_or(inspection_result_code <> 'CONFORM') as is_marked
            from touched
            where
                registered_date between {start} and {end} and lane_final_code in ('RED', 'YELLOW')
                and cancelled_at is null and office_code in (
                    select mode(office_code) from touched where inspector_final_id = {unit}
                )
            group by declaration_key, is_theirs
        )
    """,
    "S11": """
        select
            count(*) filter (is_theirs), sum(is_marked::int) filter (is_theirs),
            count(*) filter (is_theirs) * avg(is_marked::int) filter (not is_theirs)
        from (
            select declarant_id = {unit} as is_theirs, bool_or(lane_source_code = 'RANDOM') as is_marked
            from touched
            where
                registered_date between {start} and {end} and office_code in (
                    select mode(office_code) from touched where declarant_id = {unit}
                )
            group by declaration_key, is_theirs
        )
    """,
}
EVIDENCE_DAYS = 90


def evidence(connection: duckdb.DuckDBPyConnection, named: Iterable[Part]) -> Iterator[dict[str, Any]]:
    """Yield files, marks and expected marks of the first days of parts whose trace is too few marks."""
    for part in named:
        if part.scenario not in _EVIDENCE:
            continue
        end = min(part.ends_on or date.max, part.starts_on + timedelta(days=EVIDENCE_DAYS))
        files, observed, expected = connection.execute(
            _EVIDENCE[part.scenario].format(
                unit=quote_literal(part.unit_id), start=f"date '{part.starts_on}'", end=f"date '{end}'"
            )
        ).fetchall()[0]
        yield {
            "scenario": part.scenario,
            "files": files,
            "observed": int(observed or 0),
            "expected": float(expected or 0.0),
        }
