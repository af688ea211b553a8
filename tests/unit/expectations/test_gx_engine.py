from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import sqlalchemy

from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb


@pytest.fixture
def connection(settings: Settings):  # type: ignore[no-untyped-def]
    with open_duckdb(settings) as opened:
        opened.execute("create view numbers as select i from range(5) as t(i)")
        yield opened


def test_rows_arrive_after_the_connection_is_given_back(connection: duckdb.DuckDBPyConnection) -> None:
    from expectations.engine import DuckDBExecutionEngine, shared_engine

    with shared_engine(connection) as engine:
        result = DuckDBExecutionEngine(engine=engine).execute_query(sqlalchemy.text("select i from numbers"))
        assert [row[0] for row in result.fetchall()] == [0, 1, 2, 3, 4]


def test_the_stock_engine_still_needs_mending(connection: duckdb.DuckDBPyConnection) -> None:
    # When this fails, upstream issue 11579 is solved and `DuckDBExecutionEngine` can go.
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine

    from expectations.engine import shared_engine

    with shared_engine(connection) as engine:
        result = SqlAlchemyExecutionEngine(engine=engine).execute_query(
            sqlalchemy.text("select i from numbers")
        )
        assert result.fetchall() == []


def test_a_query_that_fails_does_not_poison_the_next(connection: duckdb.DuckDBPyConnection) -> None:
    from expectations.engine import DuckDBExecutionEngine, shared_engine

    with shared_engine(connection) as engine:
        executing = DuckDBExecutionEngine(engine=engine)
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            executing.execute_query(sqlalchemy.text("select missing from numbers"))
        counted = executing.execute_query(sqlalchemy.text("select count(*) from numbers")).scalar()
        assert counted == 5


def test_great_expectations_reads_through_our_bounded_connection(
    connection: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    import great_expectations as gx

    from expectations.engine import DuckDBExecutionEngine, add_datasource, shared_engine

    with shared_engine(connection) as engine:
        for _ in range(2):  # a second context in the same process registers nothing twice
            datasource = add_datasource(gx.get_context(mode="ephemeral"), "ours", engine)
            executing = datasource.get_execution_engine()
            assert isinstance(executing, DuckDBExecutionEngine)
            setting = executing.execute_query(
                sqlalchemy.text(
                    "select current_setting('threads'), current_setting('autoinstall_known_extensions')"
                )
            ).one()
            assert tuple(setting) == (settings.threads, False)
            asset = datasource.add_table_asset("numbers", table_name="numbers")
            found = asset.add_batch_definition_whole_table("all").get_batch()
            result = found.validate(gx.expectations.ExpectTableRowCountToEqual(value=5))
            assert result.success


def test_statistics_of_use_are_off(settings: Settings, write_landed, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import os

    from expectations.gate import run_gate

    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    path: Path = write_landed(rows=1)
    run_gate("landing", "KR", path, settings)
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
