"""A home with hand-over marts written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.integrity.catalogue import load_catalogue
from tidewaiter.marts import mart_path
from tidewaiter.settings import Settings


class MartsByHand:
    """Writes integrity marts below a home, as dbt would export them."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, threads=1)

    def write(self, name: str, rows: list[Mapping[str, Any]] | pa.Table) -> None:
        path = mart_path(self.settings.paths, "integrity", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows))
        pq.write_table(table, path)

    def cover(self, member: str, first: Any, last: Any, without: tuple[str, ...] = ()) -> None:
        """Say that the member has every field that the catalogue asks for, but some."""
        names = {name for entry in load_catalogue() for name in entry.inputs} - set(without)
        self.write(
            "integrity_inputs",
            [
                {
                    "member_iso2": member,
                    "input_name": name,
                    "filled_rows_n": 1,
                    "first_date": first,
                    "last_date": last,
                }
                for name in sorted(names)
            ],
        )


@pytest.fixture
def marts(tmp_path: Path) -> MartsByHand:
    return MartsByHand(tmp_path)


@pytest.fixture
def compute(marts: MartsByHand) -> Callable[..., list[dict[str, Any]]]:
    """Run one indicator over the marts for a period and return its raw rows."""
    import numpy as np

    from ml.integrity.inputs import open_inputs

    def run(indicator: str, period: Any, member: str = "XA", **parameters: float) -> list[dict[str, Any]]:
        (entry,) = [one for one in load_catalogue() if one.id == indicator]
        with open_inputs(marts.settings, member, parameters) as inputs:
            tables = [*entry.tables, *(name for name in entry.optional_tables if inputs.has(name))]
            inputs.cut(tables, period)
            rows: list[dict[str, Any]] = entry.compute()(inputs, entry, np.random.default_rng(1)).to_pylist()
            return rows

    return run
