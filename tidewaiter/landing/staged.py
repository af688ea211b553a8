"""What lies between reading and writing: the records of one extract, all text, each with its place.

A format reads bytes and knows nothing of canonical columns; mapping, checks, quarantine and
writing know nothing of formats. This module is all that they share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from tidewaiter.landing.wide import WideRecords

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

SOURCE_LINE = "source_line"
# What is selected where no column is used: rows are still rows.
NO_COLUMN = "true as is_row"
_BATCH_ROWS = 200_000
_BATCH_BYTES = 1 << 28

_T = TypeVar("_T")


@dataclass(frozen=True)
class Staged:
    """The records of one extract in a DuckDB connection, as two relations (tables or views).

    Records that are not in one of the two are lost, so a format must account for every record that
    its source holds. Both relations may be read several times and must give the same each time.

    Attributes:
        records: Name of a relation with `source_line` BIGINT and a VARCHAR column `raw_<position>`
            for each column that was asked for (see `raw_column`); others may be there. One row per
            record that could be read, in ascending order of `source_line`, without two alike. The
            text is exactly as the source has it; a typed source is rendered canonically: ISO 8601
            dates and times, the contract's decimal mark, no thousands mark, true and false. Null and the
            empty text are the same to a contract that has "" among its null spellings.
        rejects: Name of a relation with `source_line` BIGINT, `kind` and `message` VARCHAR: one row
            per reason why a record could not be read. `kind` is counted in the receipt and names no
            value; neither must `message` quote one, because it may be a person's.
        wide: What became of wide records, where their blocks are the rows.
    """

    records: str
    rejects: str
    wide: WideRecords | None = None


class Source(Protocol):
    """One file whose header is known and whose records are still to be read.

    `source_line` counts from 1: the physical line where the source is text of lines, header
    included; otherwise the number of the record in the order of the source.
    """

    @property
    def header(self) -> tuple[str, ...]:
        """Column names as the source has them, without outer white space; they are data, not SQL."""
        ...

    def stage(self, positions: Sequence[int]) -> Staged:
        """Read the source once and return its records.

        Args:
            positions: Places in `header` of the columns that the contract uses, ascending. Other
                columns need not be read, and no value of theirs is a reason to reject a record.

        Raises:
            TidewaiterError: The source cannot be read, or its records do not add up.
        """
        ...


def raw_column(position: int) -> str:
    """Return the name of a source column in `Staged.records`: its name in the header is never SQL."""
    return f"raw_{position}"


@dataclass(frozen=True)
class Batch:
    """Some records as they stand in the source, in its order.

    Attributes:
        table: Columns `raw_<position>` of text, one row per record; or one of no meaning where none is used.
        lines: `source_line` of each row.
    """

    table: pa.Table
    lines: NDArray[np.int64]

    def parts(self) -> Iterator[Batch]:
        """Yield the batch, or halves of it: a column of text can hold two gigabytes, and memory less."""
        rows = self.table.num_rows
        if rows < 2 or self.table.nbytes <= _BATCH_BYTES:
            yield self
            return
        for start, size in ((0, rows // 2), (rows // 2, rows - rows // 2)):
            yield from Batch(self.table.slice(start, size), self.lines[start : start + size]).parts()


class Records(Protocol):
    """The records of one extract, as the writer takes them: in batches that fit into memory."""

    def batches(self, work: Callable[[duckdb.DuckDBPyConnection, Batch], _T]) -> Iterator[_T]:
        """Do some work on all records, batch by batch, and yield what comes of it in the source's order.

        Args:
            work: Done where the batch was read: in several threads at once, each with a connection of
                its own that has nothing of the others'.

        Raises:
            TidewaiterError: The source cannot be read, or its records do not add up.
        """
        ...

    def rejects(self) -> pa.Table:
        """Return what `batches` could not read, once it is exhausted: source_line, kind, message."""
        ...


@dataclass(frozen=True)
class StagedRecords:
    """The records of a format that stages them whole.

    Attributes:
        connection: Where they are staged.
        staged: The two relations.
        positions: Columns that are used.
    """

    connection: duckdb.DuckDBPyConnection
    staged: Staged
    positions: tuple[int, ...]

    def batches(self, work: Callable[[duckdb.DuckDBPyConnection, Batch], _T]) -> Iterator[_T]:
        """See `Records.batches`: slices of the staged relation by line."""
        cursor = self.connection.cursor()
        columns = ", ".join(map(raw_column, self.positions)) or NO_COLUMN
        lines = cursor.execute(f"select {SOURCE_LINE} from {self.staged.records}").fetchnumpy()[SOURCE_LINE]
        lines = np.asarray(lines, dtype=np.int64)
        for start in range(0, lines.size, _BATCH_ROWS):
            some = lines[start : start + _BATCH_ROWS]
            table = cursor.execute(
                f"select {columns} from {self.staged.records}"
                f" where {SOURCE_LINE} between {int(some[0])} and {int(some[-1])}"
            ).to_arrow_table()
            if table.num_rows != some.size:
                raise AssertionError(f"{some.size} records staged, {table.num_rows} read")
            for part in Batch(table, some).parts():
                yield work(cursor, part)

    def rejects(self) -> pa.Table:
        """See `Records.rejects`."""
        return (
            self.connection.cursor()
            .execute(f"select {SOURCE_LINE}, kind, message from {self.staged.rejects} order by all")
            .to_arrow_table()
        )
