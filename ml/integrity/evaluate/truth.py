"""The parts that entities play in a world, in the names that signals use.

Parts played by name come from the truth's pairs and entities, whose identifiers become pseudonyms with the
home's key. Parts of offices, chapters, flows and the like are derived from the items that a scenario
touched, which are joined to the landed rows: no key is needed for those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewaiter.fence import TRUTH
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings
from tidewaiter.synthetic.truth import ENTITIES, ITEMS, PAIRS
from tidewaiter.warehouse import open_duckdb, quote_literal

if TYPE_CHECKING:
    import duckdb

# Roles that entities play by name, as signals call them.
_ROLES = {"declarant": "broker", "inspector": "inspector", "importer": "importer", "supervisor": "supervisor"}
# A unit is touched by a scenario where so many of its items are, and their share is so many times the member's.
TOUCHED_ITEMS, TOUCHED_RATIO = 10, 2.0
OVERRIDDEN_FILES = 3  # a broker is part of the ring's trace from so many of its files on
SWITCHED_LINES = 3  # an importer switches a heading from so many lines on
PLANTED_GAP = 0.2  # ln; what a flow must be short by for its gap to count as planted


@dataclass(frozen=True)
class Part:
    """What one unit plays in one scenario.

    Attributes:
        scenario: S1 to S12, or a decoy.
        role: What the unit is, see `judgement.yaml`.
        unit_id, counterpart_id: As signals name it; a set has its members in `counterpart_id`.
        starts_on, ends_on: When; no end where it goes on to the end of the data.
        files: Declarations that the scenario touched with it.
        loss_usd: Taxes that these were short of.
        diversion: S6, planted share of the broker's files.
        is_named: Whether the truth names it; else it is derived from the items.
    """

    scenario: str
    role: str
    unit_id: str
    counterpart_id: str | None
    starts_on: date
    ends_on: date | None
    files: int
    loss_usd: float
    diversion: float | None = None
    is_named: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the part as it is put on record."""
        return asdict(self) | {
            "starts_on": self.starts_on.isoformat(),
            "ends_on": self.ends_on and self.ends_on.isoformat(),
        }


# One row per item that was landed, with what was planted in it. A consignment that was cancelled and came again
# counts once.
_TOUCHED = """
    create temp table touched as
    select
        truth.*, landed.importer_id, landed.declarant_id, landed.inspector_final_id, landed.office_code,
        landed.hs6, landed.origin_iso2, landed.declaration_key, landed.registered_date, landed.cancelled_at,
        landed.inspection_result_code, landed.lane_final_code, landed.lane_source_code,
        landed.net_kg::double as net_kg,
        case
            when truth.is_shopped then 0 else greatest(truth.true_tax_usd - truth.declared_tax_usd, 0)
        end as loss_usd
    from read_parquet({items}) as truth
    inner join (
        select
            declaration_id, item_no, hash(declaration_id) as declaration_key, importer_id, declarant_id,
            inspector_final_id, office_code, hs6, origin_iso2, registered_date, cancelled_at, net_kg,
            inspection_result_code, lane_final_code, lane_source_code
        from read_parquet({landed}, hive_partitioning = false)
    ) as landed using (declaration_id, item_no)
"""


@dataclass(frozen=True)
class Witnessed:
    """What the truth of a world says.

    Attributes:
        parts: What everybody plays.
        evidence: What there was to see of parts whose trace is counts, one dictionary each.
    """

    parts: list[Part]
    evidence: list[dict[str, Any]]


def read_world(settings: Settings, member_iso2: str) -> Witnessed:
    """Return the parts of a member's world, whose extracts are landed in this home."""
    folder = settings.paths.synthetic / member_iso2.lower() / TRUTH
    landed = settings.paths.landing / "declaration_items" / f"member={member_iso2}" / "*" / "rows.parquet"
    with open_duckdb(settings) as connection:
        connection.execute(
            _TOUCHED.format(items=quote_literal(folder / ITEMS), landed=quote_literal(landed))
        )
        named = list(_named(settings, member_iso2, connection, folder))
        parts = [*named, *_sets(named), *_derived(connection, named)]
        return Witnessed(parts, list(_evidence(connection, named)))


def _named(
    settings: Settings, member_iso2: str, connection: duckdb.DuckDBPyConnection, folder: Path
) -> Iterator[Part]:
    pseudonymiser = load_pseudonymiser(settings.paths)

    def pseudonym(kind: str, identifier: str) -> str:
        return str(pseudonymiser.pseudonymise(member_iso2, kind, [identifier])[0])

    totals = _Totals(connection)
    for number, broker, inspector, diversion, start in connection.execute(
        "select pair_no, declarant_id, inspector_id, diversion, starts_on"
        f" from read_parquet({quote_literal(folder / PAIRS)}) order by pair_no"
    ).fetchall():
        files, loss = totals.of(f"pair_no = {int(number)} and is_diverted")
        both = pseudonym("declarant", broker), pseudonym("inspector", inspector)
        yield Part("S6", "pair", *both, start, None, files, loss, diversion)
        for role, unit in zip(("broker", "inspector"), both, strict=True):
            yield Part("S6", role, unit, None, start, None, files, loss, diversion)
    for kind, identifier, scenario, start, end in connection.execute(
        "select kind, entity_id, scenario, starts_on, ends_on"
        f" from read_parquet({quote_literal(folder / ENTITIES)}) where scenario <> 'S6'"
    ).fetchall():
        unit = pseudonym(kind, identifier)
        files, loss = totals.of_entity(scenario, kind, unit, start)
        yield Part(scenario, _ROLES[kind], unit, None, start, end, files, loss)


