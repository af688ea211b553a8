"""Measures the steps of a run on synthetic items: wall time, processor time and memory of each.

`make bench`, or `python tests/bench/run_steps.py --items 100000 1000000`. Every step is the command that
a person would type, as a process of its own, so its time holds the start of Python and of the libraries.
Landing is measured once more without that, against DuckDB alone turning the same files into Parquet.
Results are printed and kept as JSON under `TIDEWAITER_HOME/bench`, with the machine's facts.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from ml.tracking import git_commit
from tidewaiter.contracts import load_contract
from tidewaiter.files import write_json_atomically
from tidewaiter.landing import find_files, land_file
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings, load_settings
from tidewaiter.warehouse import open_duckdb, quote_literal

LIBRARIES = ("duckdb", "pyarrow", "dbt-core", "great-expectations", "xgboost", "mlflow", "prefect")
GENERATE = """
import sys
from pathlib import Path
from tidewaiter.home import Home
from tidewaiter.synthetic import generate_members
generate_members(Home(Path(sys.argv[1])), [sys.argv[2]], int(sys.argv[3]))
"""
_SAMPLE_SECONDS = 0.05
_MIB = 1024 * 1024
_FOREIGN = ("TIDEWAITER_", "PREFECT_", "MLFLOW_")


@dataclass(frozen=True)
class Step:
    """One process and what it took.

    Attributes:
        processor_seconds: User and system time of the process and of those it waited for.
        peak_rss_mib: Highest sum of resident memory over the process and all below it, sampled.
    """

    name: str
    wall_seconds: float
    processor_seconds: float
    peak_rss_mib: float


class _PeakMemory(threading.Thread):
    """Samples the resident memory of a process and of all its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _resident_bytes(self._pid))

    def end(self) -> None:
        self._ended.set()
        self.join()


def _resident_bytes(root: int) -> int:
    page = os.sysconf("SC_PAGE_SIZE")
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # Behind the command's name, which may hold blanks: state, parent, ..., resident pages.
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        parents[int(folder.name)] = int(stat[1])
        resident[int(folder.name)] = int(stat[21]) * page
    family, found = {root}, 0
    while len(family) != found:
        found = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    return sum(resident.get(pid, 0) for pid in family)


def measure(name: str, command: list[str], settings: Settings) -> Step:
    """Run a command to its end and return what it took; a command that fails ends the benchmark."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    environment |= {
        "TIDEWAITER_HOME": str(settings.home),
        "TIDEWAITER_THREADS": str(settings.threads),
        "TIDEWAITER_MEMORY_LIMIT": settings.memory_limit,
    }
    log = settings.home / "bench.log"
    with log.open("ab") as handle:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=handle, stderr=handle, env=environment)
        memory = _PeakMemory(process.pid)
        memory.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        memory.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(
            f"{name} ended with {process.returncode}:\n{log.read_text(encoding='utf-8')[-4000:]}"
        )
    return Step(name, seconds, usage.ru_utime + usage.ru_stime, memory.peak_bytes / _MIB)


def measure_steps(settings: Settings, member: str, items: int) -> list[Step]:
    """Generate a member and send it through every step."""
    command = [sys.executable, "-m", "flows.cli"]
    only = ["--member", member]
    steps = {
        "generate": [sys.executable, "-c", GENERATE, str(settings.home), member, str(items)],
        "ingest": [*command, "ingest", *only],
        "validate landing": [*command, "validate", "landing", *only],
        "transform (features)": [*command, "transform"],
        "validate features": [*command, "validate", "features", *only],
        "train": [*command, "train", *only, "--no-pooled"],
        "score": [*command, "score", *only],
        "transform (scores)": [*command, "transform"],
        "publish": [*command, "publish"],
    }
    return [measure(name, arguments, settings) for name, arguments in steps.items()]


def measure_landing(settings: Settings, member: str) -> dict[str, float]:
    """Land the member's items in this process, and let DuckDB alone turn the same files into Parquet."""
    contract = load_contract(settings.members_dir, member)
    (extract,) = [found for found in contract.extracts if found.dataset == "declaration_items"]
    files = find_files(extract, contract, settings)
    scratch = settings.home / "landed-again"
    elsewhere = settings.model_copy(update={"home": scratch})
    began = time.perf_counter()
    for path in files:
        land_file(path, extract, contract, elsewhere, Pseudonymiser(b"b" * 32))
    landing = time.perf_counter() - began
    form = extract.format
    began = time.perf_counter()
    with open_duckdb(settings) as connection:
        for path in files:
            connection.execute(
                f"copy (from read_csv({quote_literal(path)}, delim = {quote_literal(form.delimiter)},"
                f" encoding = {quote_literal(form.encoding)}, header = true, ignore_errors = true))"
                f" to {quote_literal(scratch / 'plain.parquet')} (format parquet, compression zstd)"
            )
    plain = time.perf_counter() - began
    shutil.rmtree(scratch)
    return {
        "source_mib": sum(path.stat().st_size for path in files) / _MIB,
        "landing_seconds": landing,
        "plain_duckdb_seconds": plain,
        "ratio": landing / plain,
    }


def machine_facts(settings: Settings) -> dict[str, Any]:
    """Return what a reader needs to compare figures of two machines."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3,
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "threads": settings.threads,
        "memory_limit": settings.memory_limit,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def show(console: Console, items: int, steps: list[Step], landing: dict[str, float]) -> None:
    """Print one size's figures."""
    table = Table(title=f"{items:,} items", title_justify="left", box=None, pad_edge=False)
    table.add_column("step")
    for name in ("wall s", "processor s", "peak MiB", "items/s"):
        table.add_column(name, justify="right")
    for step in steps:
        table.add_row(
            step.name,
            f"{step.wall_seconds:.1f}",
            f"{step.processor_seconds:.1f}",
            f"{step.peak_rss_mib:,.0f}",
            f"{items / step.wall_seconds:,.0f}",
        )
    console.print(table)
    console.print(
        f"landing {landing['source_mib']:.0f} MiB: {landing['landing_seconds']:.1f} s,"
        f" {landing['ratio']:.1f} times DuckDB's own {landing['plain_duckdb_seconds']:.2f} s\n"
    )


def main() -> None:
    """Measure every size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000], help="such as 100000 1000000")
    parser.add_argument("--member", default="XA", help="synthetic member whose dialect is used")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    settings = load_settings()
    results = settings.home / "bench"
    for items in chosen.items:
        facts = machine_facts(settings)
        home = results / f"work-{items}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        try:
            bench = settings.model_copy(update={"home": home})
            steps = measure_steps(bench, chosen.member, items)
            with duckdb.connect(str(home / "published" / "tidewaiter.duckdb"), read_only=True) as published:
                (scored,) = published.execute("select count(*) from scores.declaration_items").fetchone() or (
                    0,
                )
            landing = measure_landing(bench, chosen.member)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        show(console, items, steps, landing)
        stamp = facts["measured_at"].replace(":", "").replace("+0000", "Z")
        path = results / f"{stamp}-{items}.json"
        found = {"machine": facts, "member": chosen.member, "items": items, "items_scored": scored}
        write_json_atomically(path, found | {"steps": [asdict(step) for step in steps], "landing": landing})
        console.print(f"kept in {path}\n", soft_wrap=True)


if __name__ == "__main__":
    main()
