"""Confidence intervals of effects, each with its method's name and source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
_LEVEL = 0.95


def poisson_interval(observed: Floats, level: float = _LEVEL) -> tuple[Floats, Floats]:
    """Return the exact interval of a count's mean (Garwood, 1936)."""
    tail = (1 - level) / 2
    low = np.where(observed > 0, stats.chi2.ppf(tail, 2 * observed) / 2, 0.0)
    return low, stats.chi2.ppf(1 - tail, 2 * (observed + 1)) / 2


def share_interval(hits: Floats, trials: Floats, level: float = _LEVEL) -> tuple[Floats, Floats]:
    """Return the exact interval of a binomial share (Clopper, Pearson, 1934)."""
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, stats.beta.ppf(tail, hits, trials - hits + 1), 0.0)
        high = np.where(hits < trials, stats.beta.ppf(1 - tail, hits + 1, trials - hits), 1.0)
    return low, high


def limited_shrinkage(effect: Floats, error: Floats, counts: NDArray[np.bool_]) -> Floats:
    """Return effects drawn towards zero by empirical Bayes, each by one standard error at most.

    How much true effects spread is estimated by moments over the units that count. With one deviant unit
    among many that estimate is small and would draw the one to nothing; the limit keeps it (Efron, Morris,
    1972, "Limiting the risk of Bayes and empirical Bayes estimators", JASA 67).

    Args:
        effect: Differences from what was expected.
        error: Their standard errors.
        counts: Which units the spread is estimated from.
    """
    known = counts & np.isfinite(effect)
    if not known.any():
        return effect
    spread = max(float(np.mean(effect[known] ** 2 - error[known] ** 2)), 0.0)
    kept = spread / (spread + error**2)
    shrunk: Floats = effect - np.sign(effect) * np.minimum((1 - kept) * np.abs(effect), error)
    return shrunk
