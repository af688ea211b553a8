"""Where signals lie: one Parquet file per member, indicator and period, with what it was computed from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.integrity.signals import SIGNAL_SCHEMA
from tidewaiter.files import read_json, replace_file_atomically, write_json_atomically
from tidewaiter.settings import Settings

_RECORD = "computed.json"


class SignalStore:
    """The signals of one member and indicator."""

    def __init__(self, settings: Settings, member_iso2: str, indicator_id: str) -> None:
        self.folder = signals_folder(settings, member_iso2) / f"indicator={indicator_id}"
        self._record: dict[str, Any] = read_json(self.folder / _RECORD) or {}

    def is_current(self, label: str, key: str) -> bool:
        """Whether the period was computed from the same inputs by the same code."""
        found = self._record.get(label)
        return found is not None and found["key"] == key and self._file(label).is_file()

    def write(self, label: str, key: str, signals: pa.Table) -> None:
        """Write the signals of a period, then put on record what they came from."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replace_file_atomically(self._file(label)) as partial:
            pq.write_table(signals.cast(SIGNAL_SCHEMA), partial, compression="zstd")
        flagged = pc.sum(signals["is_flagged"].cast(pa.int64())).as_py() or 0
        self._record[label] = {"key": key, "rows": signals.num_rows, "flagged": flagged}
        write_json_atomically(self.folder / _RECORD, self._record)

    def keep_only(self, labels: Sequence[str]) -> None:
        """Remove periods that are no more: data may begin later, or the looks change."""
        gone = sorted(set(self._record) - set(labels))
        for label in gone:
            del self._record[label]
        for path in self.folder.glob("*.parquet"):
            if path.stem not in labels:
                path.unlink()
        if gone:
            write_json_atomically(self.folder / _RECORD, self._record)

    @property
    def rows(self) -> int:
        """Rows of all periods on record."""
        return sum(period["rows"] for period in self._record.values())

    def flagged_units(self, label: str) -> list[tuple[str, str, str | None, date]]:
        """Return kind, unit, counterpart and day of first flag of the units flagged in a period."""
        columns = ["unit_kind", "unit_id", "counterpart_id", "first_flagged_on"]
        table = pq.read_table(self._file(label), columns=[*columns, "is_flagged"])
        rows = table.filter(table["is_flagged"]).select(columns).to_pylist()
        return [tuple(row.values()) for row in rows]

    def _file(self, label: str) -> Path:
        return self.folder / f"{label}.parquet"


def signals_folder(settings: Settings, member_iso2: str) -> Path:
    """Return the folder of a member's signals."""
    return settings.paths.integrity / "signals" / f"member={member_iso2}"


def read_signals(settings: Settings, members: Sequence[str]) -> pa.Table:
    """Return all signals of the members, by member, indicator and period; empty where there are none."""
    paths = [
        path for member in members for path in sorted(signals_folder(settings, member).glob("*/*.parquet"))
    ]
    tables = [pq.ParquetFile(path).read() for path in paths]
    return pa.concat_tables(tables) if tables else SIGNAL_SCHEMA.empty_table()
