"""Killing a landing at any instant, and landing again, ends in the rows of an undisturbed landing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidewaiter import files

PROGRAM = """
import sys
from pathlib import Path
from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, land_file
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings

home, members = Path(sys.argv[1]), Path(sys.argv[2])
settings = Settings(home=home, members_dir=members, threads=1, memory_limit="512MB")
contract = load_contract(members, "XT")
print("ready", flush=True)
for path in find_files(contract.extracts[0], contract, settings):
    land_file(path, contract.extracts[0], contract, settings, Pseudonymiser(b"k" * 32))
"""
CONTRACT = """
member: XT
name: Test
owner: tests
source: tests
extracts:
  - dataset: declaration_items
    location: {member: sent}
    files: ["*.csv"]
    fields:
      declaration_id: {column: id}
      item_no: {constant: 1}
      registered_at: {column: registered}
      office_code: {column: office}
      hs6: {constant: "010121"}
      importer_id: {column: importer}
      declared_value: {column: value}
      currency_code: {constant: USD}
"""
KILLS = 9


@pytest.fixture
def members(tmp_path: Path) -> Path:
    folder = tmp_path / "members" / "xt"
    (folder / "sent").mkdir(parents=True)
    (folder / "contract.yaml").write_text(CONTRACT)
    source = random.Random(7)
    for name in ("a.csv", "b.csv"):
        rows = [
            f"{name}{number},2024-03-{1 + number % 28:02d},S{number % 5},P{source.randrange(999)},"
            f"{'x' if number % 50 == 0 else number}"
            for number in range(20_000)
        ]
        (folder / "sent" / name).write_text("\n".join(["id,registered,office,importer,value", *rows]))
    return folder.parent


def start(home: Path, members: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), str(members)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def parquet(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted((home / "landing").glob("*/member=*/extract=*/*.parquet"))
    }


@pytest.mark.faults
def test_a_killed_landing_is_finished_by_the_next_one(tmp_path, members):
    undisturbed = tmp_path / "undisturbed"
    process = start(undisturbed, members)
    process.stdout.readline()
    began = time.monotonic()
    assert process.wait() == 0
    whole = time.monotonic() - began
    expected = parquet(undisturbed)
    assert len(expected) == 4

    home, source, interrupted = tmp_path / "killed", random.Random(11), 0
    for attempt in range(KILLS):
        if attempt % 3 == 0:
            home = tmp_path / f"killed-{attempt}"
        process = start(home, members)
        process.stdout.readline()
        time.sleep(source.uniform(0, whole))
        process.send_signal(signal.SIGKILL)
        interrupted += process.wait() == -signal.SIGKILL
        # Whatever is visible is whole.
        seen = parquet(home)
        assert seen.items() <= expected.items()
        if attempt % 3 == 2:
            process = start(home, members)
            assert process.wait() == 0
            assert parquet(home) == expected
            assert not list(home.rglob(f"{files.PARTIAL_PREFIX}*"))
    assert interrupted > 0
