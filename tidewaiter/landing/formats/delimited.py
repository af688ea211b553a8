"""Delimited text as a source that is staged whole, for what is done to records before they are mapped.

Landing itself reads delimited text in pieces, without staging it: see `landing.read`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from tidewaiter.contracts import CsvFormat
from tidewaiter.landing.formats.opening import Opening
from tidewaiter.landing.pieces import CutsUncertain
from tidewaiter.landing.read import CsvRecords
from tidewaiter.landing.staged import SOURCE_LINE, Staged, raw_column
from tidewaiter.landing.text import PreparedText, prepare_text
from tidewaiter.warehouse import quote_literal


@dataclass(frozen=True)
class CsvSource:
    """One delimited text; `source_line` is the physical line."""

    opening: Opening
    csv_format: CsvFormat
    text: PreparedText = field(init=False)

    def __post_init__(self) -> None:
        text = prepare_text(self.opening.path, self.csv_format, self.opening.folder, self.opening.where)
        object.__setattr__(self, "text", text)

    @property
    def header(self) -> tuple[str, ...]:
        """See `Source.header`."""
        return self.text.header

    def stage(self, positions: Sequence[int]) -> Staged:
        """Write the columns and the rejected records to Parquet; see `Source.stage`."""
        opening = self.opening
        records = CsvRecords(
            opening.connection,
            self.text,
            self.csv_format,
            tuple(positions),
            opening.folder,
            opening.where,
            opening.settings,
        )
        try:
            self._write(records, positions)
        except CutsUncertain:
            records.in_pieces = False
            self._write(records, positions)
        pq.write_table(records.rejects(), opening.folder / "rejects.parquet")
        return opening.staged(self._read("records"), f"{self._read('rejects')} order by all")

    def _write(self, records: CsvRecords, positions: Sequence[int]) -> None:
        schema = pa.schema(
            [(SOURCE_LINE, pa.int64()), *((raw_column(place), pa.string()) for place in positions)]
        )
        with pq.ParquetWriter(self.opening.folder / "records.parquet", schema, compression="lz4") as writer:
            for batch in records.batches(lambda _, batch: batch):
                table = batch.table.append_column(SOURCE_LINE, pa.array(batch.lines))
                writer.write_table(table.select(schema.names).cast(schema))

    def _read(self, name: str) -> str:
        return f"select * from read_parquet({quote_literal(self.opening.folder / f'{name}.parquet')})"