_MARKS = {
    "S5": "scenario = 'S5'",
    "S7": "is_shopped",
    "S8": "is_overridden_by_ring",
    "S9": "true",
    "S10": "is_extorted",
    "S11": "is_passed_over",
    "S12": "scenario = 'S12'",
}
_COLUMNS = {"declarant": "declarant_id", "inspector": "inspector_final_id", "importer": "importer_id"}


class _Totals:
    """Files that a scenario touched, and the taxes that they were short of."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def of(self, where: str) -> tuple[int, float]:
        files, loss = self._connection.execute(
            f"select count(distinct declaration_key), coalesce(sum(loss_usd), 0) from touched where {where}"
        ).fetchall()[0]
        return int(files), float(loss)

    def of_entity(self, scenario: str, kind: str, unit: str, start: date) -> tuple[int, float]:
        """Of a part by name; the supervisor of a ring stands for all of it, a decoy touches nothing."""
        mark = _MARKS.get(scenario)
        if mark is None:
            return 0, 0.0
        if kind == "supervisor":
            return self.of(mark)
        since = f"registered_date >= date '{start}'"
        return self.of(f"{mark} and {_COLUMNS[kind]} = {quote_literal(unit)} and {since}")


def _sets(named: Iterable[Part]) -> Iterator[Part]:
    """Yield those who act together, as one part each."""
    ring: list[Part] = []
    for part in named:
        if part.scenario == "S6" and part.role == "pair":
            members = f"{part.unit_id} {part.counterpart_id}"
            yield Part(
                "S6", "set", "pair", members, part.starts_on, None, part.files, part.loss_usd, part.diversion
            )
        if part.scenario == "S8":
            ring.append(part)
    whole = [part for part in ring if part.role == "supervisor"]
    if whole:
        members = " ".join(part.unit_id for part in ring)
        yield Part("S8", "set", "ring", members, whole[0].starts_on, None, whole[0].files, whole[0].loss_usd)


def _derived(connection: duckdb.DuckDBPyConnection, named: Iterable[Part]) -> Iterator[Part]:
    parts = list(named)
    starts = {part.scenario: part for part in parts}
    for scenario in ("S6", "S7", "S8", "S9", "S10", "S11"):
        if scenario in starts:
            yield from _offices(connection, [part for part in parts if part.scenario == scenario])
    if "S8" in starts:
        yield from _brokers_of_ring(connection, starts["S8"])
    first = connection.execute("select min(registered_date) from touched").fetchall()[0][0]
    if first is not None:
        for role, column in (("office", "office_code"), ("broker", "declarant_id"), ("chapter", "left(hs6, 2)")):
            yield from _split_in(connection, role, column, first)
        yield from _switched(connection, first)
        for what, gap, missing in _GAPS:
            yield from _short_flows(connection, what, gap, missing)


# What the first days of a part show, and what honest colleagues of the office or the even draw would have given.
_EVIDENCE = {
    "S9": """
        select
            count(*) filter (is_theirs), sum(is_marked::int) filter (is_theirs),
            count(*) filter (is_theirs) * avg(is_marked::int) filter (not is_theirs)
        from (
            select inspector_final_id = {unit} as is_theirs, bool_or(inspection_result_code <> 'CONFORM') as is_marked
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


def _evidence(connection: duckdb.DuckDBPyConnection, named: Iterable[Part]) -> Iterator[dict[str, Any]]:
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


def _split_in(
    connection: duckdb.DuckDBPyConnection, role: str, column: str, first: date
) -> Iterator[Part]:
    rows = connection.execute(
        f"select {column} as unit, count(*) filter (scenario = 'S5') as parts_n,"
        "   count(distinct declaration_key) filter (scenario = 'S5'), sum(loss_usd) filter (scenario = 'S5'),"
        "   parts_n / count(*) as share from touched where unit is not null group by unit"
        f" having parts_n >= {TOUCHED_ITEMS}"
        f"   and share >= {TOUCHED_RATIO} * (select avg((coalesce(scenario, '') = 'S5')::int) from touched)"
        " order by unit"
    ).fetchall()
    for unit, _, files, loss, _ in rows:
        yield Part("S5", role, unit, None, first, None, files, loss or 0.0, is_named=False)


def _switched(connection: duckdb.DuckDBPyConnection, first: date) -> Iterator[Part]:
    rows = connection.execute(
        "select importer_id, left(hs6, 4), count(*) as lines, sum(loss_usd) from touched"
        " where scenario = 'S2' and importer_id is not null group by 1, 2"
        f" having lines >= {SWITCHED_LINES} order by 1, 2"
    ).fetchall()
    for importer, heading, lines, loss in rows:
        yield Part("S2", "importer and heading", importer, heading, first, None, lines, loss, is_named=False)


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
            greatest((select min(registered_date) from touched), (month - interval 11 months)::date) as starts_on
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
            true_hs6, true_origin_iso2, starts_on, ends_on, sum(true_kg) as true_kg, sum(true_usd) as true_usd,
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
        true_hs6 || ' from ' || true_origin_iso2, min(of_flow.starts_on), max(of_flow.ends_on), arg_max(scenario, {gap}),
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


def _short_flows(
    connection: duckdb.DuckDBPyConnection, what: str, gap: str, missing: str
) -> Iterator[Part]:
    """Yield the flows that were short by `PLANTED_GAP` in any twelve months up to the end of a quarter."""
    sql = _SHORT_FLOWS.format(gap=gap, missing=missing, planted=PLANTED_GAP)
    for flow, start, end, scenario, items, loss in connection.execute(sql).fetchall():
        role = f"flow short of {what}"
        yield Part(scenario, role, flow, None, start, end, items, loss or 0.0, is_named=False)
