"""Ingest with sources of every kind: what fails is named, and the rest lands."""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback

import pytest
import yaml

from flows.ingest import ingest_member
from tidewaiter.errors import GateRefused, TidewaiterError
from tidewaiter.landing import landed_receipts


def rows(first, last, bad=()):
    lines = [f"D{n},2024-03-01,S1,010121,P{n},{'x' if n in bad else n}" for n in range(first, last)]
    return "\n".join(lines).encode() + b"\n"


@pytest.fixture
def member(sources):
    """Writes the contract of XT with these locations."""

    def write(*locations, **extract):
        folder = sources.root / "members" / "xt"
        folder.mkdir(parents=True, exist_ok=True)
        contract = sources.contract(*locations, **extract)
        found = contract.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        for entry, location in zip(found["extracts"], locations, strict=True):
            entry |= {"location": location} | extract  # with the kinds, which are defaults of their models
        (folder / "contract.yaml").write_text(yaml.safe_dump(found))
        return folder

    return write


def counts(sources):
    return sorted(
        (receipt.source_file, receipt.rows_landed) for receipt in landed_receipts(sources.settings.paths)
    )


def test_remote_and_local_files_land_alike_and_once(sources, web, page, member, csv_header):
    web.pages["/remote.csv"] = page.of(csv_header.encode() + rows(0, 5))
    folder = member({"kind": "http", "url": web.url("/remote.csv")}, {"member": "sent"})
    (folder / "sent").mkdir()
    (folder / "sent" / "local.csv").write_bytes(csv_header.encode() + rows(5, 8))
    report = ingest_member(sources.settings, "XT")
    assert report.landed_now == 2
    assert counts(sources) == [("local.csv", 3), ("remote.csv", 5)]
    # What was fetched is on disk once; what lies at the member's is copied.
    paths = sources.settings.paths
    (fetched,), (kept,) = paths.inbox.rglob("remote.csv"), paths.raw.rglob("remote.csv")
    (copied,) = paths.raw.rglob("local.csv")
    assert kept.samefile(fetched)
    assert not copied.samefile(folder / "sent" / "local.csv")
    assert ingest_member(sources.settings, "XT").landed_now == 0
    web.pages["/remote.csv"] = page.of(csv_header.encode() + rows(0, 6))
    assert ingest_member(sources.settings, "XT").landed_now == 1
    first, second = [r for r in landed_receipts(sources.settings.paths) if r.source_file == "remote.csv"]
    assert {first.rows_landed, second.rows_landed} == {5, 6}
    older = min(first, second, key=lambda receipt: receipt.received_at)
    assert older.rows_landed == 5


def test_a_source_that_fails_is_named_and_the_others_land(sources, web, page, member, csv_header):
    web.pages["/good.csv"] = page.of(csv_header.encode() + rows(0, 5))
    member(
        {"kind": "http", "url": web.url("/gone.csv")},
        {"kind": "database", "sqlite": "nowhere.db", "table": "items"},
        {"kind": "http", "url": web.url("/good.csv")},
    )
    with pytest.raises(TidewaiterError) as raised:
        ingest_member(sources.settings, "XT")
    assert not isinstance(raised.value, GateRefused)
    gone, nowhere = [str(problem) for problem in raised.value.problems]
    assert web.url("/gone.csv") in gone
    assert "nowhere.db" in nowhere
    assert counts(sources) == [("good.csv", 5)]


def test_a_refused_download_stays_and_lands_when_the_contract_is_mended(
    sources, web, page, member, csv_header
):
    web.pages["/a.csv"] = page.of(csv_header.encode() + rows(0, 5, bad=(1, 2, 3)))
    location = {"kind": "http", "url": web.url("/a.csv")}
    member(location)
    with pytest.raises(GateRefused):
        ingest_member(sources.settings, "XT")
    member(location, refuse_above_quarantined_share=1)
    ingest_member(sources.settings, "XT")
    assert counts(sources) == [("a.csv", 2)]
    assert len(web.requests) == 2
    assert "If-None-Match" in web.requests[1][1]


def test_a_credential_is_in_nothing_that_a_run_writes_or_says(
    sources, web, page, member, csv_header, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("XT_TOKEN", "geheim-4711")
    monkeypatch.setenv("XT_DATABASE", "postgresql://xt:wort-0815@127.0.0.1:1/customs")
    web.pages["/a.csv"] = page.of(csv_header.encode() + rows(0, 5))
    member(
        {"kind": "http", "url": web.url("/a.csv"), "secret_headers": {"X-Token": {"env": "XT_TOKEN"}}},
        {"kind": "database", "url": {"env": "XT_DATABASE"}, "table": "items", "attempts": 2},
    )
    with pytest.raises(TidewaiterError, match="XT_DATABASE") as raised:
        ingest_member(sources.settings, "XT")
    assert web.requests[0][1]["X-Token"] == "geheim-4711"
    assert counts(sources) == [("a.csv", 5)]
    told = caplog.text + "".join(traceback.format_exception(raised.value))
    for secret in ("geheim-4711", "wort-0815"):
        assert secret not in told
        assert secret.encode() not in sources.everything_written()


def test_nothing_fetched_yet_is_said(sources, web, member):
    member(
        {
            "kind": "http",
            "url": web.url("/{date}.csv"),
            "dates": {"first": "2024-01-01", "last": "2024-01-01"},
        }
    )
    report = ingest_member(sources.settings, "XT")
    assert report.is_absent
    assert report.note.startswith("nothing has come from http://127.0.0.1")


def test_a_database_lands_in_parts_and_its_watermark_follows(sources, member):
    folder = member(
        {
            "kind": "database",
            "sqlite": "items.db",
            "table": "items",
            "watermark": {"column": "id", "type": "text"},
        },
        format={"kind": "parquet"},
    )
    with sqlite3.connect(folder / "items.db") as connection:
        connection.execute("create table items (id, registered, office, hs, importer, value)")

    def insert(first, last):
        with sqlite3.connect(folder / "items.db") as connection:
            connection.executemany(
                "insert into items values (?, '2024-03-01', 'S1', '010121', 'P', ?)",
                [(f"D{n}", n) for n in range(first, last)],
            )

    def record():
        (path,) = (sources.settings.paths.state / "extract" / "XT").glob("*.json")
        return json.loads(path.read_text())

    insert(1, 4)
    ingest_member(sources.settings, "XT")
    assert (record()["watermark"], record()["waiting"]) == ("D3", [])
    insert(4, 9)
    ingest_member(sources.settings, "XT")
    ingest_member(sources.settings, "XT")
    assert record()["watermark"] == "D8"
    assert counts(sources) == [("items.parquet", 3), ("items.parquet", 5)]


def test_a_file_that_two_entries_of_one_dataset_claim_is_named_and_the_others_land(
    sources, member, csv_header
):
    folder = member({"member": "sent"}, {"member": "sent"})
    contract = yaml.safe_load((folder / "contract.yaml").read_text())
    contract["extracts"][0]["files"], contract["extracts"][1]["files"] = ["*.csv"], ["late*.csv"]
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract))
    (folder / "sent").mkdir()
    (folder / "sent" / "items.csv").write_bytes(csv_header.encode() + rows(0, 5))
    (folder / "sent" / "late_items.csv").write_bytes(csv_header.encode() + rows(5, 8))
    with pytest.raises(TidewaiterError) as raised:
        ingest_member(sources.settings, "XT")
    assert "2 entries of dataset declaration_items match this file" in str(raised.value)
    assert "late_items.csv" in str(raised.value)
    assert counts(sources) == [("items.csv", 5)]
