"""What every format is given to open a file, and the names of the relations that it makes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.staged import SOURCE_LINE, Staged
from tidewaiter.warehouse import quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings

RECORDS = "source_records"
REJECTS = "source_rejects"
MOST_COLUMNS = 4000

_NEXT_STEP = "correct format in the contract, or have the file sent again"


@dataclass(frozen=True)
class Opening:
    """One file that is being opened.

    Attributes:
        connection: Where the relations come to be.
        path: The file. Its name may be anything.
        folder: Work folder of this file alone.
        where: Member and file, for messages.
        wanted: Column names that the contract uses, for files without a record to show its names.
        settings: Threads, and the memory that they share.
    """

    connection: duckdb.DuckDBPyConnection
    path: Path
    folder: Path
    where: str
    wanted: tuple[str, ...]
    settings: Settings

    def error(self, what: str, expected: str = "", next_step: str = _NEXT_STEP) -> TidewaiterError:
        """Return an error about this file."""
        return TidewaiterError(Problem(what, where=self.where, expected=expected, next_step=next_step))

    def execute(self, query: str) -> duckdb.DuckDBPyConnection:
        """Run a query over the file's own data; a failure is a fault of the file, told without values."""
        import duckdb

        try:
            return self.connection.execute(query)
        except duckdb.OutOfMemoryException as error:
            raise self.error(
                f"the file needs more memory than it may take: {_without_values(error)}",
                expected="records that fit into memory_limit; tidewaiter config show tells it",
                next_step="raise memory_limit, or have the file sent in parts",
            ) from None
        except duckdb.Error as error:
            raise self.error(f"the file cannot be read: {_without_values(error)}") from None
        except UnicodeDecodeError:
            # DuckDB's message quotes bytes of the file that are no text.
            raise self.error("the file has bytes that are not of its encoding") from None

    def copy(self, query: str, name: str) -> str:
        """Write the rows of a query, in their order, to Parquet and return SQL that reads them."""
        target = self.folder / name
        self.execute(f"copy ({query}) to {quote_literal(target)} (format parquet, compression lz4)")
        return f"read_parquet({quote_literal(target)})"

    def staged(self, records: str, rejects: str) -> Staged:
        """Make the two relations from queries and return them.

        Args:
            records: SQL of `source_line` and the raw columns.
            rejects: SQL of `source_line`, `kind` and `message`.
        """
        self.execute(f"create or replace view {RECORDS} as {records}")
        self.execute(f"create or replace view {REJECTS} as {rejects}")
        return Staged(RECORDS, REJECTS)


def numbered(parquet: str) -> str:
    """Return SQL of the rows of a Parquet file of ours with their number from 1 as `source_line`."""
    with_numbers = f"{parquet.removesuffix(')')}, file_row_number = true)"
    return f"(select * exclude (file_row_number), file_row_number + 1 as {SOURCE_LINE} from {with_numbers})"


def no_rejects_sql() -> str:
    """Return SQL of rejects that are none."""
    return (
        f"select cast(null as BIGINT) as {SOURCE_LINE}, cast(null as VARCHAR) as kind,"
        " cast(null as VARCHAR) as message where false"
    )


def _without_values(error: Exception) -> str:
    first_line = str(error).splitlines()[0]
    # The parser's own words have no value of the file in them.
    place = re.search(r"at byte \d+ (?:in .*?\d+|of input): [\w -]+", first_line)
    if "Malformed JSON" in first_line:
        return f"not JSON {place[0].replace('record/value', 'record')}" if place else "not JSON"
    if "top-level JSON array" in first_line:
        return "the file is not one JSON array"
    if "as valid UTF-8" in first_line:
        return "it has bytes that are not of its encoding"
    return re.sub(r"""(["']).*\1""", "...", first_line)
