"""A seeded landing zone, and dbt run on it as a subprocess, as the flows run it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tidewaiter.canonical import load_dataset
from tidewaiter.home import Home
from tidewaiter.landing import write_schema_files
from tidewaiter.marts import mart_files, prepare_staging, swap_staged

PROJECT = Path(__file__).parents[2] / "dbt_project"
SEEDED_ITEMS = Path(__file__).with_name("seeded_items.sql")

RATES = """
    from (values
        ('XA', 'EUR', date '2023-12-01', 0.9),
        ('XA', 'EUR', date '2024-02-01', 0.95),
        ('XB', 'XBD', date '2023-12-01', 12.5)
    ) as rates (member_iso2, currency_code, valid_from_date, units_per_usd)
"""

# A general rate per heading, another one for some subheadings, and a preference of one origin that ends.
TARIFF = """
    select
        member_iso2, hs_code, origin_group_code, preference_code, valid_from_date, valid_to_date, rate_pct
    from (values ('XA')) as members (member_iso2), (
        select
            printf('%02d%02d', chapter, heading) as hs_code, 'ALL' as origin_group_code,
            'MFN' as preference_code, date '2023-01-01' as valid_from_date, null::date as valid_to_date,
            heading * 4 as rate_pct
        from range(1, 21) as chapters (chapter), range(1, 5) as headings (heading)
        union all
        select
            printf('%02d%02d00', chapter, heading), 'ALL', 'MFN', date '2024-01-20', null, heading * 3
        from range(1, 11) as chapters (chapter), range(1, 5) as headings (heading)
        union all
        select printf('%02d0100', chapter), 'CN', 'FTA', date '2023-06-01', date '2024-02-10', 0
        from range(1, 11) as chapters (chapter)
        union all
        select printf('%02d01', chapter), 'EU27', 'FTA', date '2024-01-10', null, 1
        from range(1, 5) as chapters (chapter)
    ) as tariff
"""


@dataclass
class Warehouse:
    """A TIDEWAITER_HOME with a landing zone made of SQL, and dbt to build on it."""

    home: Path

    def land(
        self, connection: duckdb.DuckDBPyConnection, items: str, extra_rates: str = "", headers: str = ""
    ) -> None:
        """Write the rows of queries as landed Parquet, and the manifest of their extracts."""
        write_schema_files(Home(self.home))
        self._write_landed(connection, "declaration_items", items)
        if headers:
            self._write_landed(connection, "declarations", headers)
        rates = RATES + (f" union all {extra_rates}" if extra_rates else "")
        numbered = "row_number() over (order by member_iso2, valid_from_date) as source_line"
        rates = f"select *, 'rates' as extract_id, 'rates.csv' as source_file, {numbered} from ({rates})"
        self._write_landed(connection, "exchange_rates", rates)
        numbered = "row_number() over (order by hs_code, valid_from_date) as source_line"
        tariff = f"select *, 'tariff' as extract_id, 'tariff.csv' as source_file, {numbered} from ({TARIFF})"
        self._write_landed(connection, "tariff_rates", tariff)
        manifest = " union all ".join(
            f"select distinct member_iso2, '{dataset}' as dataset, extract_id, source_file"
            f" from read_parquet('{self.home}/landing/{dataset}/*/*/rows.parquet')"
            for dataset in ("declaration_items", "declarations", "exchange_rates", "tariff_rates")
        )
        _copy(
            connection,
            f"""
            select
                member_iso2, dataset, extract_id, source_file,
                sha256(extract_id) as source_sha256,
                timestamp '2025-01-01' as received_at,
                row_number() over (partition by member_iso2, dataset order by source_file)::integer
                    as extract_sequence,
                1::bigint as rows_in, 1::bigint as rows_landed, 0::bigint as rows_quarantined,
                true as is_accepted
            from ({manifest})
            """,
            self.home / "landing" / "extracts" / "manifest.parquet",
        )
        self._write_scores(connection)
        for folder in ("warehouse", "marts/trade", "marts/features", "marts/scores", "marts/integrity"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)

    def _write_landed(self, connection: duckdb.DuckDBPyConnection, dataset: str, rows: str) -> None:
        columns = load_dataset(dataset).landed_columns  # type: ignore[arg-type]
        given = set(connection.sql(f"select * from ({rows}) limit 0").columns)
        typed = ", ".join(
            f"cast({name if name in given else 'null'} as {kind}) as {name}" for name, kind in columns.items()
        )
        folder = self.home / "landing" / dataset
        _copy(
            connection, f"select {typed} from ({rows})", folder / "member=XA" / "extract=all" / "rows.parquet"
        )
        empty = folder / "member=00" / "extract=schema" / "rows.parquet"
        _copy(connection, f"select {typed} from ({rows}) limit 0", empty)

    def _write_scores(self, connection: duckdb.DuckDBPyConnection) -> None:
        (table,) = read_yaml(PROJECT / "models/staging/_scoring__sources.yml")["sources"][0]["tables"]
        typed = ", ".join(f"cast(null as {c['data_type']}) as {c['name']}" for c in table["columns"])
        _copy(
            connection,
            f"select {typed} limit 0",
            self.home / "scores" / "member=00" / "run=none" / "rows.parquet",
        )

    def dbt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run dbt on this home. Raises AssertionError with dbt's own output where it fails."""
        # The stages that follow read what the first one staged.
        builds = arguments[0] in ("run", "build") and not {"after_scoring", "integrity"} & {*arguments}
        if builds:
            prepare_staging(Home(self.home))
        command = [sys.executable, "-m", "dbt.cli.main", *arguments]
        command += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        environment = os.environ | {
            "TIDEWAITER_HOME": str(self.home),
            "TIDEWAITER_THREADS": "2",
            "DBT_TARGET_PATH": str(self.home / "dbt"),
            "DBT_LOG_PATH": str(self.home / "dbt" / "logs"),
        }
        done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        if builds:
            swap_staged(Home(self.home))
        return done

    def mart(self, name: str) -> Path:
        """Return the Parquet file or folder of a mart table, such as `features/declaration_item_labels`."""
        return self.home / "marts" / f"{name}.parquet"

    def mart_digests(self) -> dict[str, str]:
        """Return the SHA-256 of every mart file, by its path below `marts`."""
        root = self.home / "marts"
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for mart in sorted(root.glob("*/*.parquet"))
            for path in mart_files(mart)
        }

    def open(self) -> duckdb.DuckDBPyConnection:
        """Open the warehouse file to look at it, which only a test does."""
        return duckdb.connect(str(self.home / "warehouse" / "warehouse.duckdb"), read_only=True)

    def nodes(self) -> dict[str, Any]:
        """Return the nodes of dbt's manifest of the last run."""
        text = (self.home / "dbt" / "manifest.json").read_text(encoding="utf-8")
        nodes: dict[str, Any] = json.loads(text)["nodes"]
        return nodes


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection.sql(query).write_parquet(str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file."""
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="session")
def seeded() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `seeded_items`: 4,000 items over 60 days."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set variable items = 4000; set variable days = 60")
        connection.execute("set variable seed = 1")
        connection.execute(SEEDED_ITEMS.read_text(encoding="utf-8"))
        yield connection


@pytest.fixture(scope="session")
def warehouse_at() -> type[Warehouse]:
    """What makes a warehouse of a folder."""
    return Warehouse


@pytest.fixture(scope="session")
def built(seeded: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The seeded landing zone, built once. Tests must not change it."""
    warehouse = Warehouse(tmp_path_factory.mktemp("home"))
    warehouse.land(seeded, "select * from seeded_items")
    warehouse.dbt("run")
    return warehouse
