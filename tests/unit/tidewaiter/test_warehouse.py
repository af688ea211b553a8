"""What DuckDB spills: taken away at the end, and by the next process where one was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOLD = """
import sys
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb
with open_duckdb(Settings()):
    print("open", flush=True)
    if sys.argv[1] == "wait":
        sys.stdin.read()
"""


def start(folder: Path, what: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
    )


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has its folder open."""
    process = start(tmp_path, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    yield process
    process.kill()
    process.communicate()


def spills(folder: Path) -> list[Path]:
    return sorted(folder.glob("tidewaiter-spill-*"))


def test_the_folder_of_a_killed_process_is_taken_away_by_the_next(
    tmp_path: Path, held: subprocess.Popen[bytes]
) -> None:
    (left,) = spills(tmp_path)
    held.send_signal(signal.SIGKILL)
    held.wait()
    assert spills(tmp_path) == [left]

    assert start(tmp_path, "end").wait() == 0

    assert spills(tmp_path) == []


def test_the_folder_of_a_living_process_stays(tmp_path: Path, held: subprocess.Popen[bytes]) -> None:
    (own,) = spills(tmp_path)

    assert start(tmp_path, "end").wait() == 0

    assert spills(tmp_path) == [own]


def test_what_is_no_folder_of_ours_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "in-use").touch()
    (tmp_path / "tidewaiter-spill-link").symlink_to(elsewhere)
    (tmp_path / "tidewaiter-spill-young").mkdir()  # made, and not locked yet

    assert start(tmp_path, "end").wait() == 0

    assert (elsewhere / "in-use").exists()
    assert (tmp_path / "tidewaiter-spill-young").exists()
