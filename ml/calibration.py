"""From a raw model score to a probability, learned on a later window and stored as JSON.

Isotonic regression (Zadrozny and Elkan 2002) where the window is large, Platt's logistic map on the
log-odds (Platt 1999) where it is small, the score itself where the window holds one class only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ml.choices import CalibrationChoice
from ml.data import Floats, Mask

_EPSILON = 1e-7


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from score to probability.

    Attributes:
        kind: How it was learned.
        n: Items it was learned on.
        scores: Breakpoints of `isotonic`, rising; linear between them, flat outside.
        probabilities: Value at each breakpoint.
        slope: Of `platt`, on the score's log-odds.
        intercept: Of `platt`.
    """

    kind: Literal["isotonic", "platt", "identity"]
    n: int
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, score: Floats) -> Floats:
        """Return the calibrated probability of each score."""
        if self.kind == "isotonic":
            return np.asarray(np.interp(score, self.scores, self.probabilities), dtype=np.float64)
        if self.kind == "platt":
            return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * log_odds(score) + self.intercept))))
        return np.asarray(score, dtype=np.float64)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "kind": self.kind,
            "n": self.n,
            "scores": list(self.scores),
            "probabilities": list(self.probabilities),
            "slope": self.slope,
            "intercept": self.intercept,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Calibrator:
        """Rebuild a calibrator from its JSON form."""
        return cls(
            kind=stored["kind"],
            n=stored["n"],
            scores=tuple(stored["scores"]),
            probabilities=tuple(stored["probabilities"]),
            slope=stored["slope"],
            intercept=stored["intercept"],
        )


def log_odds(score: Floats) -> Floats:
    """Return ln(p / (1 - p)), with p kept a hair away from 0 and 1."""
    kept = np.clip(score, _EPSILON, 1 - _EPSILON)
    return np.asarray(np.log(kept / (1 - kept)))


def fit_calibrator(
    score: Floats, is_irregular: Mask, choice: CalibrationChoice, weight: Floats | None = None
) -> Calibrator:
    """Learn the map on items the model was not fitted on.

    Isotonic blocks of one class would claim certainty, so values are kept within 1/(n + 2) of 0
    and 1, the Laplace estimate for n unanimous items.
    """
    n, irregular = len(score), int(is_irregular.sum())
    if irregular in (0, n) or choice.method == "none":
        return Calibrator("identity", n)
    is_small = n < choice.isotonic_minimum_n or irregular < choice.isotonic_minimum_irregular
    if choice.method == "platt" or (choice.method == "automatic" and is_small):
        return _fit_platt(score, is_irregular, weight)
    from sklearn.isotonic import IsotonicRegression

    edge = 1.0 / (n + 2)
    isotonic = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip")
    fitted = isotonic.fit(score, is_irregular, sample_weight=weight)
    return Calibrator(
        "isotonic",
        n,
        scores=tuple(float(value) for value in fitted.X_thresholds_),
        probabilities=tuple(float(value) for value in fitted.y_thresholds_),
    )


def _fit_platt(score: Floats, is_irregular: Mask, weight: Floats | None) -> Calibrator:
    from sklearn.linear_model import LogisticRegression

    # A weak penalty keeps the slope finite where the window separates perfectly.
    fitted = LogisticRegression(C=1e3).fit(log_odds(score).reshape(-1, 1), is_irregular, sample_weight=weight)
    slope, intercept = float(fitted.coef_[0][0]), float(fitted.intercept_[0])
    if slope <= 0:
        # A score that ranks backwards on the window says nothing: everyone gets the base rate.
        base_rate = np.asarray([np.average(is_irregular, weights=weight)])
        slope, intercept = 0.0, float(log_odds(base_rate)[0])
    return Calibrator("platt", len(score), slope=slope, intercept=intercept)
