"""Why a score is high: exact TreeSHAP for the top share, its three weightiest reasons in words.

Contributions explain the model, not guilt. Only the shortlist is explained: exact contributions cost
a thousand times what a prediction does (Lundberg et al. 2020, path-dependent TreeSHAP as XGBoost
computes it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.boosting import feature_types
from ml.bundle import Bundle
from ml.data import Floats, Matrix
from ml.reasons import load_catalogue, with_derived

if TYPE_CHECKING:
    import xgboost

REASONS = 3
# Contributions are sums of 32-bit floats over trees.
_SUM_TOLERANCE = 1e-3


def contributions(bundle: Bundle, matrix: Matrix) -> Floats:
    """Return the exact contribution of every feature to each row's log-odds; the last column is the bias.

    Rows sum to the margin of the raw score, and that is checked: a reason must account for the score
    that people see.

    Raises:
        ArithmeticError: A row does not sum to its margin.
    """
    rows = dmatrix(bundle, matrix)
    parts = np.asarray(bundle.probability.predict(rows, pred_contribs=True), dtype=np.float64)
    margin = np.asarray(bundle.probability.predict(rows, output_margin=True), dtype=np.float64)
    gap = np.abs(parts.sum(axis=1) - margin)
    if len(gap) and gap.max() > _SUM_TOLERANCE * max(1.0, float(np.abs(margin).max())):
        raise ArithmeticError(f"contributions miss the margin by {gap.max():.2g} in a row of {len(gap)}")
    return parts


def dmatrix(bundle: Bundle, matrix: Matrix) -> xgboost.DMatrix:
    """Return rows as XGBoost explains them."""
    import xgboost

    return xgboost.DMatrix(
        matrix,
        feature_names=list(bundle.features),
        feature_types=feature_types(bundle.features, bundle.vocabularies),
        enable_categorical=bool(bundle.vocabularies),
    )


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
            catalogue.group(names[group]).render(values) if weights[row, group] > 0 else None
            for group in chosen
        ]
        found.append(texts + [None] * (REASONS - len(texts)))
    return found
