"""A subject is erased from a home with everything in it; then the key is changed, and the runs go on."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.publish import DUCKDB_FILE
from tidewaiter.landing import landed_receipts

OTHER_KEY = "7c" * 32
RUN = ("run", "--member=XA", "--member=XC", "--no-train")


@pytest.fixture(scope="module")
def private(install, undisturbed) -> Any:
    """A copy of the finished home. Models are read from the original, so nothing may be trained."""
    installation = install("private")
    installation.home.rmdir()
    shutil.copytree(undisturbed.home, installation.home, symlinks=True)
    return installation


@pytest.fixture(scope="module")
def subject(private) -> str:
    """The importer of XA with the most items: its identifier in clear, too long to be met by chance."""
    folder = private.home / "synthetic" / "xa" / "extracts"
    counted: Counter[str] = Counter()
    for path in folder.glob("import_items_*.csv"):
        with path.open(encoding="utf-8", newline="") as handle:
            counted.update(row["IMPORTER_PIN"] for row in csv.DictReader(handle))
    return next(name for name, _ in counted.most_common() if name and len(name) >= 8)


@pytest.fixture(scope="module")
def erased(private, subject) -> dict[str, Any]:
    """The receipt of the erasure."""
    printed = private.call_well(
        "privacy", "erase", "--member=XA", "--party=importer", "--id-env=WHO", "--json", WHO=subject
    )
    found: dict[str, Any] = json.loads(printed)
    return found


def traces(home: Path, *texts: str) -> set[str]:
    """Return where a text is, in the bytes of a file or in a column of a table."""
    found = set()
    for path in sorted(home.rglob("*")):
        # What the member sent is the member's; a link leads to a set that is looked at by itself.
        if not path.is_file() or path.is_symlink() or path.is_relative_to(home / "synthetic"):
            continue
        content = path.read_bytes()
        if any(text.encode() in content for text in texts) or _in_tables(path, content, texts):
            found.add(str(path.relative_to(home)))
    return found


def _in_tables(path: Path, content: bytes, texts: tuple[str, ...]) -> bool:
    if path.suffix == ".parquet":
        with duckdb.connect() as connection:
            return _holds(connection, f"read_parquet('{path}', hive_partitioning = false)", texts)
    if content[8:12] != b"DUCK":
        return False
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
        ).fetchall()
        return any(_holds(connection, f'"{schema}"."{name}"', texts) for schema, name in tables)


def _holds(connection: Any, table: str, texts: tuple[str, ...]) -> bool:
    columns = [
        f'contains(cast("{name}" as varchar), text)'
        for name, kind, *_ in connection.execute(f"describe select * from {table}").fetchall()
        if "VARCHAR" in kind
    ]
    if not columns:
        return False
    query = f"select 1 from {table}, (select unnest(?) as text) where {' or '.join(columns)} limit 1"
    return bool(connection.execute(query, [list(texts)]).fetchall())


def test_nothing_is_left_of_an_erased_subject(private, subject, erased):
    removed = erased["removed"]
    assert {"raw", "scores", "landing declaration_items", "published trade.declaration_items"} <= set(removed)
    assert removed["landing declaration_items"] == removed["published trade.declaration_items"] > 20
    (receipt,) = traces(private.home, subject, erased["pseudonym"])
    assert receipt.startswith("erasures/receipts/")
    assert subject not in (private.home / receipt).read_text(encoding="utf-8")
    for one in landed_receipts(private.settings.paths):
        assert one.rows_in == one.rows_landed + one.rows_quarantined


@pytest.mark.slow
def test_the_runs_after_an_erasure_and_another_key_go_through(private, subject, erased):
    private.call_well(*RUN)
    assert len(traces(private.home, subject, erased["pseudonym"])) == 1
    query = (
        "select importer_id, count(*), count(distinct date_trunc('quarter', registered_date))"
        " from trade.declaration_items"
        " where member_iso2 = 'XA' and importer_id is not null group by all"
    )

    def importers() -> dict[str, tuple[int, int]]:
        with duckdb.connect(str(private.publication / DUCKDB_FILE), read_only=True) as published:
            return {name: tuple(counts) for name, *counts in published.execute(query).fetchall()}

    before = importers()
    assert any(quarters > 3 for _, quarters in before.values())  # known over several files
    private.call_well("privacy", "rotate-key", TIDEWAITER_PSEUDONYM_KEY=OTHER_KEY)
    private.call_well(*RUN, TIDEWAITER_PSEUDONYM_KEY=OTHER_KEY)
    after = importers()
    assert set(before).isdisjoint(after)
    assert sorted(after.values()) == sorted(before.values())
    assert traces(private.home, subject) == set()
