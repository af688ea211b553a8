"""All integrity indicators on a large member: the counts by dbt, then the exact tests.

`make bench`, or `python tests/bench/integrity.py --items 1000000 10000000`. Landed rows come from
`integrity_world.sql`, each measurement is a process of its own, with its peak memory. Then the newest month
is changed, and the run is measured that computes only what rests on it. Results are kept as JSON under
`TIDEWAITER_HOME/bench`; with `--page` they and the reference page in the repository are written as well.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
from integrity_page import integrity_page
from rich.console import Console
from rich.table import Table
from run_steps import Step, machine_facts, measure

from tidewaiter.canonical import load_dataset
from tidewaiter.files import write_json_atomically
from tidewaiter.landing import write_schema_files
from tidewaiter.marts import mart_path, prepare_staging, swap_staged
from tidewaiter.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "dbt_project"
PAGE = ROOT / "docs" / "reference" / "integrity-speed.md"
KEPT = ROOT / "tests" / "bench" / "results" / "integrity.json"
WORLD_SQL = Path(__file__).with_name("integrity_world.sql")
DATASETS = ("declaration_items", "declaration_events", "inspector_roster")
DAYS = 730
MEMORY_LIMIT = "2500MB"  # DuckDB takes a good quarter more than it is allowed
RUN = """
import json, sys, time
from ml.integrity.catalogue import load_catalogue
from ml.integrity.run import run_member
from tidewaiter.settings import load_settings
took = {}
for entry in load_catalogue():
    started = time.process_time()
    parameters = {"random_red_share": 0.03, "de_minimis_usd": 150}
    newest_only = sys.argv[2] == "newest"
    run = run_member(load_settings(), "XA", parameters, [entry.id], newest_only=newest_only)
    took[entry.id] = [round(time.process_time() - started, 1), run.looks_computed, run.signals_to_be_checked]
