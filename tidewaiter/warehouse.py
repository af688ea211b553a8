"""DuckDB connections with bounded memory.

No connection of ours opens the warehouse file: that is dbt's alone. These are in-memory databases
that read and write Parquet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings


@contextmanager
def open_duckdb(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an in-memory DuckDB that spills to disk at the configured memory limit.

    Timestamps are naive UTC everywhere, so the session's time zone is UTC. Extensions are neither
    fetched nor loaded on their own: whatever a query needs must have come with the installation.
    """
    import duckdb

    with TemporaryDirectory(prefix="tidewaiter-spill-") as spill:
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": settings.memory_limit,
                "threads": settings.threads,
                "temp_directory": spill,
                "autoinstall_known_extensions": False,
            },
        )
        try:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()


def quote_literal(text: str | Path) -> str:
    """Return `text` as a SQL string literal. For paths and names that come from files."""
    literal = "'" + str(text).replace("'", "''") + "'"
    # NUL ends a statement for DuckDB's parser.
    return literal if "\0" not in literal else "(" + literal.replace("\0", "' || chr(0) || '") + ")"


def quote_identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier. Names from files are data, never SQL."""
    return '"' + name.replace('"', '""') + '"'
