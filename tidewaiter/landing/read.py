"""Reading a delimited text: every record is given to the writer with its line, and none goes missing."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.lines import (
    NONE_REJECTED,
    Rejected,
    RowLines,
    consecutive_lines,
    locate_rows,
    rows_fill_all_lines,
)
from tidewaiter.landing.pieces import CutsUncertain, Piece, cut, is_long, whole
from tidewaiter.landing.plain import read_plain
from tidewaiter.landing.source import read_csv_sql
from tidewaiter.landing.staged import NO_COLUMN, Batch, raw_column
from tidewaiter.warehouse import open_duckdb, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.contracts import CsvFormat
    from tidewaiter.landing.lines import Integers
    from tidewaiter.landing.text import PreparedText
    from tidewaiter.settings import Settings

_T = TypeVar("_T")

_REJECTS = "rejects"
_LINE_FEED = "chr(10)"
_OPEN_QUOTE = "UNQUOTED VALUE"
# DuckDB keeps so much of a rejected record; of a longer one the extent is unknown.
_KEPT_CHARACTERS = 10_000
_BATCH_ROWS = 122_880
# Pieces in memory at the same time are a tenth of a gigabyte each.
_MOST_WORKERS = 4

# Kinds of fault by DuckDB's error type; what the row itself shows is added in the message.
_UNREADABLE_KINDS = {
    "MISSING COLUMNS": "the line has too few columns",
    "TOO MANY COLUMNS": "the line has too many columns",
    _OPEN_QUOTE: "a quote is opened or closed within a value",
    "INVALID ENCODING": "the line has bytes that are not of the file's encoding",
    "LINE SIZE OVER MAXIMUM": "the line is longer than 2,000,000 bytes",
}
_REJECTS_SCHEMA = pa.schema([("source_line", pa.int64()), ("kind", pa.string()), ("message", pa.string())])


@dataclass
class CsvRecords:
    """The records of one delimited text.

    Attributes:
        connection: Where the reading is done.
        text: The readable file.
        text_format: Its dialect.
        positions: Columns that are used; the others are not decoded.
        folder: Work folder.
        where: Member and file, for messages.
        settings: How many pieces are read side by side, and the memory they share.
        in_pieces: Whether a long text is cut. False after `CutsUncertain`: slower, with one thread.
    """

    connection: duckdb.DuckDBPyConnection
    text: PreparedText
    text_format: CsvFormat
    positions: tuple[int, ...]
    folder: Path
    where: str
    settings: Settings
    in_pieces: bool = True
    _rejects: list[pa.Table] = field(default_factory=list)

    def batches(self, work: Callable[[duckdb.DuckDBPyConnection, Batch], _T]) -> Iterator[_T]:
        """See `Records.batches`.

        Raises:
            CutsUncertain: The text must be read whole; what has been yielded is void.
            TidewaiterError: The text cannot be read, or lines would be lost.
        """
        self._rejects.clear()
        if self.in_pieces and is_long(self.text):
            yield from self._pieces(work)
            return
        reader = _PieceReader(self, whole(self.text), self.connection.cursor())
        for batch in reader.stream() if reader.piece.content is None else [reader.read()]:
            for part in batch.parts():
                yield work(reader.cursor, part)
        self._rejects.append(reader.rejects())

    def _pieces(self, work: Callable[[duckdb.DuckDBPyConnection, Batch], _T]) -> Iterator[_T]:
        """Read pieces side by side, each with one thread, and yield what comes of them in order.

        A piece read by one thread costs less CPU than by several, which have to wait for each other to
        keep the order of the rows.
        """
        workers = min(self.settings.threads, _MOST_WORKERS)
        with ExitStack() as stack:
            stack.enter_context(_memory_kept_by_c_library())
            idle = [stack.enter_context(open_duckdb(self._of_one_worker(workers))) for _ in range(workers)]
            # Last in, first out: no connection is closed under a worker that still reads.
            pool = stack.enter_context(ThreadPoolExecutor(workers))
            pending: deque[Future[tuple[_T, pa.Table]]] = deque()
            for piece in cut(self.text, self.text_format, self.folder):
                pending.append(pool.submit(self._read_piece, piece, work, idle))
                if len(pending) > workers + 1:
                    yield self._collected(pending.popleft())
            while pending:
                yield self._collected(pending.popleft())

    def _read_piece(
        self,
        piece: Piece,
        work: Callable[[duckdb.DuckDBPyConnection, Batch], _T],
        idle: list[duckdb.DuckDBPyConnection],
    ) -> tuple[_T, pa.Table]:
        connection = idle.pop()  # there are as many as threads, and both ends of a list are atomic
        try:
            with connection.cursor() as cursor:
                reader = _PieceReader(self, piece, cursor)
                batch = reader.read()
                rejects = reader.rejects()
                piece.done()
                return work(cursor, batch), rejects
        finally:
            idle.append(connection)

    def _collected(self, done: Future[tuple[_T, pa.Table]]) -> _T:
        result, rejects = done.result()
        self._rejects.append(rejects)
        return result

    def _of_one_worker(self, workers: int) -> Settings:
        value, unit = re.split(r"\s?(?=[A-Z])", self.settings.memory_limit, maxsplit=1)
        share = f"{float(value) / workers:.3f}{unit}"
        return self.settings.model_copy(update={"threads": 1, "memory_limit": share})

    def rejects(self) -> pa.Table:
        """See `Records.rejects`."""
        return pa.concat_tables([_REJECTS_SCHEMA.empty_table(), *self._rejects])


@contextmanager
def _memory_kept_by_c_library() -> Iterator[None]:
    """Have Arrow allocate as everything else does: its own allocator gives memory back between two pieces.

    The kernel would have to clear it again, which is a twentieth of the CPU that landing takes.
    """
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


@dataclass
class _PieceReader:
    """Reads one piece. Its rejected records stand in a table of the cursor's until they are numbered."""

    records: CsvRecords
    piece: Piece
    cursor: duckdb.DuckDBPyConnection
    _rejected: Rejected | None = None
    _lines: RowLines | None = None

    def read(self) -> Batch:
        """Return the piece as one batch."""
        table = read_plain(self.piece, self.records.text_format, self.records.positions)
        if table is not None:
            self._rejected, self._lines = NONE_REJECTED, consecutive_lines(self.piece.text)
            return Batch(table, self._lines_of(0, table.num_rows))
        with self.piece.on_disk():
            self._forget_rejects()
            # A relation is read by all threads and keeps its order; a cursor's result is fetched by one.
            sql = self._select_sql(_REJECTS)
            table = self._guarded(lambda: self.cursor.sql(sql).to_arrow_table())
            self._number(table.num_rows)
        return Batch(table, self._lines_of(0, table.num_rows))

    def stream(self) -> Iterator[Batch]:
        """Yield the piece in batches, after a first reading that numbers the rows."""
        self._forget_rejects()
        columns = ", ".join(f"count({raw_column(position)})" for position in self.records.positions)
        # All of the result: only then are the rejects in their table.
        counting = f"select count(*), {columns or 1} from {self._source(_REJECTS)}"
        ((rows, *_),) = self._guarded(lambda: self.cursor.execute(counting).fetchall())
        self._number(int(rows))
        start = 0
        sql = self._select_sql(None)
        # A cursor of its own: what is done with a batch must not end the reading.
        reader = self._guarded(lambda: self.cursor.cursor().execute(sql).to_arrow_reader(_BATCH_ROWS))
        while (batch := self._guarded(lambda: next(reader, None))) is not None:
            yield Batch(pa.Table.from_batches([batch]), self._lines_of(start, batch.num_rows))
            start += batch.num_rows
        if start != rows:
            raise AssertionError(f"{rows} rows counted, {start} read")

    def rejects(self) -> pa.Table:
        """Return the piece's rejected records: source_line, kind, message."""
        if self._rejected is None or self._lines is None:
            raise AssertionError("a piece is numbered before its rejects are asked for")
        places = pa.table(
            {
                "byte_offset": self._rejected.offsets[self._lines.rejected_record],
                "source_line": self._lines.rejected_line + self.piece.lines_before,
            }
        )
        if not places.num_rows:
            return _REJECTS_SCHEMA.empty_table()
        return self._reasons(places)

    def _select_sql(self, rejects_table: str | None) -> str:
        columns = ", ".join(map(raw_column, self.records.positions)) or NO_COLUMN
        return f"select {columns} from {self._source(rejects_table)}"

    def _source(self, rejects_table: str | None) -> str:
        return read_csv_sql(self.piece.text, self.records.text_format, rejects_table=rejects_table)

    def _guarded(self, read: Callable[[], _T]) -> _T:
        import duckdb

        try:
            return read()
        except duckdb.Error as error:
            raise TidewaiterError(
                Problem(
                    f"the file cannot be read: {str(error).splitlines()[0]}",
                    where=self.records.where,
                    next_step="tidewaiter config show tells memory_limit; see format in the contract",
                )
            ) from None

    def _forget_rejects(self) -> None:
        self.cursor.execute(f"drop table if exists {_REJECTS}; drop table if exists {_REJECTS}_scans")

    def _number(self, rows: int) -> None:
        """Find the line of every row and of every rejected record."""
        text, rejected = self.piece.text, self._find_rejected()
        if not self.piece.is_whole and rejected.is_open_quote.any():
            raise CutsUncertain
        if rows_fill_all_lines(text, rows, rejected.offsets.size) and not rejected.offsets.size:
            lines = consecutive_lines(text)
        else:
            lines = self._locate(rows, rejected)
        self._rejected, self._lines = rejected, lines

    def _lines_of(self, start: int, rows: int) -> Integers:
        if self._lines is None:
            raise AssertionError("a piece is numbered before its rows are handed on")
        numbers = np.arange(start, start + rows, dtype=np.int64)
        shift = self._lines.shift
        if shift.size > 1:
            shift = shift[np.searchsorted(self._lines.shift_from_row, numbers, side="right") - 1]
        return numbers + shift + self.piece.lines_before if rows else numbers

    def _find_rejected(self) -> Rejected:
        """Return the rejected records by place. A record may be rejected for several faults."""
        found = self.cursor.execute(f"""
            select
                line_byte_position - 1 as offset,
                max(len(text) - len(replace(text, {_LINE_FEED}, ''))) as extra,
                bool_or(error_type = '{_OPEN_QUOTE}') as is_open_quote,
                bool_or(error_type = '{_OPEN_QUOTE}' and len(csv_line) >= {_KEPT_CHARACTERS}) as is_cut
            from (select *, trim(csv_line, chr(13) || {_LINE_FEED}) as text from {_REJECTS})
            group by all order by all
        """).fetchnumpy()
        if found["is_cut"].any() and self.piece.is_whole:
            raise TidewaiterError(
                Problem(
                    f"a quote is opened in the record at byte {found['offset'][found['is_cut']][0]}"
                    f" and not closed within {_KEPT_CHARACTERS} characters",
                    where=self.records.where,
                    expected="every quote that opens a value to close it",
                    next_step="correct format.quote in the contract, or have the file sent again",
                )
            )
        return Rejected(
            found["offset"].astype(np.int64),
            found["extra"].astype(np.int64),
            found["is_open_quote"].astype(bool),
        )

    def _locate(self, rows: int, rejected: Rejected) -> RowLines:
        extra, blank = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        if not rows_fill_all_lines(self.piece.text, rows, rejected.offsets.size):
            # A name of its own: pieces are read side by side.
            extents = self.records.folder / f"extents-{self.piece.text.path.stem}.parquet"
            copying = f"copy ({self._extents_sql(self._source(None))}) to {quote_literal(extents)}"
            self._guarded(lambda: self.cursor.execute(copying))
            found = self.cursor.execute(
                f"select file_row_number, extra, blank from"
                f" read_parquet({quote_literal(extents)}, file_row_number = true) where extra > 0"
            ).fetchnumpy()
            extra[found["file_row_number"]] = found["extra"]
            blank[found["file_row_number"]] = found["blank"]
            extents.unlink()
        return locate_rows(self.piece.text, rejected, extra, blank, self.records.where)

    def _extents_sql(self, source: str) -> str:
        """Return SQL of the line feeds, and of the blank lines, that each row's values hold."""
        raws = [raw_column(position) for position in range(len(self.piece.text.header))]
        extra = " + ".join(f"len({raw}) - len(replace({raw}, {_LINE_FEED}, ''))" for raw in raws)
        blank = " + ".join(
            f"case when contains({raw}, {_LINE_FEED}) then len(list_filter("
            f"string_split({raw}, {_LINE_FEED})[2:-2], lambda part: part in ('', chr(13)))) else 0 end"
            for raw in raws
        )
        return f"select {extra} as extra, {blank} as blank from {source}"

    def _reasons(self, places: pa.Table) -> pa.Table:
        """Return the reasons of rejected records by line.

        One fault is noted for each missing or added column; the lowest or highest is the count.
        """
        kinds = " ".join(
            f"when {quote_literal(error)} then {quote_literal(kind)}"
            for error, kind in _UNREADABLE_KINDS.items()
        )
        self.cursor.register("places", places)
        return self.cursor.execute(f"""
            with faults as (
                select
                    line_byte_position - 1 as byte_offset,
                    case error_type {kinds} else lower(error_type::VARCHAR) end as kind,
                    error_type = 'MISSING COLUMNS' as is_short,
                    cast(nullif(regexp_extract(error_message, 'Found: ([0-9]+)', 1), '') as BIGINT) as columns
                from {_REJECTS}
            ),
            reasons as (
                select
                    byte_offset,
                    kind,
                    coalesce(': ' || if(is_short, min(columns), max(columns))
                        || ' where the header has {len(self.piece.text.header)}', '') as detail
                from faults group by byte_offset, kind, is_short
            )
            select source_line, kind, kind || detail as message
            from places join reasons using (byte_offset) order by all
        """).to_arrow_table()