print(json.dumps(took))
open(sys.argv[1], "w").write(json.dumps(took))
"""


def land(settings: Settings, items: int, officers: int, brokers: int) -> None:
    """Write the landed rows of the world, and the manifest that accepts them."""
    write_schema_files(settings.paths)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
        connection.execute(f"set threads = {settings.threads}; set memory_limit = '{settings.memory_limit}'")
        for name, value in (("items", items), ("days", DAYS), ("officers", officers), ("brokers", brokers)):
            connection.execute(f"set variable {name} = {value}")
        connection.execute(WORLD_SQL.read_text(encoding="utf-8"))
        for dataset in DATASETS:
            _write(connection, settings, dataset)
    rows = ", ".join(
        f"('XA', '{dataset}', '{dataset}', '{dataset}.csv', sha256('{dataset}'), timestamp '2026-02-01',"
        " 1, 1::bigint, 1::bigint, 0::bigint, true)"
        for dataset in DATASETS
    )
    manifest = settings.paths.landing / "extracts" / "manifest.parquet"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    columns = (
        "member_iso2, dataset, extract_id, source_file, source_sha256, received_at, extract_sequence,"
        " rows_in, rows_landed, rows_quarantined, is_accepted"
    )
    duckdb.execute(f"copy (from (values {rows}) as m ({columns})) to '{manifest}' (format parquet)")


def _write(connection: duckdb.DuckDBPyConnection, settings: Settings, dataset: str) -> None:
    given = set(connection.sql(f"from {dataset} limit 0").columns)
    own = {"extract_id": f"'{dataset}'", "source_file": f"'{dataset}.csv'"}
    typed = ", ".join(
        f"cast({own.get(name, name if name in given else 'null')} as {kind}) as {name}"
        for name, kind in load_dataset(dataset).landed_columns.items()  # type: ignore[arg-type]
    )
    target = settings.paths.landing / dataset / "member=XA" / f"extract={dataset}" / "rows.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(f"copy (select {typed} from {dataset}) to '{target}' (format parquet)")


def dbt(name: str, settings: Settings, *arguments: str) -> Step:
    """Run dbt as the transform step does, without tests."""
    prepare_staging(settings.paths)
    for folder in (settings.paths.warehouse.parent, settings.paths.marts / "integrity"):
        folder.mkdir(parents=True, exist_ok=True)
    target = settings.paths.dbt_target / "target"
    step = measure(
        name,
        [
            *(sys.executable, "-m", "dbt.cli.main", "run", *arguments),
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target)),
            *("--log-path", str(settings.paths.dbt_target / "logs")),
        ],
        settings,
    )
    swap_staged(settings.paths)
    return step


def indicators(name: str, settings: Settings, looks: str = "all") -> tuple[Step, dict[str, Any]]:
    """Run all indicators in a process of their own; `looks` is `all` or `newest`."""
    took = settings.home / "took.json"
    step = measure(name, [sys.executable, "-c", RUN, str(took), looks], settings)
    return step, json.loads(took.read_text(encoding="utf-8"))


def change_newest_month(settings: Settings) -> None:
    """Leave out a row of the newest month of each mart, as a correction would."""
    for path in mart_path(settings.paths, "integrity", "x").parent.glob("*.parquet"):
        if path.stem == "integrity_inputs":
            continue
        beside = path.with_suffix(".coming")
        duckdb.execute(
            f"copy (select * exclude (n) from (select *, row_number() over (order by month desc) as n"
            f" from '{path}') where n > 1) to '{beside}' (format parquet)"
        )
        beside.replace(path)


def measure_size(settings: Settings, items: int, officers: int, brokers: int) -> dict[str, Any]:
    """Measure everything for one number of items."""
    land(settings, items, officers, brokers)
    upstream = ("--select", "+tag:integrity", "--exclude", "tag:integrity")
    before = dbt("items made current (not counted)", settings, *upstream)
    counts = dbt("counts by dbt", settings, "--select", "tag:integrity")
    newest, took_newest = indicators("exact tests, newest look of each", settings, "newest")
    tests, took = indicators("exact tests, earlier looks of two years", settings)
    change_newest_month(settings)
    again, took_again = indicators("exact tests, newest month changed", settings)
    steps = [asdict(step) for step in (before, counts, newest, tests, again)]
    return {
        "items": items,
        "officers": officers,
        "brokers": brokers,
        "steps": steps,
        "indicators_newest": took_newest,
        "indicators": took,
        "indicators_again": took_again,
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--officers", type=int, default=300)
    parser.add_argument("--brokers", type=int, default=2_000)
    parser.add_argument("--page", action="store_true", help=f"write {PAGE.relative_to(ROOT)} as well")
    arguments = parser.parse_args()
    kept = load_settings().paths.root / "bench"
    facts = machine_facts(load_settings({"memory_limit": MEMORY_LIMIT}))
    results = []
    for items in arguments.items:
        home = kept / f"integrity-{items}"
        shutil.rmtree(home, ignore_errors=True)
        settings = load_settings({"home": home, "memory_limit": MEMORY_LIMIT})
        results.append(measure_size(settings, items, arguments.officers, arguments.brokers))
        shutil.rmtree(home)
    found = {"machine": facts, "sizes": results}
    write_json_atomically(kept / "integrity.json", found)
    if arguments.page:
        write_json_atomically(KEPT, found)
        PAGE.write_text(integrity_page(facts, results), encoding="utf-8")
    table = Table("items", "step", "seconds", "CPU seconds", "peak GiB", box=None)
    for result in results:
        for step in result["steps"]:
            table.add_row(
                f"{result['items']:,}",
                step["name"],
                f"{step['wall_seconds']:.1f}",
                f"{step['processor_seconds']:.1f}",
                f"{step['peak_rss_mib'] / 1024:.2f}",
            )
    console = Console()
    console.print(table)
    for result in results:
        spent = ", ".join(f"{name} {numbers[0]} s" for name, numbers in result["indicators"].items())
        console.print(f"{result['items']:,}: CPU by indicator: {spent}", soft_wrap=True)


if __name__ == "__main__":
    main()
