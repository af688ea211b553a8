"""Landing killed at any instant, again and again on one home, ends in the rows of an undisturbed landing.

A real process is killed with SIGKILL. Whatever a reader can see at any moment, between the kills and
while the landing works, is whole and is what an undisturbed landing gives.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tidewaiter import files

PROGRAM = """
import os, sys
from pathlib import Path
from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, land_files
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings

home, members = Path(sys.argv[1]), Path(sys.argv[2])
settings = Settings(home=home, members_dir=members, threads=1, memory_limit="512MB")
contract = load_contract(members, "XT")
import duckdb, openpyxl, pyarrow.parquet  # so that the time up to a kill is spent on landing
print("ready", flush=True)
sys.stdin.readline()
for extract in contract.extracts:
    for path in find_files(extract, contract, settings):
        for receipt in land_files(path, extract, contract, settings, Pseudonymiser(b"k" * 32)):
            print(receipt.rows_in, receipt.rows_landed, receipt.rows_quarantined, flush=True)
"""
NAMES = ("id", "registered", "office", "importer", "value")
FIELDS = {
    "declaration_id": {"column": "id"},
    "item_no": {"constant": 1},
    "registered_at": {"column": "registered"},
    "office_code": {"column": "office"},
    "hs6": {"constant": "010121"},
    "importer_id": {"column": "importer"},
    "declared_value": {"column": "value"},
    "currency_code": {"constant": "USD"},
}
ROWS = 3000
FAULTY_EVERY = 50
WIDTH = 16

Table = list[tuple[str, ...]]


def a_table(key: str, rows: int = ROWS) -> Table:
    source = random.Random(key)
    return [
        (
            f"{key}{number}",
            f"2024-03-{1 + number % 28:02d}",
            f"S{source.randrange(5)}",
            f"P{source.randrange(999)}",
            "x" if number % FAULTY_EVERY == 0 else str(number),
        )
        for number in range(rows)
    ]


def as_csv(table: Table) -> bytes:
    return "\n".join(map(",".join, [NAMES, *table])).encode()


def as_fixed_width(table: Table) -> bytes:
    return "".join("".join(value.ljust(WIDTH) for value in row) + "\r\n" for row in table).encode("latin-1")


def as_json_lines(table: Table) -> bytes:
    return "\n".join(json.dumps(dict(zip(NAMES, row, strict=True))) for row in table).encode()


def as_xml(table: Table) -> bytes:
    rows = ("".join(f"<{n}>{v}</{n}>" for n, v in zip(NAMES, row, strict=True)) for row in table)
    return f"<d>{''.join(f'<r>{row}</r>' for row in rows)}</d>".encode()


def as_parquet(table: Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(
        pa.table([pa.array(list(c)) for c in zip(*table, strict=True)], names=list(NAMES)), content
    )
    return content.getvalue()


def as_excel(table: Table) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    for row in [NAMES, *table]:
        book.active.append(row)
    book.save(content)
    return content.getvalue()


def as_zip(tables: dict[str, Table]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, table in tables.items():
            archive.writestr(name, as_csv(table))
    return content.getvalue()


@dataclass
class Landing:
    """A member with files in every form, and processes that land them."""

    root: Path
    seconds: float = 0.0
    expected: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sent = self.root / "members" / "xt" / "sent"
        sent.mkdir(parents=True)
        few = ROWS // 5
        contents = {
            "a.csv": as_csv(a_table("a", 4 * ROWS)),
            "b.csv.gz": gzip.compress(as_csv(a_table("b")), mtime=0),
            "c.zip": as_zip({"one.csv": a_table("c"), "in/two.csv": a_table("d")}),
            "e.txt": as_fixed_width(a_table("e")),
            "f.jsonl": as_json_lines(a_table("f")),
            "g.xml": as_xml(a_table("g", few)),
            "h.parquet": as_parquet(a_table("h")),
            "i.xlsx": as_excel(a_table("i", few)),
        }
        for name, content in contents.items():
            (sent / name).write_bytes(content)
        (sent.parent / "contract.yaml").write_text(yaml.safe_dump(self._contract()))

    @property
    def rows_sent(self) -> int:
        return 4 * ROWS + 6 * ROWS + 2 * (ROWS // 5)

    @staticmethod
    def _contract() -> dict[str, Any]:
        fixed = {"kind": "fixed_width", "columns": [{"name": name, "width": WIDTH} for name in NAMES]}
        forms: dict[str, dict[str, Any]] = {
            "*.csv": {},
            "*.gz": {},
            "*.zip": {},
            "*.txt": fixed,
            "*.jsonl": {"kind": "json", "layout": "lines"},
            "*.xml": {"kind": "xml", "record": "r"},
            "*.parquet": {"kind": "parquet"},
            "*.xlsx": {"kind": "excel"},
        }
        extracts = [
            {
                "dataset": "declaration_items",
                "location": {"member": "sent"},
                "files": [pattern],
                "format": form,
                "fields": FIELDS,
            }
            for pattern, form in forms.items()
        ]
        return {"member": "XT", "name": "Test", "owner": "tests", "source": "tests", "extracts": extracts}

    def start(self, home: Path) -> subprocess.Popen[bytes]:
        """Start a process that waits, all imported, for the word to land."""
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(home), str(self.root / "members")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    @staticmethod
    def go(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()

    def finish(self, home: Path) -> list[tuple[int, ...]]:
        """Land to the end; return rows in, landed and quarantined of each extract."""
        process = self.start(home)
        said, _ = process.communicate(b"\n")
        assert process.returncode == 0
        return [tuple(map(int, line.split())) for line in said.splitlines()]

    def rename_office(self) -> None:
        """Mend the contract, so that every extract lands again with other rows."""
        contract = self._contract()
        for extract in contract["extracts"]:
            extract["fields"] = FIELDS | {"office_code": {"expression": "'new ' || \"office\""}}
        (self.root / "members" / "xt" / "contract.yaml").write_text(yaml.safe_dump(contract))

    def land_undisturbed(self, name: str = "undisturbed") -> None:
        """Note what an undisturbed landing gives, and how long it takes."""
        home = self.root / name
        process = self.start(home)
        began = time.monotonic()
        process.communicate(b"\n")
        assert process.returncode == 0
        self.seconds = time.monotonic() - began
        self.expected = visible(home)
        assert len(self.expected) == 2 * 9

    def assert_whole(self, home: Path) -> int:
        """Assert that whatever is visible is whole, and is what it would be; return the extracts seen."""
        seen = visible(home)
        assert seen.items() <= self.expected.items()
        folders = list((home / "landing").glob("*/member=*/extract=*"))
        for folder in folders:
            receipt = json.loads((folder / "receipt.json").read_text())
            rows = [count(folder / name) for name in ("rows.parquet", "quarantine.parquet")]
            assert rows == [receipt["rows_landed"], receipt["rows_quarantined"]]
            assert receipt["rows_in"] == sum(rows)
        assert len(seen) == 2 * len(folders)
        return len(folders)


def visible(home: Path) -> dict[str, bytes]:
    """Return the Parquet that dbt and the gates would read."""
    found = sorted((home / "landing").glob("*/member=*/extract=*/*.parquet"))
    return {str(path.relative_to(home)): path.read_bytes() for path in found}


def count(path: Path) -> int:
    return int(pq.ParquetFile(path).metadata.num_rows)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    made = Landing(tmp_path)
    made.land_undisturbed()
    return made


def kill_often(landing: Landing, home: Path, kills: int, moment: Callable[[int], float]) -> int:
    """Kill a landing again and again; return how many were killed in the midst of it."""
    struck = 0
    for number in range(kills):
        process = landing.start(home)
        landing.go(process)
        deadline = time.monotonic() + moment(number)
        while (left := deadline - time.monotonic()) > 0 and process.poll() is None:
            landing.assert_whole(home)  # while it works
            time.sleep(min(left, 0.02))
        process.send_signal(signal.SIGKILL)
        struck += process.wait() == -signal.SIGKILL
        landing.assert_whole(home)
    return struck


def assert_finished(landing: Landing, home: Path) -> None:
    counts = landing.finish(home)
    assert visible(home) == landing.expected
    assert sum(rows_in for rows_in, *_ in counts) == landing.rows_sent
    assert all(rows_in == landed + apart for rows_in, landed, apart in counts)
    assert not [path for path in home.rglob(f"{files.PARTIAL_PREFIX}*")]
    before = {path: path.stat().st_mtime_ns for path in (home / "landing").rglob("*.parquet")}
    landing.finish(home)
    assert before == {path: path.stat().st_mtime_ns for path in (home / "landing").rglob("*.parquet")}


@pytest.mark.faults
def test_a_landing_killed_a_few_times_is_finished_by_the_next_one(landing):
    home, source = landing.root / "killed", random.Random(11)
    struck = kill_often(landing, home, 5, lambda number: landing.seconds * (number + source.random()) / 5)
    assert struck > 0
    assert_finished(landing, home)


@pytest.mark.slow
@pytest.mark.faults
def test_a_landing_killed_a_hundred_times_on_one_home_loses_no_row(landing):
    home, source = landing.root / "killed", random.Random(23)
    struck = attempts = 0
    while struck < 100 and attempts < 400:
        # What stands already is passed over in no time: the more stands, the sooner the kill.
        left = 1 - len(visible(home)) / len(landing.expected)
        moment = landing.seconds * source.random() * (left + 0.03) / 4
        struck += kill_often(landing, home, 1, lambda _, moment=moment: moment)
        attempts += 1
        if struck % 10 == 0:
            forget(landing, home, source)
    assert struck == 100
    assert_finished(landing, home)


def forget(landing: Landing, home: Path, source: random.Random) -> None:
    """Lose some of what stands, so that there is work for the next kills too."""
    for folder in sorted((home / "landing").glob("*/member=*/extract=*")):
        if source.random() < 0.7:
            shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.faults
def test_a_landing_that_replaces_another_is_killed_and_leaves_one_of_both(landing):
    """Contracts are mended: what stands is replaced, and a kill leaves the old or the new."""
    home, source = landing.root / "killed", random.Random(31)
    landing.finish(home)
    olds = landing.expected
    landing.rename_office()
    landing.land_undisturbed("undisturbed-again")
    struck = 0
    for _ in range(60):
        process = landing.start(home)
        landing.go(process)
        time.sleep(landing.seconds * source.random() / 8)
        process.send_signal(signal.SIGKILL)
        struck += process.wait() == -signal.SIGKILL
        for path, content in visible(home).items():
            assert content in (olds[path], landing.expected[path])
    assert struck >= 20
    assert_finished(landing, home)


@pytest.mark.slow
@pytest.mark.faults
def test_a_fresh_home_survives_a_kill_at_each_of_a_hundred_moments(landing):
    for number in range(100):
        home = landing.root / f"killed-{number}"
        kill_often(landing, home, 1, lambda _, number=number: landing.seconds * number / 100)
        if number % 10 == 9:
            assert_finished(landing, home)


@pytest.mark.faults
def test_processes_with_the_same_files_at_once_land_them_once(landing):
    home = landing.root / "shared"
    processes = [landing.start(home) for _ in range(3)]
    for process in processes:
        landing.go(process)
    while any(process.poll() is None for process in processes):
        landing.assert_whole(home)
        time.sleep(0.02)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert_finished(landing, home)


@pytest.mark.faults
def test_one_of_two_that_is_killed_leaves_the_other_to_finish(landing):
    home = landing.root / "shared"
    victim, other = landing.start(home), landing.start(home)
    landing.go(victim)
    landing.go(other)
    time.sleep(landing.seconds / 3)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert other.communicate()[0].count(b"\n") == 9
    assert other.returncode == 0
    assert visible(home) == landing.expected
