"""Landing against plain DuckDB on the same file: time, CPU, peak memory, and whether it grows linearly.

Usage: python tests/bench/landing.py [--rows 1e6 --rows 3e6] [--repeat 2]. Each measurement is a process
of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CONTRACT = """
member: XT
name: Benchmark
owner: benchmark
source: tests/bench/landing.py
time_zone: Asia/Seoul
extracts:
  - dataset: declaration_items
    location: {member: .}
    files: ["*.csv"]
    fields:
      declaration_id: {column: declaration_id}
      item_no: {column: item_no}
      registered_at: {column: registered_at}
      office_code: {column: office}
      importer_id: {column: importer}
      declarant_id: {column: declarant}
      seller_id: {column: seller}
      hs6: {column: hs6}
      hs_national_code: {column: hs_national}
      origin_iso2: {column: origin}
      dispatch_iso2: {column: dispatch}
      gross_kg: {column: gross_kg}
      net_kg: {column: net_kg}
      currency_code: {column: currency}
      declared_value: {column: value}
      tax_rate_pct: {column: rate}
      declared_tax: {column: tax}
      lane_initial_code: {column: lane, codes: {R: RED, Y: YELLOW, B: BLUE, G: GREEN}}
      inspector_initial_id: {column: inspector}
      is_irregular: {column: irregular}
      label_at: {column: registered_at}
