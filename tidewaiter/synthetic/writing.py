"""From drawn rows to the text of files: DuckDB spells the columns, Arrow joins the lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidewaiter.synthetic.dialects import Dialect
from tidewaiter.synthetic.profiles import Request
from tidewaiter.synthetic.rows import World
from tidewaiter.warehouse import quote_identifier, quote_literal

_LINES_PER_WRITE = 200_000


@dataclass(frozen=True)
class FileSlice:
    """Rows of one extract: consecutive, because rows are in order of time.

    Attributes:
        name: File name, without folders.
        first_row, end_row: Row numbers, the end exclusive. The first row stands in line 2.
    """

    name: str
    first_row: int
    end_row: int


def spell_items(world: World, request: Request, dialect: Dialect) -> pa.Table:
    """Return the goods lines as text, one column per header, in order of `row_no`."""
    currency = quote_literal(request.profile.currency_code)
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.register("drawn", world.extract)
        return connection.sql(
            f"select {_projection(dialect.columns)}"
            f" from (select *, {currency} as currency_code from drawn) order by row_no"
        ).to_arrow_table()


def spell_rates(world: World, request: Request, dialect: Dialect) -> pa.Table:
    """Return the exchange rates as text, one column per header, in order of validity."""
    table = pa.table({"valid_from": world.rates.valid_from, "units_per_usd": world.rates.units_per_usd})
    currency = quote_literal(request.profile.currency_code)
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.register("drawn", table)
        return connection.sql(
            f"select {_projection(dialect.rate_columns)}"
            f" from (select *, {currency} as currency_code from drawn) as rates order by rates.valid_from"
        ).to_arrow_table()


def slice_files(world: World, request: Request, dialect: Dialect) -> list[FileSlice]:
    """Cut the rows by month of registration into the member's files; empty files are not sent."""
    months_per_file = request.profile.months_per_file or request.months
    seconds = world.extract["registered_s"].to_numpy()
    first = request.first_day.astype("datetime64[M]")
    starts = first + np.arange(0, request.months, months_per_file)
    ends = np.minimum(starts + months_per_file, first + request.months)
    bounds = np.searchsorted(seconds, np.append(starts, ends[-1]).astype("datetime64[s]").astype(np.int64))
    return [
        FileSlice(dialect.file_name(str(start), str(end - 1)), int(low), int(high))
        for start, end, low, high in zip(starts, ends, bounds[:-1], bounds[1:], strict=True)
        if high > low
    ]


def join_lines(texts: pa.Table, dialect: Dialect) -> pa.Array:
    """Return one line per row, without line ends; null becomes the dialect's `null_text`."""
    columns = [
        _in_quotes(column) if header in dialect.quoted else column
        for header, column in zip(texts.column_names, texts.columns, strict=True)
    ]
    lines = pc.binary_join_element_wise(
        *columns, dialect.delimiter, null_handling="replace", null_replacement=dialect.null_text
    )
    return lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines


def write_lines(path: Path, headers: list[str], lines: pa.Array, dialect: Dialect) -> None:
    """Write the header line and the lines, in the dialect's encoding."""
    with path.open("wb") as handle:
        handle.write((dialect.delimiter.join(headers) + "\n").encode(dialect.encoding))
        for start in range(0, len(lines), _LINES_PER_WRITE):
            chunk = lines.slice(start, _LINES_PER_WRITE)
            whole = pa.ListArray.from_arrays(pa.array([0, len(chunk)], pa.int32()), chunk)
            text = pc.binary_join(whole, "\n")[0].as_py()
            handle.write((text + "\n").encode(dialect.encoding))


def _projection(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} as {quote_identifier(header)}" for header, sql in columns.items())


def _in_quotes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    doubled = pc.replace_substring(column, '"', '""')
    return pc.binary_join_element_wise('"', doubled, '"', "")
