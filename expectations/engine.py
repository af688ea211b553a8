"""Great Expectations over DuckDB: an execution engine whose results arrive, and its datasource.

This module imports Great Expectations, which takes seconds: import it inside functions only. Defining
the datasource class registers it with Great Expectations, once per process, as modules are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy
from duckdb_engine import ConnectionWrapper
from great_expectations.compatibility.pydantic import PrivateAttr
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.execution_engine import SqlAlchemyExecutionEngine

if TYPE_CHECKING:
    import duckdb

_URL = "duckdb:///:memory:"


class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):  # type: ignore[misc]
    """Executes Great Expectations' queries in DuckDB.

    The stock engine gives the connection back before the rows are fetched, and DuckDB drops pending
    rows then, so every metric came back empty (upstream issue 11579). Here the result is read into
    memory while the connection is held; the queries are aggregates, or at most 200 rows.
    """

    def execute_query(self, query: Any) -> Any:
        """Execute one query and return its rows, already fetched."""
        with self.get_connection() as connection:
            return self._execute_query_with_recovery(connection, query).freeze()()


class DuckDBDatasource(SQLDatasource):  # type: ignore[misc]
    """A datasource that looks at an open DuckDB connection of ours instead of making its own."""

    type: Literal["tidewaiter_duckdb"] = "tidewaiter_duckdb"
    _shared: Any = PrivateAttr(None)

    @property
    def execution_engine_type(self) -> Any:
        """The mended engine."""
        return DuckDBExecutionEngine

    def share(self, engine: sqlalchemy.Engine) -> None:
        """Read through this engine from now on."""
        self._shared = engine
        self._execution_engine = DuckDBExecutionEngine(engine=engine, create_temp_table=False)

    def get_engine(self) -> Any:
        """Return the shared engine, or a private one as long as none is shared."""
        return super().get_engine() if self._shared is None else self._shared

    def get_execution_engine(self) -> Any:
        """Return the mended engine over the shared connection."""
        return super().get_execution_engine() if self._shared is None else self._execution_engine


@contextmanager
def shared_engine(connection: duckdb.DuckDBPyConnection) -> Iterator[sqlalchemy.Engine]:
    """Yield a SQLAlchemy engine over an open connection, with its views, memory limit and threads."""
    engine = sqlalchemy.create_engine(
        _URL,
        creator=lambda: ConnectionWrapper(connection.cursor()),
        poolclass=sqlalchemy.StaticPool,
    )
    try:
        yield engine
    finally:
        engine.dispose()


def add_datasource(context: Any, name: str, engine: sqlalchemy.Engine) -> Any:
    """Add a datasource to a context of Great Expectations and let it read through `engine`."""
    datasource = context.data_sources.add_tidewaiter_duckdb(name=name, connection_string=_URL)
    datasource.share(engine)
    return datasource
