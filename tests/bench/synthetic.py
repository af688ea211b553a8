"""Measures the generator: time, processor time and peak memory of one member at several sizes.

Usage: python tests/bench/synthetic.py [--items 1000000 --items 10000000] [--months 24]. Each size is a
process of its own, with everything planted; what it wrote is removed again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_KIB_PER_MIB = 1024


def measure(items: int, months: int, folder: Path) -> dict[str, Any]:
    """Generate a world of XA and return what it took."""
    command = [sys.executable, "-m", "flows.cli", "synth", "generate", "--members", "XA"]
    command += ["--items", str(items), "--months", str(months), "--out", str(folder), "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    seconds = time.perf_counter() - began
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "items": told[0]["items"],
        "wall_seconds": round(seconds, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": usage.ru_maxrss // _KIB_PER_MIB,
        "items_per_second": round(told[0]["items"] / seconds),
        "written_mib": written >> 20,
    }


def main() -> None:
    """Measure every size asked for and print one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, action="append", help="such as 1000000; may be repeated")
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    chosen = parser.parse_args()
    for items in chosen.items or [100_000, 1_000_000]:
        folder = Path(tempfile.mkdtemp(prefix="synthetic-", dir=chosen.folder))
        try:
            print(json.dumps(measure(items, chosen.months, folder)), flush=True)  # noqa: T201
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
