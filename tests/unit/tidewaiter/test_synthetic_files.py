"""The written files: bytes, idempotence, the fault ledger, and what contracts can reach."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tidewaiter import fingerprint
from tidewaiter.contracts import load_contract
from tidewaiter.errors import UsageProblem
from tidewaiter.home import Home
from tidewaiter.settings import PROJECT_ROOT
from tidewaiter.synthetic import generate_members
from tidewaiter.synthetic.dialects import DIALECTS
from tidewaiter.synthetic.profiles import PROFILES

ITEMS = 3_000
MEMBERS_DIR = PROJECT_ROOT / "members"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("synthetic-home"))
    generate_members(home, items_per_member=ITEMS)
    return home


def bytes_below(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): fingerprint.of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lines_of(home: Home, member: str, file: str) -> list[str]:
    text = (home.synthetic / member.lower() / file).read_text(encoding=DIALECTS[member].encoding)
    return text.split("\n")[:-1]


def ledger_of(home: Home, member: str) -> list[dict[str, Any]]:
    text = (home.synthetic / member.lower() / "truth" / "faults.json").read_text(encoding="utf-8")
    faults: list[dict[str, Any]] = json.loads(text)
    return faults


def item_files(home: Home, member: str) -> list[str]:
    folder = home.synthetic / member.lower()
    extract = next(
        extract
        for extract in load_contract(MEMBERS_DIR, member).extracts
        if extract.dataset == "declaration_items"
    )
    return sorted(
        path.relative_to(folder).as_posix()
        for pattern in extract.files
        for path in (folder / "extracts").glob(pattern)
    )


def cells(line: str, member: str) -> list[str]:
    return next(csv.reader([line], delimiter=DIALECTS[member].delimiter))


def test_same_seed_same_bytes_and_other_seed_other_bytes(home: Home, tmp_path: Path) -> None:
    again, other = Home(tmp_path / "again"), Home(tmp_path / "other")
    generate_members(again, items_per_member=ITEMS)
    generate_members(other, items_per_member=ITEMS, seed=8)
    assert bytes_below(again.synthetic) == bytes_below(home.synthetic)
    ours, theirs = bytes_below(home.synthetic), bytes_below(other.synthetic)
    assert ours.keys() == theirs.keys()
    assert not set(ours.values()) & set(theirs.values())


def test_a_member_does_not_depend_on_the_others(home: Home, tmp_path: Path) -> None:
    alone = Home(tmp_path)
    generate_members(alone, members=("XB",), items_per_member={"XB": ITEMS})
    assert bytes_below(alone.synthetic / "xb") == bytes_below(home.synthetic / "xb")


def test_what_stands_is_left_alone_and_what_was_damaged_is_restored(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (first,) = generate_members(home, members=("XC",), items_per_member=200)
    extract = first.folder / first.files[0]
    written_at, before = extract.stat().st_mtime_ns, bytes_below(home.synthetic)
    (second,) = generate_members(home, members=("xc",), items_per_member=200)
    assert (first.is_rewritten, second.is_rewritten) == (True, False)
    assert second.files == first.files
    assert second.faults == first.faults
    assert extract.stat().st_mtime_ns == written_at
    extract.write_text("damaged", encoding="utf-8")
    (third,) = generate_members(home, members=("XC",), items_per_member=200)
    assert third.is_rewritten
    assert bytes_below(home.synthetic) == before
    (fourth,) = generate_members(home, members=("XC",), items_per_member=201)
    assert fourth.is_rewritten
    assert fourth.items == 201


@pytest.mark.parametrize("member", sorted(PROFILES))
def test_every_item_is_one_line(home: Home, member: str) -> None:
    files = item_files(home, member)
    assert sum(len(lines_of(home, member, file)) - 1 for file in files) == ITEMS


@pytest.mark.parametrize("member", sorted(PROFILES))
def test_ledger_agrees_with_the_text(home: Home, member: str) -> None:
    faults = ledger_of(home, member)
    assert len(faults) == round(0.003 * ITEMS)
    assert len({(fault["file"], fault["line"]) for fault in faults}) == len(faults)
    for fault in faults:
        lines = lines_of(home, member, fault["file"])
        header, row = cells(lines[0], member), cells(lines[fault["line"] - 1], member)
        if fault["column"] is None:
            assert lines[fault["line"] - 1] == fault["text"]
            assert (len(row) < len(header)) == (fault["kind"] == "ragged_short")
            assert len(row) != len(header)
        else:
            assert len(row) == len(header)
            assert row[header.index(fault["column"])] == fault["text"]
        if fault["field"] != "declaration_id":
            assert fault["declaration_id"] == row[0]
        assert fault["item_no"] == int(row[1])


@pytest.mark.parametrize("member", sorted(PROFILES))
def test_no_fault_is_missing_from_the_ledger(home: Home, member: str) -> None:
    """Finds the faults in the text without the ledger, kind by kind."""
    names = DIALECTS[member].faults.fields
    marks = str.maketrans({",": ".", " ": None}) if member == "XB" else {}
    found: Counter[str] = Counter()
    lanes: Counter[str] = Counter()
    for file in item_files(home, member):
        header, *rows = (cells(line, member) for line in lines_of(home, member, file))
        for row in rows:
            if len(row) != len(header):
                found["ragged_short" if len(row) < len(header) else "ragged_long"] += 1
                continue
            value = dict(zip(header, row, strict=True))
            lanes[value[names["lane_initial_code"]]] += 1
            found["missing_required"] += sum(
                value[names[field]] == DIALECTS[member].null_text
                for field in ("declaration_id", "hs6", "declared_value")
            )
            found["unparsable_number"] += "O" in value[names["declared_value"]]
            found["impossible_date"] += value[names["registered_at"]] == DIALECTS[member].faults.date
            net, gross = (float(value[names[field]].translate(marks)) for field in ("net_kg", "gross_kg"))
            found["net_above_gross"] += net > gross
    found["unknown_lane_code"] = sum(count for _, count in lanes.most_common()[4:])
    assert len(lanes) == 5
    assert found == Counter(fault["kind"] for fault in ledger_of(home, member))


@pytest.mark.parametrize("member", sorted(PROFILES))
def test_contract_reaches_every_extract_once_and_no_truth(home: Home, member: str) -> None:
    contract = load_contract(MEMBERS_DIR, member)
    reached = [
        path
        for extract in contract.extracts
        for pattern in extract.files
        for path in (home.root / str(extract.location.home)).glob(pattern)
    ]
    folder = home.synthetic / member.lower()
    assert sorted(reached) == sorted((folder / "extracts").iterdir())
    truth = folder / "truth"
    assert {path.name for path in truth.iterdir()} == {"items.parquet", "faults.json"}
    for extract in contract.extracts:
        location = (home.root / str(extract.location.home)).resolve()
        assert not truth.resolve().is_relative_to(location)
        assert all(".." not in pattern and "**" not in pattern for pattern in extract.files)


@pytest.mark.parametrize("member", sorted(PROFILES))
def test_contract_names_columns_that_the_files_have(home: Home, member: str) -> None:
    for extract in load_contract(MEMBERS_DIR, member).extracts:
        folder = home.root / str(extract.location.home)
        for path in (path for pattern in extract.files for path in folder.glob(pattern)):
            first = path.read_text(encoding=extract.format.encoding).split("\n", 1)[0]
            header = set(first.split(extract.format.delimiter))
            wanted = {mapping.column for mapping in extract.fields.values() if mapping.column}
            assert wanted <= header


def test_dialects_differ_where_landing_has_to_work(home: Home) -> None:
    xb = (home.synthetic / "xb" / item_files(home, "XB")[0]).read_bytes()
    with pytest.raises(UnicodeDecodeError):
        xb.decode("utf-8")
    header, *rows = (cells(line, "XC") for line in lines_of(home, "XC", item_files(home, "XC")[0]))
    lengths = {len(row[header.index("PARTIDA")]) for row in rows if len(row) == len(header)}
    assert {7, 8} <= lengths  # chapters 01 to 09 have lost their zero
    assert any(row[header.index("PARTIDA")].startswith("9") for row in rows)
    assert '"Exporter ' in lines_of(home, "XA", item_files(home, "XA")[0])[1]


def test_wrong_requests_are_refused_with_all_their_problems(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"unknown synthetic member 'XZZ'.*\n.*'Q'"):
        generate_members(Home(tmp_path), members=("XZZ", "Q"))
    with pytest.raises(UsageProblem, match=r"items is 0[^\n]*\n.*months is -1"):
        generate_members(Home(tmp_path), members=("XA",), items_per_member=0, months=-1)
    assert not (tmp_path / "synthetic").exists()
