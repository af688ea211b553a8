"""How good a ranking and a probability are, at the share of items that can be inspected.

Ties: items with equal score share the places they compete for, so a figure at n % is the mean over
all orders of the tied items. It depends on no row order and no seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ml.calibration import log_odds
from ml.data import Floats, Mask

_ECE_BINS = 10
_PROBABILITY_EDGE = 1e-6


@dataclass(frozen=True)
class Evaluation:
    """Figures of one ranking on one set of labelled items.

    Attributes:
        n: Items.
        base_rate: Share of irregular items.
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
) -> Evaluation:
    """Judge a score, and a probability where there is one.

    Args:
        score: Higher is inspected earlier.
        is_irregular: The truth.
        recovered_usd: Recovered tax in USD; NaN counts as nothing recovered.
        shares: Inspected shares, such as 0.05.
        probability: Calibrated P(irregular), for Brier score, log loss and calibration.
        is_novel_line: Where given, repeated and novel product lines are also judged apart.
    """
    if not len(score) == len(is_irregular) == len(recovered_usd):
        raise ValueError("score, truth and recovery are of different lengths")
    recovered = np.nan_to_num(recovered_usd, nan=0.0)
    figures = _ranking(score, is_irregular)
    for share in shares:
        figures |= at_share(score, is_irregular, recovered, share)
    if probability is not None and len(probability):
        figures |= calibration_figures(probability, is_irregular)
    segments = {}
    if is_novel_line is not None:
        for name, mask in (("novel", is_novel_line), ("repeated", ~is_novel_line)):
            if mask.any():
                part = None if probability is None else probability[mask]
                segments[name] = evaluate(score[mask], is_irregular[mask], recovered[mask], shares, part)
    rate = float(is_irregular.mean()) if len(is_irregular) else math.nan
    return Evaluation(len(score), rate, figures, segments)


def inspected(n: int, share: float) -> int:
    """Return how many of `n` items are inspected at a share: rounded up, so at least one."""
    return min(n, max(1, math.ceil(n * share - 1e-9)))


def at_share(score: Floats, is_irregular: Mask, recovered_usd: Floats, share: float) -> dict[str, float]:
    """Precision, recall and revenue at n % inspected, plain and over the oracle's.

    precision@n = irregular in top / size, recall@n = irregular in top / all irregular, revenue@n =
    recovered in top / all recovered (Kim et al., DATE, KDD 2020). The normalised form divides by
    what a ranking that knew the truth would reach (Kim et al., IEEE TKDE 2022).
    """
    if not len(score):
        return {}
    size, suffix = inspected(len(score), share), f"at_{round(share * 100):02d}"
    weight = _inspection_weight(score, size)
    found, irregular = float(weight @ is_irregular), int(is_irregular.sum())
    figures = {f"precision_{suffix}": found / size}
    if irregular:
        figures[f"recall_{suffix}"] = found / irregular
        figures[f"precision_normalised_{suffix}"] = found / min(size, irregular)
    total = float(recovered_usd.sum())
    if total > 0:
        best = float(np.sort(recovered_usd)[::-1][:size].sum())
        figures[f"revenue_{suffix}"] = float(weight @ recovered_usd) / total
        figures[f"revenue_normalised_{suffix}"] = float(weight @ recovered_usd) / best
    return figures


def calibration_figures(probability: Floats, is_irregular: Mask) -> dict[str, float]:
    """Brier score, log loss, expected calibration error, calibration slope and intercept.

    Brier 1950; ECE over ten equal-width bins (Naeini, Cooper and Hauskrecht 2015); slope and
    intercept of a logistic regression of the outcome on the log-odds (Cox 1958), 1 and 0 when
    calibrated.
    """
    truth = is_irregular.astype(np.float64)
    kept = np.clip(probability, _PROBABILITY_EDGE, 1 - _PROBABILITY_EDGE)
    figures = {
        "brier": float(np.mean((probability - truth) ** 2)),
        "log_loss": float(-np.mean(truth * np.log(kept) + (1 - truth) * np.log(1 - kept))),
        "calibration_error": expected_calibration_error(probability, is_irregular),
    }
    if 0 < truth.sum() < len(truth) and np.ptp(kept) > 0:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=np.inf).fit(log_odds(kept).reshape(-1, 1), is_irregular)
        figures["calibration_slope"] = float(fitted.coef_[0][0])
        figures["calibration_intercept"] = float(fitted.intercept_[0])
    return figures


def expected_calibration_error(probability: Floats, is_irregular: Mask, bins: int = _ECE_BINS) -> float:
    """Return the mean gap between predicted and observed rate over equal-width bins, by size."""
    position = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(position, weights=probability - is_irregular, minlength=bins)
    return float(np.abs(gap).sum() / len(probability))


def _ranking(score: Floats, is_irregular: Mask) -> dict[str, float]:
    """AUC and average precision, both with ties counted half or as one step (scikit-learn)."""
    if not 0 < is_irregular.sum() < len(is_irregular):
        return {}
    from sklearn.metrics import average_precision_score, roc_auc_score

    return {
        "auc": float(roc_auc_score(is_irregular, score)),
        "average_precision": float(average_precision_score(is_irregular, score)),
    }


def _inspection_weight(score: Floats, size: int) -> Floats:
    """Return each item's chance of being among the `size` highest, ties drawn at random."""
    threshold = np.partition(score, len(score) - size)[len(score) - size]
    above, tied = score > threshold, score == threshold
    weight: Floats = above.astype(np.float64)
    weight[tied] = (size - above.sum()) / tied.sum()
    return weight
