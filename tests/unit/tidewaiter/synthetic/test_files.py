"""The written files: bytes, idempotence, the fault ledger, and what contracts can reach."""

from __future__ import annotations

import csv
import gzip
import json
import zipfile
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
from tidewaiter.synthetic.forms import Delimited
from tidewaiter.synthetic.profiles import PROFILES
from tidewaiter.synthetic.tables import OWNERS, container_check_digits

ITEMS, MONTHS = 2_000, 6
MEMBERS_DIR = PROJECT_ROOT / "members"
# Members whose items are delimited text: their faults can be seen without landing them.
DELIMITED = ("XA", "XB", "XC")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("synthetic-home"))
    generate_members(home, PROFILES, items_per_member=ITEMS, months=MONTHS)
    return home


def bytes_below(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): fingerprint.of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def items_kind(member: str) -> Any:
    (kind,) = DIALECTS[member].files_of("items")
    return kind


def lines_of(home: Home, member: str, file: str) -> list[str]:
    path = home.synthetic / member.lower() / "extracts" / file
    return path.read_text(encoding=items_kind(member).form.encoding).split("\n")[:-1]


def ledger_of(home: Home, member: str) -> list[dict[str, Any]]:
    text = (home.synthetic / member.lower() / "faults.json").read_text(encoding="utf-8")
    faults: list[dict[str, Any]] = json.loads(text)
    return faults


def item_files(home: Home, member: str) -> list[str]:
    contract = load_contract(MEMBERS_DIR, member)
    (extract,) = [one for one in contract.extracts if one.dataset == "declaration_items"]
    folder = home.synthetic / member.lower() / "extracts"
    return sorted(path.name for pattern in extract.files for path in folder.glob(pattern))


def cells(line: str, member: str) -> list[str]:
    return next(csv.reader([line], delimiter=items_kind(member).form.delimiter))


def test_same_seed_same_bytes_and_other_seed_other_bytes(home: Home, tmp_path: Path) -> None:
    again, other = Home(tmp_path / "again"), Home(tmp_path / "other")
    generate_members(again, PROFILES, items_per_member=ITEMS, months=MONTHS)
    generate_members(other, PROFILES, items_per_member=ITEMS, months=MONTHS, seed=8)
    assert bytes_below(again.synthetic) == bytes_below(home.synthetic)
    ours, theirs = bytes_below(home.synthetic), bytes_below(other.synthetic)
    assert ours.keys() == theirs.keys()
    same = {name for name in ours if ours[name] == theirs[name]}
    # What was asked for does not depend on the seed, nor do the rates of a currency that is the dollar.
    assert {name.split("/", 1)[1] for name in same} <= {"truth/plan.json"}


def test_a_member_does_not_depend_on_the_others(home: Home, tmp_path: Path) -> None:
    alone = Home(tmp_path)
    generate_members(alone, members=("XB",), items_per_member={"XB": ITEMS}, months=MONTHS)
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


@pytest.mark.parametrize("member", DELIMITED)
def test_every_item_is_one_line_and_no_declaration_is_written_twice(home: Home, member: str) -> None:
    files = item_files(home, member)
    lines = [line for file in files for line in lines_of(home, member, file)[1:]]
    manifest = json.loads((home.synthetic / member.lower() / "manifest.json").read_text())
    assert len(lines) == manifest["items"]
    assert ITEMS < len(lines) < 1.15 * ITEMS  # registered anew, or parts of split consignments
    faulty = {fault["line"] for fault in ledger_of(home, member)}
    keys = Counter(tuple(cells(line, member)[:2]) for line in lines)
    assert sum(count > 1 for count in keys.values()) <= len(faulty)


@pytest.mark.parametrize("member", DELIMITED)
def test_ledger_agrees_with_the_text(home: Home, member: str) -> None:
    faults = ledger_of(home, member)
    assert 2 <= len(faults) <= 0.01 * ITEMS
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
def test_faults_of_every_kind_take_turns(tmp_path: Path, member: str) -> None:
    from tidewaiter.synthetic.parameters import plan

    how = plan("none", "none", ["world.fault_share=0.02"])
    generate_members(Home(tmp_path), [member], 3_000, 6, plan=how)
    kinds = Counter((fault["kind"], fault["field"]) for fault in ledger_of(Home(tmp_path), member))
    for kind in DIALECTS[member].files:
        told = [kinds[(fault.kind, fault.field or None)] for fault in kind.faults]
        assert all(told)


def known_members() -> list[str]:
    return [member for member in sorted(PROFILES) if (MEMBERS_DIR / member.lower()).is_dir()]


