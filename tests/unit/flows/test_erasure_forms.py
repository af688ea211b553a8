"""Erasure and key rotation where a subject's rows do not lie in one plain table."""

from __future__ import annotations

import gzip
import json
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from flows.erasure import erase_subject
from flows.ingest import ingest_member
from flows.rotation import rotate_key
from ml.integrity.signals import SIGNAL_SCHEMA
from ml.integrity.store import SignalStore, read_signals
from tidewaiter.landing import landed_receipts
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings

WHO = "TIN-9001"
OFFICER = "OFF-77"
LOCATION = {"home": "incoming"}
HEADERS = "declaration,registered,office,importer\n" + "".join(
    f"D{n},2024-03-{n + 1:02d},K1,{WHO if n % 4 == 0 else f'TIN-{n}'}\n" for n in range(12)
)
ITEMS = "declaration,item,hs,value\n" + "".join(
    f"D{n},{item},847130,{100 * n + item}\n" for n in range(12) for item in (1, 2)
)
WIDE = "declaration,item,registered,office,importer,hs,value,selected,assigned,officer\n" + "".join(
    f"D{n},1,2024-03-{n + 1:02d},K1,TIN-{n % 3},847130,{n + 5},2024-03-{n + 1:02d} 10:00:00,"
    f"2024-03-{n + 1:02d} 11:00:00,{OFFICER if n % 5 == 0 else 'OFF-1'}\n"
    for n in range(12)
)


def columns(*names: str, **constants: Any) -> dict[str, Any]:
    own = {
        "declaration_id": "declaration",
        "item_no": "item",
        "registered_at": "registered",
        "office_code": "office",
        "importer_id": "importer",
        "hs6": "hs",
        "declared_value": "value",
    }
    mapped: dict[str, Any] = {name: {"column": own[name]} for name in names}
    if "registered_at" in mapped:
        mapped["registered_at"]["formats"] = ["%Y-%m-%d"]
    return mapped | {name: {"constant": value} for name, value in constants.items()}


def entry(dataset: str, pattern: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"dataset": dataset, "location": LOCATION, "files": [pattern], "fields": fields} | more


APART = [
    entry(
        "declaration_items",
        "items*",
        columns("declaration_id", "item_no", "hs6", "declared_value"),
        header="apart",
    ),
    entry(
        "declarations",
        "headers*",
        columns("declaration_id", "registered_at", "office_code", "importer_id", currency_code="USD"),
    ),
]
IN_ONE_ROW = [
    entry(
        "declaration_items",
        "wide*",
        columns(
            *("declaration_id", "item_no", "registered_at", "office_code", "importer_id", "hs6"),
            "declared_value",
            currency_code="USD",
        ),
    ),
    entry(
        "declaration_events",
        "wide*",
        {
            "declaration_id": {"column": "declaration"},
            "event_code": {"column": "event"},
            "event_at": {"column": "at"},
            "inspector_id": {"column": "by"},
        },
        format={
            "unpivot": {
                "name": "event",
                "blocks": ["LANE_SET", "ASSIGNED"],
                "columns": {"at": ["selected", "assigned"], "by": [None, "officer"]},
                "row_if": ["at"],
            }
        },
    ),
]


@pytest.fixture
def member(tmp_path):
    """The function that lands the given files of member XD under the given entries."""

    def land(entries: list[dict[str, Any]], files: dict[str, bytes]) -> Settings:
        settings = Settings(home=tmp_path / "home", members_dir=tmp_path / "members", threads=1)
        folder = settings.members_dir / "xd"
        folder.mkdir(parents=True)
        contract = {"member": "XD", "name": "Test", "owner": "tests", "source": "tests", "extracts": entries}
        (folder / "contract.yaml").write_text(yaml.safe_dump(contract))
        (settings.home / "incoming").mkdir(parents=True)
        for name, content in files.items():
            (settings.home / "incoming" / name).write_bytes(content)
        ingest_member(settings, "XD")
        return settings

    return land


def rows(settings: Settings, dataset: str, columns: str = "*") -> list[Any]:
    pattern = settings.paths.landing / dataset / "member=XD" / "*" / "rows.parquet"
    query = f"select {columns} from read_parquet('{pattern}', hive_partitioning = false) order by all"
    return duckdb.sql(query).fetchall()


def written(settings: Settings) -> bytes:
    """All bytes below the home but those that the member sent, and the receipts of erasures."""
    left_out = {"incoming", "receipts"}
    paths = (path for path in settings.home.rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in paths if not left_out.intersection(path.parts))


def proven(settings: Settings) -> dict[str, tuple[int, int]]:
    found = landed_receipts(settings.paths)
    assert all(one.rows_in == one.rows_landed + one.rows_quarantined for one in found)
    return {one.dataset: (one.rows_in, one.rows_erased) for one in found}


