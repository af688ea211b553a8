"""Revenue possibly at stake: files beyond what was expected, times what a file or a finding usually brings.

It is a measure of how much a review may matter, not of a loss: nobody knows what these files held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.integrity.inputs import Inputs

Floats = NDArray[np.float64]
TABLE = "integrity_recoveries"
_TWO_SIDED_95 = 1.959963984540054
_FEWEST_FINDINGS = 30


@dataclass(frozen=True)
class Mean:
    """A mean in USD with its interval of 95 %."""

    value: float
    low: float
    high: float


def usual_recovery(inputs: Inputs, of: Literal["file", "finding"]) -> Mean | None:
    """Return what an examined file, or one with a finding, brought in the period; None with few findings."""
    if not inputs.is_cut(TABLE):
        return None
    (row,) = inputs.query(
        "select sum(files_n) as file, sum(found_files_n) as finding, sum(recovered_usd) as total,"
        f" sum(squared_recovered_usd) as squares from {TABLE}"
    ).to_pylist()
    if not row["finding"] or row["finding"] < _FEWEST_FINDINGS:
        return None
    size, total, squares = float(row[of]), float(row["total"]), float(row["squares"])
    mean = total / size
    error = (max(squares / size - mean**2, 0.0) / size) ** 0.5
    return Mean(mean, max(mean - _TWO_SIDED_95 * error, 0.0), mean + _TWO_SIDED_95 * error)


def stakes(usual: Mean | None, excess: Floats, low: Floats, high: Floats) -> dict[str, Floats | None]:
    """Return the columns of a signal; null where nothing is known of recoveries.

    Args:
        usual: What one of the files brings.
        excess: Files beyond what was expected; less than none is none.
        low: Lower end of its interval.
        high: Upper end of its interval.
    """
    names = ("revenue_at_stake_usd", "revenue_low_usd", "revenue_high_usd")
    if usual is None:
        return dict.fromkeys(names)
    pairs = ((excess, usual.value), (low, usual.low), (high, usual.high))
    return {name: np.maximum(files, 0.0) * usd for name, (files, usd) in zip(names, pairs, strict=True)}
