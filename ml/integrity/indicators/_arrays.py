"""Columns of an Arrow table as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as floats, NaN where null."""
    column: NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return column.astype(np.float64)


def integers(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Return a column without nulls as integers."""
    column: NDArray[np.int64] = table[name].cast(pa.int64()).to_numpy(zero_copy_only=False)
    return column


def groups(table: pa.Table, names: Sequence[str]) -> tuple[NDArray[np.int64], pa.Table]:
    """Return the number of each row's combination of values, and the combinations in that order."""
    combinations = table.select(names).group_by(names, use_threads=False).aggregate([])
    numbered = combinations.append_column("_group", pa.array(np.arange(combinations.num_rows)))
    # A join would lose the order of rows: rows are numbered as well, and put back.
    rows = table.select(names).append_column("_row", pa.array(np.arange(table.num_rows)))
    joined = rows.join(numbered, keys=list(names)).sort_by("_row")
    return integers(joined, "_group"), combinations


def codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Return a number for each different value of a column, in the order of their first rows."""
    encoded: NDArray[np.int64] = (
        table[name].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    )
    return encoded
