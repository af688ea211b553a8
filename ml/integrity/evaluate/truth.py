"""The parts that entities play in a world, in the names that signals use.

Parts played by name come from the truth's pairs and entities, whose identifiers become pseudonyms with the
home's key. Parts of offices, chapters, flows and the like are derived from the items that a scenario
touched, which are joined to the landed rows: no key is needed for those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.integrity.evaluate.parts import Part
from ml.integrity.evaluate.traces import derived_parts, evidence
from tidewaiter.fence import TRUTH
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings
from tidewaiter.synthetic.truth import ENTITIES, ITEMS, PAIRS
from tidewaiter.warehouse import open_duckdb, quote_literal

if TYPE_CHECKING:
    import duckdb

# Roles that entities play by name, as signals call them.
_ROLES = {"declarant": "broker", "inspector": "inspector", "importer": "importer", "supervisor": "supervisor"}

# One row per item that was landed, with what was planted in it. A consignment that was cancelled and came
# again counts once.
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
        connection.execute(_TOUCHED.format(items=quote_literal(folder / ITEMS), landed=quote_literal(landed)))
        named = list(_named(settings, member_iso2, connection, folder))
        parts = [*named, *_sets(named), *derived_parts(connection, named)]
        return Witnessed(parts, list(evidence(connection, named)))


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
