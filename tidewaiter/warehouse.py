"""DuckDB connections with bounded memory.

No connection of ours opens the warehouse file: that is dbt's alone. These are in-memory databases
that read and write Parquet.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings


_SPILL, _IN_USE = "tidewaiter-spill-", "in-use"


@contextmanager
def open_duckdb(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an in-memory DuckDB that spills to disk at the configured memory limit.

    Timestamps are naive UTC everywhere, so the session's time zone is UTC. Extensions are neither
    fetched nor loaded on their own: whatever a query needs must have come with the installation.
    """
    import duckdb

    with _spill_folder() as spill:
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


@contextmanager
def _spill_folder() -> Iterator[str]:
    """Yield a folder that is taken away at the end, or by a later process where this one is killed."""
    _clear_abandoned()
    with TemporaryDirectory(prefix=_SPILL) as folder:
        coming = Path(folder) / "coming"
        with coming.open("w", encoding="utf-8") as handle:
            # Locked before it has its name: a folder with such a file that nobody locks is abandoned.
            fcntl.flock(handle, fcntl.LOCK_EX)
            coming.rename(coming.with_name(_IN_USE))
            yield folder


@functools.cache
def _clear_abandoned() -> None:
    """Take away folders of killed processes. The lock ends with its process, whatever its number."""
    for folder in Path(gettempdir()).glob(f"{_SPILL}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _IN_USE).open("r+", encoding="utf-8") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, or gone or not in use yet at this moment
            continue


def quote_literal(text: str | Path) -> str:
    """Return `text` as a SQL string literal. For paths and names that come from files."""
    literal = "'" + str(text).replace("'", "''") + "'"
    # NUL ends a statement for DuckDB's parser.
    return literal if "\0" not in literal else "(" + literal.replace("\0", "' || chr(0) || '") + ")"


def quote_identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier. Names from files are data, never SQL."""
    return '"' + name.replace('"', '""') + '"'
