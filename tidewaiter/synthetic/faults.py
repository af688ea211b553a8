"""Faults planted in the raw text, and the ledger that says where they are.

The faults are those of bad transfers and bad entry masks, not of fraud. Each row carries at most one,
and each must send its row to quarantine; the ledger is compared with the quarantine line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidewaiter.synthetic.dialects.spelling import NET_ABOVE_GROSS, RAGGED_LONG, RAGGED_SHORT, FileKind
from tidewaiter.synthetic.forms import Form, ParquetRows, Workbook
from tidewaiter.synthetic.profiles import Request


@dataclass
class Spoiler:
    """Spoils a small share of the rows of one kind of file, piece by piece.

    Attributes:
        ledger: One record per fault so far.
    """

    request: Request
    kind: FileKind
    ledger: list[dict[str, Any]] = field(default_factory=list)
    _pieces: int = 0

    def spoil(self, texts: pa.Table, headers: list[str], file: str, rows_before: int) -> pa.Array:
        """Return the lines of a piece of a file, some of them faulty.

        Args:
            texts: Columns as they should be written, under the names of the dialect.
            headers: Names that they have in this file.
            file: Name of the file, for the ledger.
            rows_before: Rows that the file has already.
        """
        form, faults = self.kind.form, self.kind.faults
        if isinstance(form, ParquetRows | Workbook):
            raise TypeError("text is spoilt, not tables")
        rows, kinds = self._draw(texts.num_rows)
        spoilt = texts
        for index, fault in enumerate(faults):
            if fault.column and (kinds == index).any():
                spoilt = self._spoil_column(spoilt, index, rows[kinds == index])
        lines = form.lines(spoilt.rename_columns(headers) if headers != texts.column_names else spoilt)
        for index, fault in enumerate(faults):
            change = {RAGGED_SHORT: form.cut, RAGGED_LONG: form.lengthened}.get(fault.kind)
            if change is not None:
                lines = _replace(lines, rows[kinds == index], change)
        first = rows_before + form.first_line
        renamed = dict(zip(texts.column_names, headers, strict=True))
        self.ledger += [
            self._record(form, texts, spoilt, lines, row, kind, renamed) | {"file": file, "line": row + first}
            for row, kind in zip(rows.tolist(), kinds.tolist(), strict=True)
        ]
        return lines

    def _draw(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Choose rows, and for each the kind of its fault; kinds take turns over all pieces."""
        random = self.request.stream(f"faults-{self.kind.source}", self._pieces)
        self._pieces += 1
        if not self.kind.faults:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        expected = self.request.world.fault_share * size
        number = int(expected + random.random())
        rows = np.sort(random.choice(size, min(number, size), replace=False))
        turns = (len(self.ledger) + np.arange(rows.size)) % len(self.kind.faults)
        return rows, random.permutation(turns)

    def _spoil_column(self, texts: pa.Table, index: int, rows: np.ndarray) -> pa.Table:
        fault = self.kind.faults[index]
        position = texts.column_names.index(fault.column)
        column = texts[fault.column].combine_chunks()
        if fault.kind == NET_ABOVE_GROSS:
            gross = texts[self.kind.gross_column].combine_chunks()
            # A leading nine makes any spelling of the gross mass larger, whatever its marks.
            spoilt = _replace(column, rows, lambda _: pc.binary_join_element_wise("9", gross.take(rows), ""))
        else:
            spoilt = _replace(column, rows, lambda found: pa.array([fault.text] * len(found), pa.string()))
        return texts.set_column(position, fault.column, spoilt)

    def _record(
        self,
        form: Form,
        clean: pa.Table,
        spoilt: pa.Table,
        lines: pa.Array,
        row: int,
        index: int,
        renamed: dict[str, str],
    ) -> dict[str, Any]:
        """Describe one fault: `text` is what the column says now, or the whole line where that is broken."""
        fault = self.kind.faults[index]
        declaration, item = self.kind.key_columns
        text = spoilt[fault.column][row].as_py() if fault.column else lines[row].as_py()
        return {
            "kind": fault.kind,
            "field": fault.field or None,
            "column": renamed[fault.column] if fault.column else None,
            "text": form.null_text if text is None else text,
            "declaration_id": clean[declaration][row].as_py() if declaration else None,
            "item_no": int(clean[item][row].as_py()) if item else None,
        }


def _replace(values: pa.Array, rows: np.ndarray, change: Callable[[pa.Array], pa.Array | None]) -> pa.Array:
    if rows.size == 0:
        return values
    changed = change(values.take(pa.array(rows)))
    if changed is None:
        raise ValueError("this form has no such fault")
    mask = np.zeros(len(values), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(values, pa.array(mask), changed)