@pytest.mark.parametrize("member", known_members())
def test_contract_reaches_every_extract_once(home: Home, member: str) -> None:
    contract = load_contract(MEMBERS_DIR, member)
    reached = [
        (extract.dataset, path)
        for extract in contract.extracts
        for pattern in extract.files
        for path in (home.root / str(extract.location.home)).glob(pattern)
    ]
    assert len(reached) == len(set(reached))
    folder = home.synthetic / member.lower()
    assert sorted({path for _, path in reached}) == sorted((folder / "extracts").iterdir())


@pytest.mark.parametrize("member", DELIMITED)
def test_contract_names_columns_that_the_files_have(home: Home, member: str) -> None:
    """Of every delimited file: packed ones are opened, one that changes its header knows both."""
    for extract in load_contract(MEMBERS_DIR, member).extracts:
        folder = home.root / str(extract.location.home)
        if extract.format.kind != "csv":
            continue
        for path in (path for pattern in extract.files for path in folder.glob(pattern)):
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    content = archive.read(archive.namelist()[0])
            lines = content.decode(extract.format.encoding).split("\n")
            header = set(
                extract.format.columns or lines[extract.format.skip_lines].split(extract.format.delimiter)
            )
            for mapping in extract.fields.values():
                assert not mapping.candidates or set(mapping.candidates) & header


def test_dialects_differ_where_landing_has_to_work(home: Home) -> None:
    xb = (home.synthetic / "xb" / "extracts" / item_files(home, "XB")[0]).read_bytes()
    with pytest.raises(UnicodeDecodeError):
        xb.decode("utf-8")
    header, *rows = (cells(line, "XC") for line in lines_of(home, "XC", item_files(home, "XC")[0]))
    lengths = {len(row[header.index("PARTIDA")]) for row in rows if len(row) == len(header)}
    assert {7, 8} <= lengths  # chapters 01 to 09 have lost their zero
    assert '"Exporter ' in lines_of(home, "XA", item_files(home, "XA")[0])[1]
    forms = {type(kind.form).__name__ for dialect in DIALECTS.values() for kind in dialect.files}
    assert forms == {
        *("Delimited", "FixedWidth", "JsonRows", "JsonArrays", "XmlRows", "ParquetRows", "Workbook")
    }
    suffixes = {path.suffix for path in home.synthetic.glob("*/extracts/*")}
    assert {".csv", ".gz", ".zip", ".zst", ".xlsx", ".parquet", ".json", ".XML", ".DAT"} <= suffixes


def test_a_column_gets_another_name_in_the_middle_of_the_year(tmp_path: Path) -> None:
    home = Home(tmp_path)
    generate_members(home, ["XA"], items_per_member=600, months=12)
    headers = [lines_of(home, "XA", file)[0].split(",") for file in item_files(home, "XA")]
    assert [("TAXES" in header, "TAXES_ASSESSED" in header) for header in headers] == [
        (True, False),
        (False, True),
    ]


def test_container_numbers_have_the_check_digit_of_the_standard() -> None:
    """ISO 6346: the example of the standard, CSQU3054383, by the same rule over invented owners."""
    import numpy as np

    def by_hand(owner: str, serial: int) -> int:
        values = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (n for n in range(10, 39) if n % 11), strict=True))
        places = [values[letter] for letter in owner] + [int(digit) for digit in f"{serial:06d}"]
        return sum(value * 2**place for place, value in enumerate(places)) % 11 % 10

    assert by_hand("CSQU", 305438) == 3
    owner = np.arange(len(OWNERS)).repeat(50)
    serial = np.random.default_rng(1).integers(0, 1_000_000, owner.size)
    digits = container_check_digits(owner, serial)
    assert digits.tolist() == [by_hand(OWNERS[o], s) for o, s in zip(owner, serial.tolist(), strict=True)]


def test_wrong_requests_are_refused_with_all_their_problems(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"unknown synthetic member 'XZZ'.*\n.*'Q'"):
        generate_members(Home(tmp_path), members=("XZZ", "Q"))
    with pytest.raises(UsageProblem, match=r"items is 0[^\n]*\n.*months is -1"):
        generate_members(Home(tmp_path), members=("XA",), items_per_member=0, months=-1)
    assert not (tmp_path / "synthetic").exists()


def test_null_text_is_what_the_contract_reads_as_null() -> None:
    for member in DELIMITED:
        (extract,) = [
            one for one in load_contract(MEMBERS_DIR, member).extracts if one.dataset == "declaration_items"
        ]
        form = items_kind(member).form
        assert isinstance(form, Delimited)
        assert form.null_text in extract.null_values
