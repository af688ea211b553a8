"""Reading a file once: every record is mapped and checked on the way, and none goes missing.

The result is staged as Parquet in the order of the file, so that memory stays bounded and a row's
number is its place in the staged file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.checks import PROBLEMS_TYPE, is_faulty_sql, problems_sql, row_checks
from tidewaiter.landing.lines import (
    Rejected,
    RowLines,
    consecutive_lines,
    locate_rows,
    rows_fill_all_lines,
)
from tidewaiter.landing.mapping import Mapping
from tidewaiter.landing.source import read_csv_sql
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.contracts import CsvFormat
    from tidewaiter.landing.text import PreparedText

# The numbered rows of the file: canonical columns in clear, problems, source_line; raw text if faulty.
STAGED = "staged"
# One row per line that could not be split into columns: source_line, problems.
UNREADABLE = "unreadable"

_REJECTS = "rejects"
_LINE_FEED = "chr(10)"
_OPEN_QUOTE = "UNQUOTED VALUE"
# DuckDB keeps so much of a rejected record; of a longer one the extent is unknown.
_KEPT_CHARACTERS = 10_000

# Kinds of fault by DuckDB's error type; what the row itself shows is added in the message.
_UNREADABLE_KINDS = {
    "MISSING COLUMNS": "the line has too few columns",
    "TOO MANY COLUMNS": "the line has too many columns",
    _OPEN_QUOTE: "a quote is opened or closed within a value",
    "INVALID ENCODING": "the line has bytes that are not of the file's encoding",
    "LINE SIZE OVER MAXIMUM": "the line is longer than 2,000,000 bytes",
}


@dataclass(frozen=True)
class FileReader:
    """One file that is read with DuckDB.

    Attributes:
        connection: Where the relations `staged` and `unreadable` are made.
        text: The readable file.
        text_format: Its dialect.
        mapping: How its rows become canonical.
        folder: Work folder for staged Parquet.
        where: Member and file, for messages.
    """

    connection: duckdb.DuckDBPyConnection
    text: PreparedText
    text_format: CsvFormat
    mapping: Mapping
    folder: Path
    where: str

    def stage(self) -> None:
        """Map and check every row, and make the relations `staged` and `unreadable`.

        Raises:
            TidewaiterError: The file cannot be read, or lines would be lost.
        """
        staged = self.folder / "staged.parquet"
        self._copy(self._staged_sql(), staged)
        rows = self._count_staged(staged)
        rejected = self._rejected()
        if rows_fill_all_lines(self.text, rows, rejected.offsets.size) and not rejected.offsets.size:
            lines = consecutive_lines(self.text)
        else:
            lines = self._locate(rows, rejected)
        self._make_staged(staged, lines)
        self._make_unreadable(rejected, lines)

    def reread_raw_sql(self) -> str:
        """Return SQL of `source_line` and the raw text of every row, from a second reading.

        For rows that were sound when they were staged, of which no raw text was kept.
        """
        raws = ", ".join(column.raw for column in self.mapping.columns)
        again = self.folder / "reread.parquet"
        self._copy(f"select {raws} from {read_csv_sql(self.text, self.text_format)}", again)
        return (
            f"select numbered.source_line, {_qualified('again', self._raws)} from"
            f" read_parquet({quote_literal(again)}, file_row_number = true) as again"
            f" join {STAGED} as numbered using (file_row_number)"
        )

    @property
    def _raws(self) -> list[str]:
        return [column.raw for column in self.mapping.columns]

    def _staged_sql(self) -> str:
        checks = row_checks(self.mapping)
        source = read_csv_sql(self.text, self.text_format, rejects_table=_REJECTS)
        canonical = ", ".join(quote_identifier(field.name) for field in self.mapping.dataset.fields)
        raws = "".join(f", case when is_faulty then {raw} end as {raw}" for raw in self._raws)
        return (
            f"{self.mapping.typed_layers(source)},\n"
            f"checked as (select *, ({is_faulty_sql(checks)}) as is_faulty from typed)\n"
            f"select {canonical}, case when is_faulty then {problems_sql(checks)} end as problems{raws}"
            " from checked"
        )

    def _copy(self, query: str, target: Path) -> None:
        import duckdb

        try:
            self.connection.execute(
                f"copy ({query}) to {quote_literal(target)} (format parquet, compression lz4)"
            )
        except duckdb.Error as error:
            raise TidewaiterError(
                Problem(
                    f"the file cannot be read: {str(error).splitlines()[0]}",
                    where=self.where,
                    next_step="tidewaiter config show tells memory_limit; see format in the contract",
                )
            ) from None

    def _count_staged(self, staged: Path) -> int:
        row = self.connection.execute(
            f"select count(*) from read_parquet({quote_literal(staged)})"
        ).fetchone()
        return int(row[0]) if row else 0

    def _rejected(self) -> Rejected:
        """Return the rejected records by place. A record may be rejected for several faults."""
        found = self.connection.execute(f"""
            select
                line_byte_position - 1 as offset,
                max(len(text) - len(replace(text, {_LINE_FEED}, ''))) as extra,
                bool_or(error_type = '{_OPEN_QUOTE}') as is_open_quote,
                bool_or(error_type = '{_OPEN_QUOTE}' and len(csv_line) >= {_KEPT_CHARACTERS}) as is_cut
            from (select *, trim(csv_line, chr(13) || {_LINE_FEED}) as text from {_REJECTS})
            group by all order by all
        """).fetchnumpy()
        if found["is_cut"].any():
            raise TidewaiterError(
                Problem(
                    f"a quote is opened in the record at byte {found['offset'][found['is_cut']][0]}"
                    f" and not closed within {_KEPT_CHARACTERS} characters",
                    where=self.where,
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
        if not rows_fill_all_lines(self.text, rows, rejected.offsets.size):
            extents = self.folder / "extents.parquet"
            self._copy(self._extents_sql(), extents)
            found = self.connection.execute(
                f"select file_row_number, extra, blank from"
                f" read_parquet({quote_literal(extents)}, file_row_number = true) where extra > 0"
            ).fetchnumpy()
            extra[found["file_row_number"]] = found["extra"]
            blank[found["file_row_number"]] = found["blank"]
        return locate_rows(self.text, rejected, extra, blank, self.where)

    def _extents_sql(self) -> str:
        """Return SQL of the line feeds, and of the blank lines, that each row's values hold."""
        raws = [f"raw_{position}" for position in range(len(self.text.header))]
        extra = " + ".join(f"len({raw}) - len(replace({raw}, {_LINE_FEED}, ''))" for raw in raws)
        blank = " + ".join(
            f"case when contains({raw}, {_LINE_FEED}) then len(list_filter("
            f"string_split({raw}, {_LINE_FEED})[2:-2], lambda part: part in ('', chr(13)))) else 0 end"
            for raw in raws
        )
        source = read_csv_sql(self.text, self.text_format)
        return f"select {extra} as extra, {blank} as blank from {source}"

    def _make_staged(self, staged: Path, lines: RowLines) -> None:
        rows = f"read_parquet({quote_literal(staged)}, file_row_number = true)"
        if lines.shift.size <= 1:
            shift = int(lines.shift[0]) if lines.shift.size else 0
            self.connection.execute(
                f"create view {STAGED} as select *, file_row_number + {shift} as source_line from {rows}"
            )
            return
        self._make_table("shifts", {"from_row": lines.shift_from_row, "shift": lines.shift})
        self.connection.execute(
            f"create view {STAGED} as select numbered.*, file_row_number + shift as source_line"
            f" from {rows} as numbered asof join shifts on file_row_number >= from_row"
        )

    def _make_unreadable(self, rejected: Rejected, lines: RowLines) -> None:
        self._make_table(
            "rejected_lines",
            {"byte_offset": rejected.offsets[lines.rejected_record], "source_line": lines.rejected_line},
        )
        kinds = " ".join(
            f"when {quote_literal(error)} then {quote_literal(kind)}"
            for error, kind in _UNREADABLE_KINDS.items()
        )
        self.connection.execute(f"""
            create table {UNREADABLE} as
            with faults as (
                select
                    line_byte_position - 1 as byte_offset,
                    case error_type {kinds} else lower(error_type::VARCHAR) end as kind,
                    error_type = 'MISSING COLUMNS' as is_short,
                    cast(nullif(regexp_extract(error_message, 'Found: ([0-9]+)', 1), '') as BIGINT) as columns
                from {_REJECTS}
            ),
            -- One fault is noted for each missing or added column; the lowest or highest is the count.
            reasons as (
                select
                    byte_offset,
                    kind,
                    coalesce(': ' || if(is_short, min(columns), max(columns))
                        || ' where the header has {len(self.text.header)}', '') as detail
                from faults group by byte_offset, kind, is_short
            ),
            records as (
                select
                    byte_offset,
                    cast(list({{'kind': kind, 'message': kind || detail}} order by kind, detail)
                        as {PROBLEMS_TYPE}) as problems
                from reasons group by byte_offset
            )
            select source_line, problems from rejected_lines join records using (byte_offset)
        """)

    def _make_table(self, name: str, columns: dict[str, np.ndarray]) -> None:
        arrow = pa.table(columns)
        self.connection.register("handed_over", arrow)
        self.connection.execute(f"create table {name} as select * from handed_over")
        self.connection.unregister("handed_over")


def _qualified(relation: str, columns: list[str]) -> str:
    return ", ".join(f"{relation}.{column}" for column in columns)
