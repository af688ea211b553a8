"""Publication: whole sets, swapped at once, a held member carried over, equal rows published once."""

from __future__ import annotations

import duckdb
import pytest

from flows import publish
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings({"home": tmp_path, "publications_kept": 2}, environment={})


def _write_marts(settings, values, tables=publish.TABLES):
    """Give every mart one row per member, with a value that tells versions apart."""
    rows = ", ".join(f"('{member}', {value})" for member, value in values.items())
    for schema, table in tables:
        path = settings.paths.marts / schema / f"{table}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        duckdb.sql(f"select * from (values {rows}) t(member_iso2, v) order by 1").write_parquet(str(path))


def _published(settings, table="scores.declaration_items"):
    with duckdb.connect(str(settings.paths.published / publish.DUCKDB_FILE), read_only=True) as connection:
        return dict(connection.execute(f"select member_iso2, v from {table} order by 1").fetchall())


def test_publishes_every_table_in_both_forms(settings):
    _write_marts(settings, {"XA": 1, "XB": 2})
    publication = publish.publish(settings, ["XA", "XB"])
    assert set(publication.rows) == {f"{schema}.{table}" for schema, table in publish.TABLES}
    for schema, table in publish.TABLES:
        assert _published(settings, f"{schema}.{table}") == {"XA": 1, "XB": 2}
        assert (settings.paths.published / schema / table / "member=XA" / "rows.parquet").exists()


def test_same_rows_are_not_published_twice(settings):
    _write_marts(settings, {"XA": 1})
    first = publish.publish(settings, ["XA"])
    record = settings.paths.published / publish.RECORD_FILE
    before = (record.read_bytes(), settings.paths.published.readlink())
    _write_marts(settings, {"XA": 1})
    second = publish.publish(settings, ["XA"])
    assert (second.publication_id, second.was_current) == (first.publication_id, True)
    assert (record.read_bytes(), settings.paths.published.readlink()) == before


def test_carried_member_keeps_its_last_rows(settings):
    _write_marts(settings, {"XA": 1, "XB": 2})
    publish.publish(settings, ["XA", "XB"])
    _write_marts(settings, {"XA": 10, "XB": 20})
    publication = publish.publish(settings, ["XA"], carried=["XB"])
    assert _published(settings) == {"XA": 10, "XB": 2}
    assert publication.members == {"XA": "fresh", "XB": "carried"}


def test_carried_member_without_a_past_is_left_out(settings):
    _write_marts(settings, {"XA": 1, "XB": 2})
    publication = publish.publish(settings, ["XA"], carried=["XB"])
    assert _published(settings) == {"XA": 1}
    assert publication.members == {"XA": "fresh"}


def test_reader_of_the_old_set_is_not_disturbed(settings):
    _write_marts(settings, {"XA": 1})
    publish.publish(settings, ["XA"])
    with duckdb.connect(str(settings.paths.published / publish.DUCKDB_FILE), read_only=True) as reader:
        for value in range(2, 6):
            _write_marts(settings, {"XA": value})
            publish.publish(settings, ["XA"])
        assert reader.execute("select v from scores.declaration_items").fetchall() == [(1,)]
    assert _published(settings) == {"XA": 5}


def test_keeps_as_many_sets_as_asked(settings):
    for value in range(5):
        _write_marts(settings, {"XA": value})
        publish.publish(settings, ["XA"])
    assert len(list(settings.paths.publications.iterdir())) == settings.publications_kept


def test_missing_marts_are_all_named_and_nothing_changes(settings):
    _write_marts(settings, {"XA": 1}, tables=publish.TABLES[1:3])
    with pytest.raises(TidewaiterError) as error:
        publish.publish(settings, ["XA"])
    assert len(error.value.problems) == len(publish.TABLES) - 2
    assert not settings.paths.published.exists()


def test_no_fresh_member_publishes_nothing(settings):
    _write_marts(settings, {"XA": 1})
    with pytest.raises(TidewaiterError, match="no member passed"):
        publish.publish(settings, [], carried=["XA"])
    assert not settings.paths.published.exists()


def test_failure_midway_leaves_the_old_set(settings, monkeypatch):
    _write_marts(settings, {"XA": 1})
    publish.publish(settings, ["XA"])
    _write_marts(settings, {"XA": 2})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(publish, "_write_duckdb", fail)
    with pytest.raises(OSError, match="disk full"):
        publish.publish(settings, ["XA"])
    assert _published(settings) == {"XA": 1}
    assert not [path for path in settings.paths.publications.iterdir() if path.name.startswith(".")]


def test_files_are_read_only(settings):
    _write_marts(settings, {"XA": 1})
    publication = publish.publish(settings, ["XA"])
    modes = {path.stat().st_mode & 0o777 for path in publication.folder.rglob("*") if path.is_file()}
    assert modes == {0o444}
