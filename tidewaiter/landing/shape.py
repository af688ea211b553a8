"""The shape of landed Parquet: which columns, of which type, and what is the same on every row."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tidewaiter import files
from tidewaiter.landing.staged import SOURCE_LINE
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.landing.mapping import Mapping as ContractMapping
    from tidewaiter.landing.raw import StoredRaw

_ROW_GROUP_ROWS = 122_880
# A column whose values rarely repeat gains nothing from a dictionary, which costs half its writing.
_SAMPLE_ROWS = 20_000
_DICTIONARY_AT_MOST = 0.5
# Numbers that rarely repeat are stored by their differences, which is smaller than compressing them and
# costs a third of it. Texts that rarely repeat are pseudonyms for the most part: digits without a pattern.
_BY_DIFFERENCES = "DELTA_BINARY_PACKED"
_MOST_DIGITS_OF_INTEGER = 18
# CPU matters more here than the last third of size: a fifth less of it than zstd takes.
_OPTIONS: dict[str, Any] = {
    "compression": "snappy",
    "store_decimal_as_integer": True,  # what DuckDB writes itself, and half the bytes
    "store_schema": False,  # readers see plain columns, not Arrow's dictionaries
}


class LandedShape:
    """How the rows of one extract stand in `rows.parquet`.

    Attributes:
        schema: Canonical and lineage columns in order.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, mapping: ContractMapping, raw: StoredRaw
    ) -> None:
        lineage = {"extract_id": quote_literal(raw.extract_id), "source_file": quote_literal(raw.file_name)}
        columns = mapping.dataset.landed_columns
        same = mapping.fixed | lineage
        selected = ", ".join(
            f"cast({same.get(name, 'null')} as {kind}) as {quote_identifier(name)}"
            for name, kind in columns.items()
        )
        constants = connection.execute(f"select {selected}").to_arrow_table()
        self.schema = constants.schema
        self._varying = {*mapping.varying, SOURCE_LINE}
        self._constants = constants
        self._made: dict[str, pa.Array] = {}

    def options(self, sample: pa.Table | None = None) -> dict[str, Any]:
        """Return the options of the Parquet writer.

        Args:
            sample: Landed rows, the first of which decide which columns are worth a dictionary.
        """
        if sample is None or not sample.num_rows:
            return _OPTIONS
        some = sample.slice(0, _SAMPLE_ROWS)
        most = _DICTIONARY_AT_MOST * some.num_rows
        repeating = [name for name in some.column_names if pc.count_distinct(some[name]).as_py() <= most]
        others = [field for field in self.schema if field.name not in repeating]
        return _OPTIONS | {
            "use_dictionary": repeating,
            "compression": {name: _OPTIONS["compression"] for name in repeating}
            | {field.name: "none" for field in others},
            "column_encoding": {
                field.name: _BY_DIFFERENCES for field in others if _is_stored_as_integer(field)
            },
        }

    def landed(self, columns: Mapping[str, pa.Array], rows: int) -> pa.Table:
        """Return converted rows as they are landed: dictionaries taken apart, constants filled in.

        Args:
            columns: Canonical columns that vary, and `source_line`; others are left out.
            rows: How many rows there are.
        """
        return pa.Table.from_arrays(
            [self._column(field, columns, rows) for field in self.schema], schema=self.schema
        )

    def _column(self, field: pa.Field, columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
        if field.name not in self._varying:
            return self._constant(field, rows)
        column = columns[field.name]
        if isinstance(column, pa.DictionaryArray):
            return column.dictionary.cast(field.type).take(column.indices)
        return column.cast(field.type)

    def _constant(self, field: pa.Field, rows: int) -> pa.Array:
        """Return a column that is the same on every row; what is long enough serves for all batches."""
        value = self._constants[field.name][0]
        name = field.name if value.is_valid else str(field.type)
        made = self._made.get(name)
        if made is None or len(made) < rows:
            made = pa.repeat(value, rows) if value.is_valid else pa.nulls(rows, field.type)
            self._made[name] = made
        return made.slice(0, rows)


class RowsWriter:
    """Writes landed rows to one Parquet file, in the order in which they come.

    Rows are written by a thread of its own while the caller makes the next ones.

    Attributes:
        shape: How the rows stand in the file.
    """

    def __init__(self, path: Path, shape: LandedShape) -> None:
        self.shape = shape
        self._path = path
        self._writer: Any = None
        self._opened = ExitStack()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, rows: pa.Table) -> None:
        """Append landed rows once those before them are written; the first ones decide the encoding."""
        if self._writer is None:
            self._open(self.shape.options(rows))
        self._wait()
        self._writing = self._thread.submit(self._write, rows)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._opened:
            try:
                self._wait()
            finally:
                self._thread.shutdown()
                if self._writer is None:
                    self._open(self.shape.options())
                self._writer.close()

    def _open(self, options: dict[str, Any]) -> None:
        self._writer = pq.ParquetWriter(self._path, self.shape.schema, **options)
        file = self._opened.enter_context(self._path.open("rb"))
        self._early = files.WrittenEarly(file.fileno(), is_read_again=True)

    def _write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=_ROW_GROUP_ROWS)
        self._early.wrote(self._path.stat().st_size)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()


def _is_stored_as_integer(field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_decimal(kind):
        return bool(kind.precision <= _MOST_DIGITS_OF_INTEGER)
    return bool(pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date32(kind))
