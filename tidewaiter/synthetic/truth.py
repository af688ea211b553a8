"""The truth behind a member's extracts: per item, per pair, per entity. Nothing that learns may read it.

Entities are spelt as in the extracts; after landing they are pseudonyms, so an evaluation that joins
them needs the member's key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tidewaiter.files import write_json_atomically
from tidewaiter.synthetic.dialects import Dialect
from tidewaiter.synthetic.officers import SUPERVISORS_PER_OFFICE
from tidewaiter.synthetic.schemes import RING_OFFICE, Cast
from tidewaiter.synthetic.sending import Sending
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.tables import ChunkTables

ITEMS, PAIRS, ENTITIES, PLAN = "items.parquet", "pairs.parquet", "entities.parquet", "plan.json"

_PAIRS = pa.schema(
    [
        ("pair_no", pa.int64()),
        ("scenario", pa.string()),
        ("declarant_id", pa.string()),
        ("inspector_id", pa.string()),
        ("diversion", pa.float64()),
        ("arranged_share", pa.float64()),
        ("starts_on", pa.date32()),
        ("parameters", pa.string()),
    ]
)
_ENTITIES = pa.schema(
    [
        ("kind", pa.string()),
        ("entity_id", pa.string()),
        ("scenario", pa.string()),
        ("starts_on", pa.date32()),
        ("ends_on", pa.date32()),
        ("parameters", pa.string()),
    ]
)


class Truth:
    """Writes the truth of one member beside its extracts."""

    def __init__(self, setting: Setting, dialect: Dialect, sending: Sending, folder: Path) -> None:
        self._setting = setting
        self._dialect = dialect
        self._sending = sending
        self._folder = folder
        self._writer: pq.ParquetWriter | None = None

    def add(self, tables: ChunkTables) -> None:
        """Write the truth of a chunk's items, in the order of the extract's lines."""
        spelt = self._sending.spell_columns({"declaration_id": self._dialect.declaration_id}, tables.items)
        table = tables.truth.add_column(0, "declaration_id", spelt["declaration_id"])
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._folder / ITEMS, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        """Write pairs, entities and the plan, and finish the items."""
        if self._writer is not None:
            self._writer.close()
        plan = self._setting.request.plan
        write_json_atomically(self._folder / PLAN, asdict(plan))
        if self._dialect.identifiers:
            pq.write_table(self._pairs(), self._folder / PAIRS)
            pq.write_table(self._entities(), self._folder / ENTITIES)

    def _pairs(self) -> pa.Table:
        pairs = self._setting.cast.pairs
        declarants = self._spelt("declarant", [pair.declarant for pair in pairs])
        inspectors = self._spelt("inspector", [pair.inspector for pair in pairs])
        rows = [
            {
                "pair_no": number,
                "scenario": "S6",
                "declarant_id": declarants[number],
                "inspector_id": inspectors[number],
                "diversion": pair.diversion,
                "arranged_share": pair.arranged_share,
                "starts_on": _day(pair.start_s),
                "parameters": self._parameters("S6"),
            }
            for number, pair in enumerate(pairs)
        ]
        return pa.Table.from_pylist(rows, schema=_PAIRS)

    def _entities(self) -> pa.Table:
        rows = [
            {
                "kind": kind,
                "entity_id": entity,
                "scenario": scenario,
                "starts_on": _day(start_s),
                "ends_on": None if end_s is None else _day(end_s),
                "parameters": self._parameters(scenario),
            }
            for scenario, kind, numbers, start_s, end_s in self._parts()
            for entity in self._spelt(kind, numbers)
        ]
        return pa.Table.from_pylist(rows, schema=_ENTITIES)

    def _parts(self) -> Iterator[tuple[str, str, Sequence[int], int, int | None]]:
        """Yield scenario, kind of entity, entities, first and last instant of each part that is played."""
        request, cast = self._setting.request, self._setting.cast
        scenarios = request.plan.scenarios
        for scenario, kind, numbers in _roles(cast):
            strength: Any = getattr(scenarios, scenario, None)
            start_s = request.instant_s(strength.start) if hasattr(strength, "start") else request.first_s
            days = getattr(strength, "days", None)
            yield scenario, kind, numbers, start_s, start_s + days * 86_400 if days else None

    def _spelt(self, kind: str, numbers: Sequence[int]) -> list[str]:
        table = pa.table({"number": pa.array(np.asarray(numbers, dtype=np.int64))})
        spelt = self._sending.spell_columns({"entity": self._dialect.entity(kind, "number")}, table)
        found: list[str] = spelt["entity"].to_pylist()
        return found

    def _parameters(self, scenario: str) -> str:
        plan = self._setting.request.plan
        strength: Any = getattr(plan.scenarios, scenario, None) or getattr(plan.decoys, scenario, None)
        return json.dumps(asdict(strength)) if strength is not None else "{}"


def _roles(cast: Cast) -> list[tuple[str, str, Sequence[int]]]:
    supervisor = RING_OFFICE * SUPERVISORS_PER_OFFICE + cast.ring_supervisor
    pairs = cast.pairs
    return [
        ("S5", "importer", cast.splitters.tolist()),
        ("S6", "declarant", [pair.declarant for pair in pairs]),
        ("S6", "inspector", [pair.inspector for pair in pairs]),
        ("S7", "declarant", cast.shoppers.tolist()),
        ("S8", "importer", cast.ring_importers.tolist()),
        ("S8", "supervisor", [supervisor] if cast.ring_supervisor >= 0 else []),
        ("S9", "inspector", cast.lenient.tolist()),
        ("S10", "inspector", cast.extorting.tolist()),
        ("S11", "declarant", cast.passed_over.tolist()),
        ("S12", "importer", cast.novel.tolist()),
        ("Z1", "declarant", cast.vehicle_declarants.tolist()),
        ("Z2", "declarant", cast.night_declarants.tolist()),
        ("Z3", "importer", cast.operators.tolist()),
        ("Z5", "importer", cast.listed.tolist()),
    ]


def _day(local_s: int) -> Any:
    return np.datetime64(local_s // 86_400, "D").astype(object)
