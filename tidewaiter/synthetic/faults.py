"""Faults planted in the raw text, and the ledger that says where they are.

The faults are those of bad transfers and bad entry masks, not of fraud. Each row carries at most one,
and each must send its row to quarantine; the ledger is compared with the quarantine line by line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidewaiter.synthetic.dialects import Dialect
from tidewaiter.synthetic.profiles import Request
from tidewaiter.synthetic.writing import FileSlice, join_lines

RAGGED_SHORT = "ragged_short"
RAGGED_LONG = "ragged_long"
_FIELDS_CUT = 3
_KINDS: tuple[tuple[str, str], ...] = (
    ("unparsable_number", "declared_value"),
    ("impossible_date", "registered_at"),
    ("unknown_lane_code", "lane_initial_code"),
    ("net_above_gross", "net_kg"),
    ("missing_required", "declaration_id"),
    (RAGGED_SHORT, ""),
    ("missing_required", "hs6"),
    ("missing_required", "declared_value"),
    (RAGGED_LONG, ""),
)


@dataclass(frozen=True)
class SpoiltLines:
    """The lines of all files, faults included.

    Attributes:
        lines: One per row, in order of `row_no`.
        row_no: Rows that carry a fault, ascending.
        kind: Index into the kinds of fault, one per entry of `row_no`.
        texts: The spelt columns with the faults in them.
    """

    lines: pa.Array
    row_no: np.ndarray
    kind: np.ndarray
    texts: pa.Table


def plant_faults(request: Request, dialect: Dialect, texts: pa.Table) -> SpoiltLines:
    """Spoil a small share of the rows and join the lines."""
    random = request.stream("faults")
    faults = round(request.world.fault_share * texts.num_rows)
    rows = np.sort(random.choice(texts.num_rows, faults, replace=False))
    kinds = random.permutation(np.arange(faults) % len(_KINDS))
    spoilt = texts
    for index, (kind, field) in enumerate(_KINDS):
        if field:
            spoilt = _spoil_column(spoilt, dialect, kind, field, rows[kinds == index])
    lines = join_lines(spoilt, dialect)
    lines = _replace(lines, rows[kinds == _index_of(RAGGED_SHORT)], lambda found: _cut(found, dialect))
    lines = _replace(
        lines,
        rows[kinds == _index_of(RAGGED_LONG)],
        lambda found: pc.binary_join_element_wise(found, "?", dialect.delimiter),
    )
    return SpoiltLines(lines=lines, row_no=rows, kind=kinds, texts=spoilt)


def write_ledger(
    spoilt: SpoiltLines, clean: pa.Table, files: list[FileSlice], dialect: Dialect, folder: str
) -> list[dict[str, Any]]:
    """Return one record per fault: file (relative to the member's folder), line from 1, kind, column.

    `declaration_id` and `item_no` are those of the row before it was spoilt; `text` is what the
    column says now, or the whole line where the line itself is broken.
    """
    id_header = dialect.faults.fields["declaration_id"]
    item_header = next(header for header, sql in dialect.columns.items() if "item_no" in sql)
    starts = np.array([file.first_row for file in files])
    records = []
    for row, kind_index in zip(spoilt.row_no.tolist(), spoilt.kind.tolist(), strict=True):
        kind, field = _KINDS[kind_index]
        file = files[int(np.searchsorted(starts, row, side="right")) - 1]
        header = dialect.faults.fields[field] if field else None
        text = spoilt.texts[header][row].as_py() if header else spoilt.lines[row].as_py()
        records.append(
            {
                "file": f"{folder}/{file.name}",
                "line": row - file.first_row + 2,
                "kind": kind,
                "field": field or None,
                "column": header,
                "text": dialect.null_text if text is None else text,
                "declaration_id": clean[id_header][row].as_py(),
                "item_no": int(clean[item_header][row].as_py()),
            }
        )
    return records


def _spoil_column(texts: pa.Table, dialect: Dialect, kind: str, field: str, rows: np.ndarray) -> pa.Table:
    header = dialect.faults.fields[field]
    position = texts.column_names.index(header)
    column = texts[header].combine_chunks()
    if kind == "net_above_gross":
        gross = texts[dialect.faults.fields["gross_kg"]].combine_chunks()
        # A leading nine makes any spelling of the gross mass larger, whatever its marks.
        spoilt = _replace(column, rows, lambda _: pc.binary_join_element_wise("9", gross.take(rows), ""))
    else:
        wrong: Mapping[str, str | None] = {
            "unparsable_number": dialect.faults.number,
            "impossible_date": dialect.faults.date,
            "unknown_lane_code": dialect.faults.lane,
            "missing_required": None,
        }
        spoilt = _replace(column, rows, lambda found: pa.array([wrong[kind]] * len(found), pa.string()))
    return texts.set_column(position, header, spoilt)


def _cut(lines: pa.Array, dialect: Dialect) -> pa.Array:
    mark = f"[{dialect.delimiter}]"
    return pc.replace_substring_regex(
        lines, pattern=f"({mark}[^{dialect.delimiter}]*){{{_FIELDS_CUT}}}$", replacement=""
    )


def _replace(values: pa.Array, rows: np.ndarray, change: Any) -> pa.Array:
    if rows.size == 0:
        return values
    mask = np.zeros(len(values), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(values, pa.array(mask), change(values.take(pa.array(rows))))


def _index_of(kind: str) -> int:
    return [name for name, _ in _KINDS].index(kind)
