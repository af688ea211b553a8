"""From a fitted bundle to its judgement: what it says of items, beside what the baselines say."""

from __future__ import annotations

import numpy as np

from ml.assessment import BY_RECOVERY, MODEL, Assessment, Scored
from ml.bundle import Bundle
from ml.data import LabelledItems

# The figures whose intervals are metrics of their own in MLflow; all others are in `evaluation.json`.
_WITH_INTERVAL = ("auc", "average_precision", "brier", "calibration_error", "calibration_slope")


def score_items(bundle: Bundle, items: LabelledItems) -> Scored:
    """Return the bundle's score, probability and expected recovery of every item."""
    score = bundle.score(items.matrix)
    probability = bundle.calibrator.apply(score)
    recovery = bundle.recovery.if_irregular_usd(items.matrix, items.declared_tax_usd)
    return Scored(items, score, probability, probability * recovery)


def flat_metrics(assessment: Assessment) -> dict[str, float]:
    """Return an assessment as metrics of an MLflow run.

    The model's own figures have plain names; other rankings and segments come first in theirs:
    `declared_duty/novel/auc`. `cells/...` is where every office and month inspects its own share;
    `low/...` and `high/...` bound the 95 % interval.
    """
    found = {"n": float(assessment.n), "base_rate": assessment.base_rate.value}
    for ranking, figures in assessment.rankings.items():
        prefix = "" if ranking == MODEL else f"{ranking}/"
        found |= {f"{prefix}{name}": one.value for name, one in figures.items()}
        found |= {f"{prefix}cells/{name}": one.value for name, one in assessment.cells[ranking].items()}
        if ranking in (MODEL, BY_RECOVERY):
            for name, one in figures.items():
                if name in _WITH_INTERVAL or "_at_" in name:
                    found |= {f"low/{prefix}{name}": one.low, f"high/{prefix}{name}": one.high}
    for segment, parts in assessment.segments.items():
        for ranking, part in parts.items():
            prefix = f"{segment}/" if ranking == MODEL else f"{ranking}/{segment}/"
            found |= {f"{prefix}{name}": one.value for name, one in part.figures.items()}
            found |= {f"{prefix}n": float(part.n), f"{prefix}base_rate": part.irregular / part.n}
    return {name: value for name, value in found.items() if np.isfinite(value)}