"""
# One value in 500 is no number, one importer in ten and one seller in eight is not named.
ROWS_SQL = """
select
    'D' || lpad((i // 3)::varchar, 9, '0') as declaration_id,
    i % 3 + 1 as item_no,
    strftime(timestamp '2023-01-01' + to_seconds((i * 63072000 // {rows})::bigint), '%Y-%m-%d %H:%M:%S')
        as registered_at,
    'OF' || pick(i, 1, 40) as office,
    case when pick(i, 2, 10) > 0 then 'IMP' || lpad(pick(i, 3, 200000)::varchar, 9, '0') end as importer,
    'BRK' || lpad(pick(i, 4, 3000)::varchar, 6, '0') as declarant,
    case when pick(i, 5, 8) > 0 then 'Seller ' || pick(i, 6, 300000) end as seller,
    lpad((pick(i, 7, 5000) * 20 + 10000)::varchar, 6, '0') as hs6,
    lpad((pick(i, 7, 5000) * 20 + 10000)::varchar, 6, '0') || lpad(pick(i, 8, 100)::varchar, 4, '0')
        as hs_national,
    ['CN', 'US', 'DE', 'JP', 'VN', 'IT', 'FR', 'IN'][pick(i, 9, 8) + 1] as origin,
    ['CN', 'US', 'DE', 'JP', 'VN', 'IT', 'FR', 'IN'][pick(i, 10, 8) + 1] as dispatch,
    round(pick(i, 11, 10000000) / 1000.0 + 1000, 3) as gross_kg,
    round(pick(i, 11, 10000000) / 1000.0, 3) as net_kg,
    'KRW' as currency,
    case when pick(i, 12, 500) > 0 then round(pick(i, 13, 1000000000) / 100.0, 2)::varchar else 'n/a' end
        as value,
    pick(i, 14, 30) as rate,
    round(pick(i, 15, 100000000) / 100.0, 2) as tax,
    ['R', 'Y', 'B', 'G'][pick(i, 16, 4) + 1] as lane,
    'INS' || pick(i, 17, 900) as inspector,
    case when pick(i, 18, 20) = 0 then 1 else 0 end as irregular
from range({rows}) as numbers(i)
"""
PICK_SQL = "create macro pick(i, salt, n) as (hash(i * 31 + salt) & 1073741823)::bigint % n"

PLAIN = """
import sys, duckdb
duckdb.connect(config={"threads": int(sys.argv[3])}).execute(
    f"copy (from read_csv('{sys.argv[1]}')) to '{sys.argv[2]}/plain.parquet' (format parquet)"
)
"""
LANDING = """
import sys
from pathlib import Path
from tidewaiter.contracts import load_contract
from tidewaiter.landing import land_file
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings

members = Path(sys.argv[2]) / "members"
settings = Settings(
    home=Path(sys.argv[2]) / "home", members_dir=members, threads=int(sys.argv[3]), memory_limit="2GB"
)
contract = load_contract(members, "XT")
land_file(Path(sys.argv[1]), contract.extracts[0], contract, settings, Pseudonymiser(b"k" * 32))
"""


def main() -> None:
    """Measure and print; the figures go to `bench/landing.json` under the home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, action="append", help="default: 1e6, 3e6 and 1e7")
    parser.add_argument(
        "--repeat", type=int, default=1, help="measure in pairs so often and keep the fastest"
    )
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    folder = Path(os.environ.get("TIDEWAITER_HOME", "data")).resolve() / "bench"
    found = [
        measure(int(rows), folder, options.threads, options.repeat)
        for rows in options.rows or [1e6, 3e6, 1e7]
    ]
    (folder / "landing.json").write_text(json.dumps(found, indent=1) + "\n")
    show(found)


def measure(rows: int, folder: Path, threads: int, repeat: int) -> dict[str, Any]:
    """Return the fastest of several interleaved pairs: rows, bytes, and both programs' figures."""
    work = folder / "landing-work"
    shutil.rmtree(work, ignore_errors=True)
    (work / "members" / "xt").mkdir(parents=True)
    (work / "members" / "xt" / "contract.yaml").write_text(CONTRACT)
    source = work / "items.csv"
    make_file(rows, source)
    pairs = []
    for _ in range(repeat):
        plain = run(PLAIN, source, work, threads)
        shutil.rmtree(work / "home", ignore_errors=True)
        landing = run(LANDING, source, work, threads)
        again = run(LANDING, source, work, threads)
        pairs.append({"plain": plain, "landing": landing, "again": again})
    best = {name: min((pair[name] for pair in pairs), key=lambda one: one["wall_s"]) for name in pairs[0]}
    size = source.stat().st_size
    shutil.rmtree(work)
    ratios = {
        f"{unit}_ratio": best["landing"][f"{unit}_s"] / best["plain"][f"{unit}_s"] for unit in ("wall", "cpu")
    }
    return {"rows": rows, "bytes": size, "threads": threads, **best, **ratios}


def make_file(rows: int, path: Path) -> None:
    """Write the CSV file; the same rows each time."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(PICK_SQL)
        connection.execute(f"copy ({ROWS_SQL.replace('{rows}', str(rows))}) to '{path}' (format csv, header)")


def run(program: str, source: Path, work: Path, threads: int) -> dict[str, float]:
    """Run a program in a process of its own; return seconds and the peak of its resident memory."""
    wrapper = (
        "import json, resource, sys, time\n"
        "began = time.perf_counter()\n"
        f"{program}\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(json.dumps({'wall_s': time.perf_counter() - began, 'cpu_s': used.ru_utime + used.ru_stime,"
        " 'peak_mb': used.ru_maxrss / 1024}))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", wrapper, str(source), str(work), str(threads)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return figures


def show(found: list[dict[str, Any]]) -> None:
    """Print one line per file size."""
    columns = "{:>12} {:>8} {:>9} {:>9} {:>6} {:>9} {:>6} {:>8} {:>8}\n"
    out = sys.stdout
    out.write(
        columns.format(
            "rows", "MB", "plain s", "landing s", "ratio", "cpu ratio", "s/1e6", "peak MB", "again s"
        )
    )
    for one in found:
        out.write(
            columns.format(
                f"{one['rows']:,}",
                f"{one['bytes'] / 1e6:.0f}",
                f"{one['plain']['wall_s']:.1f}",
                f"{one['landing']['wall_s']:.1f}",
                f"{one['wall_ratio']:.2f}",
                f"{one['cpu_ratio']:.2f}",
                f"{one['landing']['wall_s'] / one['rows'] * 1e6:.1f}",
                f"{one['landing']['peak_mb']:.0f}",
                f"{one['again']['wall_s']:.1f}",
            )
        )


if __name__ == "__main__":
    main()
