"""Records that a parser hands over one by one, written to Parquet in bounded batches.

For formats that have no columnar reader: XML and Excel. A record is the list of its values by the
place of their columns; columns that turn up later make later lists longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_ROWS = 10_000
_BATCH_CHARACTERS = 1 << 24


class RowWriter:
    """Writes (number, values, parents, fault) rows; use it as a context manager.

    Attributes:
        rows: Rows written so far.
    """

    _SCHEMA = pa.schema(
        [
            ("number", pa.int64()),
            ("values", pa.list_(pa.string())),
            ("parents", pa.list_(pa.int64())),
            ("fault", pa.string()),
        ]
    )

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, self._SCHEMA, compression="lz4")
        self._pending: list[tuple[int, list[str | None], Sequence[int | None], str | None]] = []
        self._characters = 0
        self.rows = 0

    def add(
        self,
        number: int,
        values: list[str | None],
        parents: Sequence[int | None] = (),
        fault: str | None = None,
    ) -> None:
        """Add one record.

        Args:
            number: Its place in the source.
            values: Texts by column.
            parents: Numbers of the elements around it whose values it shares.
            fault: Why it cannot be read, without a value of it.
        """
        self._pending.append((number, values, parents, fault))
        self._characters += sum(len(value) for value in values if value is not None)
        self.rows += 1
        if len(self._pending) >= _BATCH_ROWS or self._characters > _BATCH_CHARACTERS:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._pending:
            columns = zip(*self._pending, strict=True)
            arrays = [
                pa.array(list(column), kind.type) for column, kind in zip(columns, self._SCHEMA, strict=True)
            ]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._SCHEMA))
        self._pending, self._characters = [], 0
