"""What a model rests on as a whole: how much each feature moves scores, how, and together with what.

From exact contributions to the log-odds of a sample of test items (Lundberg et al. 2020). `explain` gives
the reasons of single items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.assessment import Scored
from ml.bundle import Bundle
from ml.data import Floats, Matrix
from ml.explain import contributions, dmatrix
from ml.plots import dependence, heat, importance, write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SAMPLE = 1_000
# Interactions cost as many times as there are features.
_INTERACTION_SAMPLE = 40
_SHOWN_DEPENDENCE = 4
_SHOWN_INTERACTIONS = 8


@dataclass(frozen=True)
class Understanding:
    """A model's weight by feature on a sample of items.

    Attributes:
        n: Items of the sample.
        mean_absolute: Mean absolute contribution to the log-odds by feature, largest first.
        interactions: Pairs of features and their mean absolute interaction, largest first.
    """

    n: int
    mean_absolute: dict[str, float]
    interactions: dict[str, float]


def understand(
    bundle: Bundle, scored: Scored, title: str, seed: int
) -> tuple[Understanding, dict[str, Figure]]:
    """Return the weights and the pictures of them: importance, dependence, interactions."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(scored.score))[:_SAMPLE])
    matrix = scored.items.matrix[chosen]
    parts = contributions(bundle, matrix)[:, :-1]
    weight = np.abs(parts).mean(axis=0)
    order = np.argsort(-weight, kind="stable")
    names = bundle.features
    mean_absolute = {names[one]: float(weight[one]) for one in order}
    together = _interactions(bundle, matrix[:_INTERACTION_SAMPLE])
    top = [int(one) for one in order[:_SHOWN_INTERACTIONS]]
    pairs = {
        f"{names[one]} x {names[other]}": float(2 * together[one, other])
        for position, one in enumerate(top)
        for other in top[position + 1 :]
    }
    figures = {
        "shap_importance": importance(
            title,
            mean_absolute,
            f"Mean absolute contribution to the log-odds, {len(chosen):,} test items",
            "Log-odds",
        ),
        "shap_interactions": heat(
            title,
            f"How strongly the top features act together, {min(len(chosen), _INTERACTION_SAMPLE)} test items",
            [names[one] for one in top],
            together[np.ix_(top, top)] * (1 - np.eye(len(top))),
        ),
    }
    for place, one in enumerate(top[:_SHOWN_DEPENDENCE], start=1):
        figures[f"shap_dependence_{place}"] = dependence(
            title, names[one], matrix[:, one].astype(np.float64), parts[:, one], scored.probability[chosen]
        )
    found = Understanding(
        len(chosen), mean_absolute, dict(sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0])))
    )
    return found, figures


def write_pictures(figures: dict[str, Figure], folder: Path) -> list[Path]:
    """Write figures as PNG into an existing folder."""
    return [write_png(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _interactions(bundle: Bundle, matrix: Matrix) -> Floats:
    """Mean absolute SHAP interaction of every pair of features."""
    parts = bundle.probability.predict(dmatrix(bundle, matrix), pred_interactions=True)
    return np.asarray(np.abs(parts[:, :-1, :-1]).mean(axis=0), dtype=np.float64)
