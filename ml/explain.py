"""Why a score is high: exact TreeSHAP for the top share, its three weightiest reasons in words.

Contributions explain the model, not guilt. Only the shortlist is explained: exact contributions cost
a thousand times what a prediction does (Lundberg et al. 2020, path-dependent TreeSHAP as XGBoost
computes it).
"""

from __future__ import annotations

import numpy as np

from ml.bundle import Bundle
from ml.data import Floats, Matrix
from ml.reasons import load_catalogue, with_derived

REASONS = 3


def contributions(bundle: Bundle, matrix: Matrix) -> Floats:
    """Return the exact contribution of every feature to each row's log-odds; the last column is the bias.

    Rows sum to the margin of the raw score.
    """
    import xgboost

    rows = xgboost.DMatrix(matrix, feature_names=list(bundle.features))
    return np.asarray(bundle.probability.predict(rows, pred_contribs=True), dtype=np.float64)


def reasons(bundle: Bundle, matrix: Matrix) -> list[list[str | None]]:
    """Return up to three reasons per row, weightiest first, None where fewer raise the score.

    Contributions of features in one group of the catalogue are summed first, so that one thing seen
    from three sides is one reason. Only sums that raise the score count.
    """
    if not len(matrix):
        return []
    catalogue = load_catalogue()
    group_of = catalogue.assign(bundle.features)
    names = sorted(set(group_of.values()))
    membership = np.zeros((len(bundle.features), len(names)))
    for position, feature in enumerate(bundle.features):
        membership[position, names.index(group_of[feature])] = 1.0
    weights = contributions(bundle, matrix)[:, :-1] @ membership
    order = np.argsort(-weights, axis=1, kind="stable")[:, :REASONS]
    found: list[list[str | None]] = []
    for row, chosen in enumerate(order):
        values = with_derived(
            {name: float(value) for name, value in zip(bundle.features, matrix[row], strict=True)}
        )
        texts: list[str | None] = [
            catalogue.groups[names[group]].render(values) if weights[row, group] > 0 else None
            for group in chosen
        ]
        found.append(texts + [None] * (REASONS - len(texts)))
    return found
