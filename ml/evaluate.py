"""How good a ranking and a probability are, at the share of items that can be inspected.

Plain figures of one set of items. With intervals, baselines and slices: `assessment`. What the figures
are made of: `figures`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ml.data import Floats, Mask
from ml.figures import ECE_BINS, Sample, probability_worlds, ranking_worlds
from ml.resampling import single_world


@dataclass(frozen=True)
class Evaluation:
    """Figures of one ranking on one set of labelled items.

    Attributes:
        n: Items.
        base_rate: Share of irregular items, weighted where the items are.
        figures: Metric name to value; a metric that is not defined (one class only, nothing to
            recover) is absent.
        segments: The same for parts of the set, such as novel product lines.
    """

    n: int
    base_rate: float
    figures: dict[str, float]
    segments: dict[str, Evaluation] = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        """Return all figures by one name each, segments as `segment/metric`."""
        found = {"n": float(self.n), "base_rate": self.base_rate, **self.figures}
        for name, segment in self.segments.items():
            found |= {f"{name}/{metric}": value for metric, value in segment.flat().items()}
        return found


def evaluate(
    score: Floats,
    is_irregular: Mask,
    recovered_usd: Floats,
    shares: tuple[float, ...],
    probability: Floats | None = None,
    is_novel_line: Mask | None = None,
    weight: Floats | None = None,
) -> Evaluation:
    """Judge a score, and a probability where there is one.

    Args:
        score: Higher is inspected earlier.
        is_irregular: The truth.
        recovered_usd: Recovered tax in USD; NaN counts as nothing recovered.
        shares: Inspected shares, such as 0.05.
        probability: Calibrated P(irregular), for Brier score, log loss and calibration.
        is_novel_line: Where given, repeated and novel product lines are also judged apart.
        weight: What each item stands for, such as one over its chance of being inspected.
    """
    if not len(score) == len(is_irregular) == len(recovered_usd):
        raise ValueError("score, truth and recovery are of different lengths")
    sample = _sample(is_irregular, recovered_usd, weight)
    worlds = ranking_worlds(score, sample, shares)
    if probability is not None:
        worlds |= probability_worlds(probability, sample)
    segments = {}
    if is_novel_line is not None:
        for name, mask in (("novel", is_novel_line), ("repeated", ~is_novel_line)):
            if mask.any():
                segments[name] = evaluate(
                    score[mask],
                    is_irregular[mask],
                    sample.recovered_usd[mask],
                    shares,
                    None if probability is None else probability[mask],
                    weight=sample.weight[mask],
                )
    rate = float(np.average(is_irregular, weights=sample.weight)) if len(is_irregular) else math.nan
    return Evaluation(len(score), rate, _defined(worlds), segments)


def inspected(n: int, share: float) -> int:
    """Return how many of `n` items are inspected at a share: rounded up, so at least one."""
    return min(n, max(1, math.ceil(n * share - 1e-9)))


def at_share(score: Floats, is_irregular: Mask, recovered_usd: Floats, share: float) -> dict[str, float]:
    """Return precision, recall and revenue at one share, plain and over the oracle's."""
    worlds = ranking_worlds(score, _sample(is_irregular, recovered_usd, None), (share,))
    return {name: value for name, value in _defined(worlds).items() if "_at_" in name}


def calibration_figures(probability: Floats, is_irregular: Mask) -> dict[str, float]:
    """Return Brier score, log loss, expected calibration error, calibration slope and intercept."""
    return _defined(probability_worlds(probability, _sample(is_irregular, np.zeros(len(probability)), None)))


def expected_calibration_error(probability: Floats, is_irregular: Mask, bins: int = ECE_BINS) -> float:
    """Return the mean gap between predicted and observed rate over equal-width bins, by size."""
    position = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(position, weights=probability - is_irregular, minlength=bins)
    return float(np.abs(gap).sum() / len(probability))


def _sample(is_irregular: Mask, recovered_usd: Floats, weight: Floats | None) -> Sample:
    n = len(is_irregular)
    return Sample(
        is_irregular=np.asarray(is_irregular, dtype=bool),
        recovered_usd=np.nan_to_num(np.asarray(recovered_usd, dtype=np.float64), nan=0.0),
        weight=np.ones(n) if weight is None else weight,
        blocks=single_world(n),
    )


def _defined(worlds: dict[str, Floats]) -> dict[str, float]:
    return {name: float(values[0]) for name, values in worlds.items() if np.isfinite(values[0])}
