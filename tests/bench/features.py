"""The feature build against DuckDB alone reading and writing the landed Parquet, and a day on top of it.

`make bench`, or `python tests/bench/features.py --items 1000000 3000000 10000000`. Landed Parquet with heavy
tails is made by `heavy_tailed_items.sql`; every measurement is a process of its own. Prints a table and where
the time goes by model; keeps JSON and a plot of time and memory under `TIDEWAITER_HOME/bench`. With `--page`
the results and the reference page in the repository are written as well; sizes not measured now stay as they
were kept, if the machine, its settings and the versions are the same.

Wall time depends on what else the machine does, so ratios are of processor time and both are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from feature_page import feature_page
from rich.console import Console
from rich.table import Table
from run_steps import Step, machine_facts, measure

from tidewaiter.canonical import load_dataset
from tidewaiter.files import write_json_atomically
from tidewaiter.landing import write_schema_files
from tidewaiter.marts import prepare_staging, swap_staged
from tidewaiter.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "dbt_project"
KEPT = Path(__file__).with_name("results") / "features.json"
PAGE = ROOT / "docs" / "reference" / "feature-speed.md"
PICTURE = "pictures/feature-speed.png"
ITEMS_SQL = Path(__file__).with_name("heavy_tailed_items.sql")
# The day on top is one in the middle of a month, as most are.
FIRST_DAY = date(2022, 1, 15)
DAYS = 730
SLICE = 1_000_000
# What the flows give dbt, without the data tests: they have a line of their own.
SELECT = ["--select", "+int_inputs__built"]
# Facts of the machine that differ from run to run: kept size by size.
OF_A_RUN = {"measured_at", "git_commit", "load_before"}
PLAIN = """
import sys, duckdb
connection = duckdb.connect()
connection.execute(f"set threads = {sys.argv[3]}; set memory_limit = '{sys.argv[4]}'")
connection.execute("set preserve_insertion_order = false")
source, target = f"read_parquet('{sys.argv[1]}')", f"'{sys.argv[2]}'"
connection.execute(f"copy (from {source}) to {target} (format parquet, compression zstd)")
"""


def land_items(settings: Settings, items: int, first_day: date, days: int, extract: str, number: int) -> None:
    """Write an extract of `items` rows spread evenly over `days`, a million rows to a file."""
    typed = ", ".join(
        f"cast({name if name in _given() else 'null'} as {kind}) as {name}"
        for name, kind in load_dataset("declaration_items").landed_columns.items()
    )
    folder = settings.paths.landing / "declaration_items"
    for start in range(0, items, SLICE):
        with duckdb.connect() as connection:
            _prepare(connection, settings)
            rows = min(SLICE, items - start)
            # A slice is a stretch of days, as extracts that come by the month are.
            share = days * start // items, days * (start + rows) // items
            connection.execute(f"set variable items = {rows}; set variable first_item = {number + start}")
            connection.execute(f"set variable first_day = date '{first_day + timedelta(share[0])}'")
            connection.execute(f"set variable days = {max(share[1] - share[0], 1)}")
            connection.execute(f"set variable extract = '{extract}-{start // SLICE}'")
            connection.execute(ITEMS_SQL.read_text(encoding="utf-8"))
            for member in ("XA", "XB"):
                target = folder / f"member={member}" / f"extract={extract}-{start // SLICE}" / "rows.parquet"
                target.parent.mkdir(parents=True)
                connection.execute(
                    f"copy (select {typed} from heavy_tailed_items where member_iso2 = '{member}')"
                    f" to '{target}' (format parquet, compression zstd)"
                )


def _given() -> set[str]:
    with duckdb.connect() as connection:
        connection.execute("set variable items = 1; set variable days = 1; set variable first_item = 0")
        connection.execute("set variable first_day = date '2024-01-01'; set variable extract = 'x'")
        connection.execute(ITEMS_SQL.read_text(encoding="utf-8"))
        return set(connection.sql("from heavy_tailed_items").columns)


def _prepare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    connection.execute(f"set threads = {settings.threads}; set memory_limit = '{settings.memory_limit}'")


def land_labels(settings: Settings, day: date) -> None:
    """Send again, with their labels, the items whose label became known on a day, as late as others."""
    landing = settings.paths.landing / "declaration_items"
    for member in ("XA", "XB"):
        target = landing / f"member={member}" / f"extract=labels-{day}" / "rows.parquet"
        target.parent.mkdir(parents=True)
        with duckdb.connect() as connection:
            _prepare(connection, settings)
            connection.execute(
                f"copy (select * replace ('labels-{day}' as extract_id, 'zz.csv' as source_file,"
                f" timestamp '{day}' as label_at, coalesce(is_irregular, false) as is_irregular)"
                f" from read_parquet('{landing}/member={member}/extract=history-*/rows.parquet',"
                f" hive_partitioning = false)"
                f" where is_irregular is null and hash(declaration_id, item_no, 1) % 3 < 2"
                f" and cast(registered_at + to_seconds((86400 * exp(4.4 * hash(declaration_id, item_no, 2)"
                f" / 18446744073709551616.0))::bigint) as date) = date '{day}')"
                f" to '{target}' (format parquet, compression zstd)"
            )


def write_manifest(settings: Settings) -> None:
    """Accept every extract that is on land, and a table of exchange rates."""
    rates = settings.paths.landing / "exchange_rates" / "member=XA" / "extract=rates" / "rows.parquet"
    manifest = settings.paths.landing / "extracts" / "manifest.parquet"
    for path in (rates, manifest):
        path.parent.mkdir(parents=True, exist_ok=True)
    typed = ", ".join(
        f"cast(null as {kind}) as {name}"
        for name, kind in load_dataset("exchange_rates").landed_columns.items()
    )
    duckdb.execute(
        f"copy (select * replace ('XA' as member_iso2, 'EUR' as currency_code, d::date as valid_from_date,"
        f" 0.9 + 0.1 * sin(d::date - date '2022-01-01') as units_per_usd, 'rates' as extract_id,"
        f" 'rates.csv' as source_file, 1 as source_line)"
        f" from (select {typed}),"
        " generate_series(date '2021-12-01', date '2026-01-01', interval 1 day) as days (d))"
        f" to '{rates}' (format parquet)"
    )
    duckdb.execute(
        f"""
        copy (
            select
                member_iso2, dataset, extract_id, source_file, sha256(extract_id) as source_sha256,
                timestamp '2025-01-01' as received_at,
                row_number() over (
                    partition by member_iso2, dataset order by source_file, extract_id
                )::integer as extract_sequence,
                1::bigint as rows_in, 1::bigint as rows_landed, 0::bigint as rows_quarantined,
                true as is_accepted
            from (
                select distinct member_iso2, 'declaration_items' as dataset, extract_id, source_file
                from read_parquet('{settings.paths.landing}/declaration_items/*/*/rows.parquet')
                union all
                select 'XA', 'exchange_rates', 'rates', 'rates.csv'
            )
        ) to '{manifest}' (format parquet)
        """
    )


def build(name: str, settings: Settings, *arguments: str) -> tuple[Step, dict[str, float]]:
    """Run dbt as the transform step does, without tests; return what it took, in all and by model."""
    prepare_staging(settings.paths)
    settings.paths.warehouse.parent.mkdir(parents=True, exist_ok=True)
    target = settings.paths.dbt_target / "target"
    step = measure(
        name,
        [
            *(sys.executable, "-m", "dbt.cli.main", "--log-format", "json", "--log-level", "info"),
            *("--no-use-colors", "run", *SELECT, *arguments),
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target)),
            *("--log-path", str(settings.paths.dbt_target / "logs")),
        ],
        settings,
    )
    swap_staged(settings.paths)
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    return step, {result["unique_id"].split(".")[-1]: result["execution_time"] for result in results}


def digests(settings: Settings) -> list[Any]:
    """Return a digest of the rows of each file of the feature mart."""
    return duckdb.sql(
        f"select parse_filename(filename), count(*), bit_xor(hash(items)) "
        f"from read_parquet('{_mart(settings)}', filename = true) as items group by all order by all"
    ).fetchall()


def _mart(settings: Settings) -> Path:
    return settings.paths.marts / "features" / "declaration_item_features.parquet"


def _columns(settings: Settings) -> int:
    return len(duckdb.sql(f"select * from read_parquet('{_mart(settings)}/*.parquet') limit 0").columns)


def measure_plain(name: str, files: str, settings: Settings) -> Step:
    """Have DuckDB alone read these Parquet files and write them back as one; return what it took."""
    target = settings.home / "plain.parquet"
    step = measure(
        name,
        [sys.executable, "-c", PLAIN, files, str(target), str(settings.threads), settings.memory_limit],
        settings,
    )
    target.unlink()
    return step


def measure_size(settings: Settings, items: int, *, is_checked: bool) -> dict[str, Any]:
    """Measure plain DuckDB, the full build and a day on top of it for one number of items."""
    write_schema_files(settings.paths)
    land_items(settings, items, FIRST_DAY, DAYS, "history", 0)
    write_manifest(settings)
    plain = measure_plain(
        "plain read and write",
        f"{settings.paths.landing}/declaration_items/*/extract=history*/rows.parquet",
        settings,
    )
    full, models = build("full build", settings, "--full-refresh")
    # No build writes these columns for less.
    written = measure_plain("features read and written", f"{_mart(settings)}/*.parquet", settings)
    day = FIRST_DAY + timedelta(DAYS)
    land_items(settings, max(items // DAYS, 1), day, 1, f"day-{day}", items)
    land_labels(settings, day)
    write_manifest(settings)
    increment, day_models = build("a day on top", settings)
    found = {"items": items, "steps": [asdict(step) for step in (plain, written, full, increment)]}
    found |= {"models": models, "models_of_the_day": day_models, "columns": _columns(settings)}
    found["full_to_plain"] = full.processor_seconds / plain.processor_seconds
    found["day_to_full"] = increment.processor_seconds / full.processor_seconds
    if is_checked:
        in_parts = digests(settings)
        build("full build again", settings, "--full-refresh")
        found["day_equals_full"] = in_parts == digests(settings)
    return found


def show(console: Console, found: dict[str, Any]) -> None:
    """Print one size's figures."""
    table = Table(title=f"{found['items']:,} items", title_justify="left", box=None, pad_edge=False)
    table.add_column("step")
    for name in ("wall s", "processor s", "peak MiB"):
        table.add_column(name, justify="right")
    for step in found["steps"]:
        table.add_row(
            step["name"],
            f"{step['wall_seconds']:.1f}",
            f"{step['processor_seconds']:.1f}",
            f"{step['peak_rss_mib']:,.0f}",
        )
    console.print(table)
    console.print(
        f"full build: {found['full_to_plain']:.1f} times plain DuckDB;"
        f" a day on top: {found['day_to_full']:.1%} of the full build"
    )
    if "day_equals_full" in found:
        console.print(
            "a day on top " + ("equals" if found["day_equals_full"] else "DIFFERS FROM") + " a full build"
        )
    slowest = sorted(found["models"].items(), key=lambda model: -model[1])[:8]
    by_day = found["models_of_the_day"]
    for name, seconds in slowest:
        console.print(f"  {name:<42}{seconds:8.1f} s, of the day {by_day.get(name, 0):6.2f} s")
    console.print()


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw time and memory against items, with n log n through the smallest size for comparison."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    items = np.array([found["items"] for found in results], dtype=float)
    figure, (times, memory) = plt.subplots(1, 2, figsize=(11, 4.5), constrained_layout=True)
    for position, name in enumerate(step["name"] for step in results[0]["steps"]):
        seconds = [found["steps"][position]["processor_seconds"] for found in results]
        times.plot(items, seconds, marker="o", label=name)
        memory.plot(
            items,
            [found["steps"][position]["peak_rss_mib"] / 1024 for found in results],
            marker="o",
            label=name,
        )
    expected = items * np.log(items)
    (full,) = [step["processor_seconds"] for step in results[0]["steps"] if step["name"] == "full build"]
    times.plot(items, full * expected / expected[0], "--", color="grey", label="n log n")
    times.set(xscale="log", yscale="log", xlabel="items", ylabel="processor seconds", title="Time")
    memory.set(xscale="log", xlabel="items", ylabel="peak resident memory, GiB", title="Memory")
    memory.set_ylim(bottom=0)
    figure.legend(*times.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=120)


