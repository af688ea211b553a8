"""How far the present has moved from what a model was fitted on: features, scores, labels, performance.

Population stability index over tenths of the calibration window: sum((a - e) ln(a / e)), 0 where nothing
moved; 0.1 and 0.25 are the usual marks (Siddiqi 2006). The reference is a few numbers per feature, stored
with the model, so that no training row is needed to watch it. `features.feature_drift` says the same of each
month's features without a model, by the same arithmetic in SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ml.data import Floats, LabelledItems, Matrix

REFERENCE_FILE = "reference.json"
SCORE = "score"
_TENTHS = np.arange(1, 10)
# A bin that is empty on one side would make the index infinite; half an item in a thousand does not.
_EMPTY_SHARE = 0.0005
_DISTINCT_AT_MOST = 10
_ENOUGH = 200


@dataclass(frozen=True)
class Distribution:
    """Where values of the fit window lay.

    Attributes:
        edges: Inner edges of the bins, rising.
        shares: Share of each bin, then of missing values.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Reference:
    """The population that a model knew when it went to work.

    Attributes:
        n: Items.
        irregular_rate: Share of irregular items among all it was fitted and calibrated on.
        distributions: Of every feature and of `score`.
    """

    n: int
    irregular_rate: float
    distributions: dict[str, Distribution]

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "n": self.n,
            "irregular_rate": self.irregular_rate,
            "distributions": {
                name: {"edges": list(one.edges), "shares": list(one.shares)}
                for name, one in self.distributions.items()
            },
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Reference:
        """Rebuild a reference from its JSON form."""
        return cls(
            stored["n"],
            stored["irregular_rate"],
            {
                name: Distribution(tuple(one["edges"]), tuple(one["shares"]))
                for name, one in stored["distributions"].items()
            },
        )


def reference_population(fit: LabelledItems, later: LabelledItems, test_score: Floats) -> Reference:
    """Return the reference of a model: how features and scores lay just before it went to work.

    Features: in the calibration window where it is large enough; the oldest of the items that a model was
    fitted on had no history yet. Scores: those of the test window, the only ones that this very model gave
    to items it had not learnt from.

    Args:
        fit: Items of the fit window.
        later: Items of the calibration window.
        test_score: Scores of the test window.
    """
    known = later if len(later) >= _ENOUGH else fit
    columns = {name: known.matrix[:, place] for place, name in enumerate(known.features)}
    found = {name: distribution(values.astype(np.float64)) for name, values in columns.items()}
    found[SCORE] = distribution(test_score)
    rate = (fit.is_irregular.sum() + later.is_irregular.sum()) / (len(fit) + len(later))
    return Reference(len(known), float(rate), found)


def distribution(values: Floats) -> Distribution:
    """Cut values into bins of about a tenth each, or one per value where there are few different ones.

    A bin ends where values differ, at the end of a run of equal ones that lies nearest to a tenth: a value
    that most items share has a bin of its own, whether it is the smallest, the largest or between.
    """
    known = np.sort(values[np.isfinite(values)])
    ends = np.flatnonzero(known[1:] > known[:-1]) + 1
    if len(ends) >= _DISTINCT_AT_MOST:
        distance = np.abs(10 * ends[None, :] - (_TENTHS * len(known))[:, None])
        ends = np.unique(ends[distance.argmin(axis=1)])
    edges = (known[ends - 1] + known[ends]) / 2
    return Distribution(tuple(float(edge) for edge in edges), tuple(_shares(values, edges)))


def psi(reference: Distribution, values: Floats) -> float:
    """Return the population stability index of values against a reference."""
    expected = np.maximum(np.asarray(reference.shares), _EMPTY_SHARE)
    actual = np.maximum(_shares(values, np.asarray(reference.edges)), _EMPTY_SHARE)
    expected, actual = expected / expected.sum(), actual / actual.sum()
    return float(((actual - expected) * np.log(actual / expected)).sum())


def psi_of_matrix(
    reference: Reference, features: tuple[str, ...], matrix: Matrix, ignore: tuple[str, ...] = ()
) -> dict[str, float]:
    """Return the index of every feature that the reference knows and no glob ignores, the largest first."""
    found = {
        name: psi(reference.distributions[name], matrix[:, place].astype(np.float64))
        for place, name in enumerate(features)
        if name in reference.distributions and not any(fnmatchcase(name, glob) for glob in ignore)
    }
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _shares(values: Floats, edges: Floats) -> Floats:
    known = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    all_counts = np.append(counts, len(values) - len(known)).astype(np.float64)
    return np.asarray(all_counts / max(len(values), 1))
