"""Parquet: typed columns, read as the text that a customs officer would write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from tidewaiter.contracts import ParquetFormat
from tidewaiter.landing.formats.opening import Opening, no_rejects_sql, numbered
from tidewaiter.landing.staged import Staged, raw_column
from tidewaiter.warehouse import quote_literal

_NESTED = ("STRUCT", "MAP", "UNION")
_FLOATS = ("FLOAT", "DOUBLE")
# One value that is repeated a thousand million times takes a few megabytes. A record of a declaration takes
# more than a byte, were it only for its number.
_MOST_ROWS_PER_BYTE = 10
_COUNTED_FROM_ROWS = 5_000_000


@dataclass(frozen=True)
class ParquetSource:
    """One Parquet file; `source_line` is the number of the row in the file."""

    opening: Opening
    parquet_format: ParquetFormat
    header: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        try:
            names = pq.read_schema(self.opening.path).names
            rows = pq.read_metadata(self.opening.path).num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self.opening.error(f"not a Parquet file: {str(error).splitlines()[0]}") from None
        size = self.opening.path.stat().st_size
        if rows > _COUNTED_FROM_ROWS and rows > _MOST_ROWS_PER_BYTE * size:
            raise self.opening.error(
                f"{rows:,} rows in {size:,} bytes",
                expected=f"at most {_MOST_ROWS_PER_BYTE} rows in a byte: records differ from each other",
                next_step="ask the sender what the file holds",
            )
        object.__setattr__(self, "header", tuple(name.strip() for name in names))

    def stage(self, positions: Sequence[int]) -> Staged:
        """Render the columns as text; see `Source.stage`."""
        # A link, because DuckDB would take a bracket or a star in the name for a pattern.
        readable = self.opening.folder / "source.parquet"
        readable.symlink_to(self.opening.path)
        # Names of the file are data: columns are called by their place.
        names = ", ".join(f"c{position}" for position in range(len(self.header)))
        rows = f"read_parquet({quote_literal(readable)}) as source({names})"
        described = self.opening.execute(f"describe select * from {rows}").fetchall()
        columns = "".join(
            f", {self._as_text(f'c{position}', str(described[position][1]))} as {raw_column(position)}"
            for position in positions
        )
        # Written once more: a broken page must be an error now and not in the midst of a later query.
        text = self.opening.copy(f"select true as is_row{columns} from {rows}", "text.parquet")
        return self.opening.staged(f"select * exclude (is_row) from {numbered(text)}", no_rejects_sql())

    def _as_text(self, column: str, kind: str) -> str:
        if kind.endswith("]") or kind.startswith(_NESTED):
            return f"cast(to_json({column}) as VARCHAR)"
        text = f"cast({column} as VARCHAR)"
        if kind in _FLOATS:
            # Whole numbers that a data frame keeps as floating point are codes as often as not.
            is_whole = f"{column} = trunc({column}) and abs({column}) < 1e15"
            text = f"case when {is_whole} then cast(cast({column} as BIGINT) as VARCHAR) else {text} end"
        if kind in _FLOATS or kind.startswith("DECIMAL"):
            # One mark for all that is read: the other one may be the contract's mark of thousands.
            return f"replace({text}, '.', {quote_literal(self.parquet_format.decimal_mark)})"
        return text