def with_kept(facts: dict[str, Any], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return these results and the kept ones of other sizes, if they are of the same machine and versions."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    if any(kept["machine"][name] != facts[name] for name in facts.keys() - OF_A_RUN):
        return results
    sizes = {found["items"]: found for found in kept["sizes"]} | {found["items"]: found for found in results}
    return [sizes[items] for items in sorted(sizes)]


def main() -> None:
    """Measure every size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000], help="such as 1000000 10000000")
    parser.add_argument(
        "--check", action="store_true", help="compare the day on top with one more full build"
    )
    parser.add_argument("--page", action="store_true", help=f"write {PAGE.relative_to(ROOT)} as well")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    settings = load_settings()
    facts = machine_facts(settings)
    folder = settings.home / "bench"
    results = []
    for items in sorted(chosen.items):
        home = folder / f"features-{items}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        try:
            bench = settings.model_copy(update={"home": home})
            before = {name: fact for name, fact in machine_facts(settings).items() if name in OF_A_RUN}
            before["is_real_time"] = os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)
            results.append(before | measure_size(bench, items, is_checked=chosen.check))
        finally:
            shutil.rmtree(home, ignore_errors=True)
        show(console, results[-1])
    stamp = facts["measured_at"].replace(":", "").replace("+0000", "Z")
    path = folder / f"{stamp}-features.json"
    write_json_atomically(path, {"machine": facts, "sizes": results})
    plot(results, path.with_suffix(".png"))
    if chosen.page:
        results = with_kept(facts, results)
        write_json_atomically(KEPT, {"machine": facts, "sizes": results})
        plot(results, PAGE.parent / PICTURE)
        PAGE.write_text(feature_page(facts, results, PICTURE), encoding="utf-8")
    console.print(f"kept in {path} and {path.with_suffix('.png').name}", soft_wrap=True)


if __name__ == "__main__":
    main()
