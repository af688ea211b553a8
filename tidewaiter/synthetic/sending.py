"""Writing what one member sends: tables are spelt by DuckDB, joined by Arrow, appended file by file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tidewaiter.synthetic.dialects import Dialect, FileKind, Source
from tidewaiter.synthetic.events import event_log
from tidewaiter.synthetic.faults import Spoiler
from tidewaiter.synthetic.forms import ParquetRows, TextFile, Workbook, write_parquet, write_workbook
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.tables import ChunkTables
from tidewaiter.warehouse import quote_identifier, quote_literal

_ROWS_PER_PIECE = 60_000
_OF_CHUNKS: tuple[Source, ...] = ("items", "headers", "events")


@dataclass
class _Growing:
    """A kind of file that is written chunk by chunk, and what waits to be written."""

    kind: FileKind
    spoiler: Spoiler
    file: TextFile | None = None
    number: int = -1
    waiting: list[pa.Table] = field(default_factory=list)


class Sending:
    """What one member sends.

    Attributes:
        folder: Where the files go.
        rows: Rows of declaration items so far.
    """

    def __init__(self, setting: Setting, dialect: Dialect, folder: Path) -> None:
        self.folder = folder
        self.rows = 0
        self._setting = setting
        self._request = setting.request
        self._dialect = dialect
        # One thread, so that rows keep their order without sorting.
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        self._growing = [
            _Growing(kind, Spoiler(self._request, kind)) for kind in dialect.files_of(*_OF_CHUNKS)
        ]
        self._ledger: list[dict[str, Any]] = []

    def add(self, tables: ChunkTables, month: int) -> None:
        """Send a chunk; chunks come in order of time."""
        if not self._growing:
            return
        self.rows += tables.items.num_rows
        sources = {"items": tables.items, "headers": tables.headers}
        if any(growing.kind.source == "events" for growing in self._growing):
            sources["events"] = event_log(self._connection, tables, self._request.end_s)
        for growing in self._growing:
            self._turn_over(growing, month)
            growing.waiting.append(self.spell(growing.kind, sources[growing.kind.source]))
            if sum(table.num_rows for table in growing.waiting) >= _ROWS_PER_PIECE:
                self._write(growing)

    def add_table(self, kind: FileKind, table: pa.Table) -> None:
        """Send a table that does not come chunk by chunk; split by its column `month` where asked."""
        if not kind.is_split:
            self._write_table(kind, self.spell(kind, table), *self._bounds(0, whole=True))
            return
        first = self._request.first_day.astype("datetime64[M]")
        month = (table["month"].to_numpy().astype("datetime64[M]") - first).astype(np.int64)
        spoiler = Spoiler(self._request, kind)
        number = month // self._months_per_file
        for one in np.unique(number):
            part = table.filter(pa.array(number == one))
            self._write_table(kind, self.spell(kind, part), *self._bounds(int(one)), spoiler=spoiler)
        self._ledger += spoiler.ledger

    def close(self) -> list[dict[str, Any]]:
        """Finish all files and return the ledger of their faults."""
        for growing in self._growing:
            self._finish(growing)
            self._ledger += growing.spoiler.ledger
        self._connection.close()
        return self._ledger

    def spell(self, kind: FileKind, table: pa.Table) -> pa.Table:
        """Return the columns of a kind of file as text, in the order of the table's rows."""
        return self.spell_columns(dict(kind.columns), table, kind.rows)

    def spell_columns(
        self, columns: dict[str, str], table: pa.Table, rows: str = "select * from drawn"
    ) -> pa.Table:
        """Return expressions over a table, or over rows made of it, as text columns."""
        currency = quote_literal(self._request.profile.currency_code)
        projection = ", ".join(f"{sql} as {quote_identifier(header)}" for header, sql in columns.items())
        self._connection.register("drawn", table)
        try:
            return self._connection.sql(
                f"select {projection} from (select *, {currency} as currency_code from ({rows}))"
            ).to_arrow_table()
        finally:
            self._connection.unregister("drawn")

    @property
    def _months_per_file(self) -> int:
        return self._request.profile.months_per_file or self._request.months

    def _bounds(self, number: int, *, whole: bool = False) -> tuple[str, str]:
        """Return the first and last month of a file."""
        first = self._request.first_day.astype("datetime64[M]")
        end = first + self._request.months
        if whole:
            return str(first), str(end - 1)
        begins = first + number * self._months_per_file
        return str(begins), str(min(begins + self._months_per_file, end) - 1)

    def _turn_over(self, growing: _Growing, month: int) -> None:
        number = month // self._months_per_file if growing.kind.is_split else 0
        if number != growing.number:
            self._finish(growing)
            growing.number = number

    def _finish(self, growing: _Growing) -> None:
        self._write(growing)
        if growing.file is not None:
            growing.file.close()
            growing.file = None

    def _write(self, growing: _Growing) -> None:
        if not growing.waiting:
            return
        texts = pa.concat_tables(growing.waiting)
        growing.waiting.clear()
        if not texts.num_rows:
            return
        bounds = self._bounds(growing.number, whole=not growing.kind.is_split)
        if growing.file is None:
            growing.file = self._text_file(growing.kind, *bounds)
        self._append(growing.file, growing.kind, texts, growing.spoiler, bounds[0])

    def _write_table(
        self, kind: FileKind, texts: pa.Table, first: str, last: str, spoiler: Spoiler | None = None
    ) -> None:
        path = self.folder / kind.name(first, last)
        if isinstance(kind.form, ParquetRows):
            write_parquet(path, texts)
        elif isinstance(kind.form, Workbook):
            write_workbook(path, texts, kind.form.sheet)
        else:
            file = self._text_file(kind, first, last)
            self._append(file, kind, texts, spoiler or Spoiler(self._request, kind), first)
            file.close()

    def _text_file(self, kind: FileKind, first: str, last: str) -> TextFile:
        if isinstance(kind.form, ParquetRows | Workbook):
            raise TypeError("a form of tables cannot grow")
        return TextFile(self.folder / kind.name(first, last), kind.form)

    def _append(self, file: TextFile, kind: FileKind, texts: pa.Table, spoiler: Spoiler, first: str) -> None:
        is_renamed = first >= str(self._setting.tariff.changes_on)[:7]
        names = [kind.renamed.get(name, name) if is_renamed else name for name in texts.column_names]
        lines = spoiler.spoil(texts, names, file.path.name, file.rows)
        file.append(names, lines)
