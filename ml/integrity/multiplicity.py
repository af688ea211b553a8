"""Control of false discoveries within a family, and over repeated looks.

A family is everything that one indicator tests for one member in one period. Where it holds units of
several kinds, each kind gets the same share of the level, by weights whose mean is one (Genovese, Roeder,
Wasserman, 2006, "False discovery control with p-value weighting", Biometrika 93).

Looks that come again spend the level over a term: with 24 looks in it, each is held to a 24th. Then the
expected share of false ones among the flagged, and in a world without wrong-doing the probability that
anything at all is flagged within the term, stay at or under the level (Bonferroni over looks; Lan and
DeMets, 1983, for spending in general).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Correction = Literal["benjamini-hochberg", "benjamini-yekutieli"]
_METHODS = {"benjamini-hochberg": "bh", "benjamini-yekutieli": "by"}

Floats = NDArray[np.float64]


def q_values(
    p_values: Floats, correction: Correction, kinds: NDArray[np.object_] | None = None, looks: int = 1
) -> Floats:
    """Return adjusted p-values: flag where they are at or under the level.

    Args:
        p_values: Of one family; NaN where nothing was tested.
        correction: Benjamini-Hochberg, or Benjamini-Yekutieli where tests may depend on each other in any
            way.
        kinds: Kind of unit of each; kinds share the level evenly.
        looks: Number of looks in a term, over which the level is spent evenly.
    """
    adjusted = np.full(p_values.shape, np.nan)
    tested = np.isfinite(p_values)
    if not tested.any():
        return adjusted
    weighted = p_values[tested] / _weights(kinds[tested] if kinds is not None else None, int(tested.sum()))
    found = stats.false_discovery_control(np.minimum(weighted, 1.0), method=_METHODS[correction])
    adjusted[tested] = np.minimum(found * looks, 1.0)
    return adjusted


def _weights(kinds: NDArray[np.object_] | None, size: int) -> Floats:
    if kinds is None:
        return np.ones(size)
    _, place, counts = np.unique(kinds.astype(str), return_inverse=True, return_counts=True)
    weights: Floats = size / (counts.size * counts[place])
    return weights