def test_items_of_a_subject_that_only_their_headers_name_go_too(member):
    settings = member(APART, {"headers.csv": HEADERS.encode(), "items.csv": ITEMS.encode()})
    receipt = erase_subject(settings, "XD", "importer", WHO)
    assert receipt.removed == {
        "landing declaration_items": 6,
        "landing declarations": 3,
        "raw": 9,
    }
    assert proven(settings) == {"declaration_items": (18, 6), "declarations": (9, 3)}
    left = {row[0] for row in rows(settings, "declaration_items", "declaration_id")}
    assert left.isdisjoint({"D0", "D4", "D8"})
    assert WHO.encode() not in written(settings)
    assert receipt.pseudonym.encode() not in written(settings)
    # Under another key everything lands again from the bytes kept, and nobody comes back.
    assert rotate_key(settings).problems == ()
    assert proven(settings) == {"declaration_items": (18, 6), "declarations": (9, 3)}


def test_signals_on_a_subject_go_with_it_and_all_of_them_with_the_key(member):
    settings = member(APART, {"headers.csv": HEADERS.encode(), "items.csv": ITEMS.encode()})
    (pseudonym,) = load_pseudonymiser(settings.paths).pseudonymise("XD", "importer", [WHO])
    named = [{"unit_kind": "importer", "unit_id": one} for one in (pseudonym, "somebody else")]
    store = SignalStore(settings, "XD", "C3")
    store.write("2024-01_2024-03", "key", pa.Table.from_pylist(named, schema=SIGNAL_SCHEMA))
    receipt = erase_subject(settings, "XD", "importer", WHO)
    assert receipt.removed["integrity signals"] == 1
    assert read_signals(settings, ["XD"])["unit_id"].to_pylist() == ["somebody else"]
    assert rotate_key(settings).problems == ()
    assert read_signals(settings, ["XD"]).num_rows == 0


def test_a_line_that_is_an_item_and_its_events_goes_as_one(member):
    settings = member(IN_ONE_ROW, {"wide.csv": WIDE.encode()})
    assert proven(settings) == {"declaration_items": (12, 0), "declaration_events": (24, 0)}
    erase_subject(settings, "XD", "inspector", OFFICER)
    # The events of three lines, also those that do not name the officer: the line is empty now.
    assert proven(settings)["declaration_events"] == (18, 6)
    assert {row[0] for row in rows(settings, "declaration_events", "declaration_id")} == {
        f"D{n}" for n in range(12) if n % 5
    }
    assert OFFICER.encode() not in written(settings)
    before = rows(settings, "declaration_events", "declaration_id, event_code, event_at, source_line")
    assert rotate_key(settings).problems == ()
    after = rows(settings, "declaration_events", "declaration_id, event_code, event_at, source_line")
    assert after == before


def test_a_packed_file_lands_again_from_where_the_member_keeps_it(member):
    packed = {
        f"wide_{year}.csv.gz": gzip.compress(WIDE.replace("2024", year).encode(), mtime=0)
        for year in ("2024", "2025")
    }
    settings = member(IN_ONE_ROW[:1], packed)
    receipt = erase_subject(settings, "XD", "importer", "TIN-1")
    assert not list(settings.paths.raw.rglob("*.gz"))  # cannot be mended line by line
    old = rows(settings, "declaration_items", "importer_id, declaration_id, registered_date")
    rotation = rotate_key(settings)
    assert (rotation.extracts, rotation.problems) == (2, ())
    new = rows(settings, "declaration_items", "importer_id, declaration_id, registered_date")
    assert len(new) == len(old) == 16
    assert {row[0] for row in old}.isdisjoint(row[0] for row in new)
    # Over time one importer is one pseudonym, before and after.
    for pseudonyms in (old, new):
        assert len({row[0] for row in pseudonyms}) == 2
        assert len({(row[0], row[2].year) for row in pseudonyms}) == 4
    assert receipt.pseudonym not in {row[0] for row in new}
    assert not list(settings.paths.raw.rglob("*.gz"))


def test_a_file_that_is_nowhere_stops_the_rotation_before_it_begins(member):
    packed = gzip.compress(WIDE.encode(), mtime=0)
    settings = member(IN_ONE_ROW[:1], {"wide.csv.gz": packed})
    erase_subject(settings, "XD", "importer", "TIN-1")
    (settings.home / "incoming" / "wide.csv.gz").unlink()
    key = (settings.paths.keys / "pseudonym.key").read_bytes()
    with pytest.raises(Exception, match="its bytes are no longer kept"):
        rotate_key(settings)
    assert (settings.paths.keys / "pseudonym.key").read_bytes() == key
    (settings.home / "incoming" / "wide.csv.gz").write_bytes(packed)
    assert rotate_key(settings).problems == ()
    assert json.loads((settings.paths.erasures / "member=XD.json").read_text())["subjects"]
