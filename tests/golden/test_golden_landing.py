"""One awkward file of each kind, and what landing has to make of it, value by value.

When landing changes on purpose, `python tests/golden/test_golden_landing.py` writes what it makes now
over `expected/`; read the difference before you keep it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import duckdb
import pytest

from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, land_file
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import load_settings

# Folder of the case to the member in it.
CASES = {"ribera": "XR", "costera": "XS"}
KEY = b"golden case, no secret: 32 bytes"
DIGESTS = ("extract_id", "source_sha256")


def folder_of(case: str) -> Path:
    """Return the folder of a case: its member, and what is expected of it."""
    return Path(__file__).parent / case


def land(case: str, home: Path) -> dict[str, str]:
    """Land a case and return rows, quarantine and counts as JSON lines, by name of the expected file."""
    members = folder_of(case)
    settings = load_settings({"home": home, "members_dir": members}, environment={}, local_file=home / "none")
    contract = load_contract(members, CASES[case])
    made: dict[str, str] = {}
    for extract in contract.extracts:
        (path,) = find_files(extract, contract, settings)
        receipt = land_file(path, extract, contract, settings, Pseudonymiser(KEY))
        folder = settings.paths.extract_folder(extract.dataset, contract.member, receipt.extract_id)
        for kind in ("rows", "quarantine"):
            made[f"{extract.dataset}.{kind}.jsonl"] = as_lines(folder / f"{kind}.parquet")
        counts = receipt.model_dump(
            mode="json",
            include={"rows_in", "rows_landed", "rows_quarantined", "rows_repeated", "reasons", "refused"},
        )
        made[f"{extract.dataset}.counts.json"] = json.dumps(counts, indent=2, ensure_ascii=False) + "\n"
    return made


def as_lines(path: Path) -> str:
    """Return a Parquet file as JSON lines: no nulls, and no digests that any change of a file changes."""
    relation = duckdb.read_parquet(str(path), hive_partitioning=False).order("source_line")
    made = []
    for row in relation.fetchall():
        named = dict(zip(relation.columns, row, strict=True))
        kept = {name: value for name, value in named.items() if value is not None and name not in DIGESTS}
        made.append(json.dumps(kept, ensure_ascii=False, default=str) + "\n")
    return "".join(made)


def expected_files(case: str) -> list[str]:
    """Return the names of what is expected of a case."""
    return sorted(path.name for path in (folder_of(case) / "expected").iterdir())


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    return {case: land(case, tmp_path_factory.mktemp(case)) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_every_expected_file_is_compared(landed, case):
    assert sorted(landed[case]) == expected_files(case)


@pytest.mark.parametrize(("case", "name"), [(case, name) for case in CASES for name in expected_files(case)])
def test_landing_makes_what_is_expected(landed, case, name):
    expected = (folder_of(case) / "expected" / name).read_text(encoding="utf-8")
    assert landed[case][name].splitlines() == expected.splitlines()


if __name__ == "__main__":
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in land(case, Path(folder).resolve()).items():
                (folder_of(case) / "expected" / name).write_text(text, encoding="utf-8")
