"""Whom a model selects, and with what right: an audit by group, before anybody promotes it.

Selective labels decide what can be said (`Basis`). Where everything was inspected, or drawn at random, or
the chances of inspection are known, error rates by group mean something; elsewhere they describe past
selection and are labelled so (Lakkaraju et al. 2017). Hit rates by group are no test of bias on their own:
groups differ in how far their items lie above the threshold (infra-marginality; Simoiu, Corbett-Davies
and Goel 2017).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from ml.assessment import Scored, sample_of
from ml.config import ModelConfig
from ml.data import Floats, Mask
from ml.figures import Sample
from ml.resampling import Interval, interval_of
from ml.slices import UNKNOWN, importer_sizes, masks, newcomers, regions_of, slices_of
from ml.weights import random_sample, selection_of

FAIRNESS_FILE = "fairness.json"
Basis = Literal["census", "weighted", "random sample", "descriptive"]
_GUESS_ROUNDS = 25
_GUESS_GROUPS = 3
_GUESS_MINIMUM_N = 100


@dataclass(frozen=True)
class GroupFigures:
    """One group at the live threshold, each figure with its interval.

    Attributes:
        n: Labelled items on which the figures rest.
        selected: Share above the threshold.
        true_positive: Share of irregular items above it.
        false_positive: Share of regular items above it.
        hit_rate: Share of those above it that were irregular (outcome test).
        calibration_gap: Mean probability minus observed rate.
        selected_ratio: `selected` by everybody's; a description, not a verdict.
        true_positive_ratio: By everybody's.
        false_positive_ratio: By everybody's.
        alarms: What lies outside the limits beyond its interval; empty where nothing does, where the
            group is too small, or where the basis allows no verdict.
    """

    n: int
    selected: Interval
    true_positive: Interval
    false_positive: Interval
    hit_rate: Interval
    calibration_gap: Interval
    selected_ratio: Interval
    true_positive_ratio: Interval
    false_positive_ratio: Interval
    alarms: tuple[str, ...]


@dataclass(frozen=True)
class FairnessReport:
    """The audit of one model on one set of labelled items.

    Attributes:
        basis: On what the figures rest.
        note: What that means, in words.
        threshold: Score above which an item would be sent to the red lane.
        groups: By dimension and group.
        guessable: AUC with which the features tell a group from the rest, on later items; by
            `dimension: group`.
        without_origin: Figures of a model that sees neither origin nor its proxies, beside the
            model's; empty where that was not fitted.
    """

    basis: Basis
    note: str
    threshold: float
    groups: dict[str, dict[str, GroupFigures]]
    guessable: dict[str, float]
    without_origin: dict[str, dict[str, float]]

    @property
    def alarms(self) -> list[str]:
        """Every alarm, with its dimension and group."""
        return [
            f"{dimension}, {name}: {alarm}"
            for dimension, groups in self.groups.items()
            for name, figures in groups.items()
            for alarm in figures.alarms
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the report for JSON, intervals as `[value, low, high]`."""
        groups = {
            dimension: {
                name: {
                    key: getattr(found, key).as_list() if isinstance(getattr(found, key), Interval) else value
                    for key, value in asdict(found).items()
                }
                for name, found in parts.items()
            }
            for dimension, parts in self.groups.items()
        }
        return {
            "basis": self.basis,
            "note": self.note,
            "threshold": self.threshold,
            "alarms": self.alarms,
            "groups": groups,
            "guessable": self.guessable,
            "without_origin": self.without_origin,
        }


def audit(
    scored: Scored,
    threshold: float,
    config: ModelConfig,
    seed: int,
    without_origin: dict[str, dict[str, float]] | None = None,
    *,
    with_guesses: bool = True,
) -> FairnessReport:
    """Audit a model by origin region, importer size, newcomers and office.

    Args:
        scored: Labelled items that the model was not fitted on, and what it says of them.
        threshold: Score from which an item is selected.
        config: Limits, and the smallest group that is judged.
        seed: Of resampled weeks and of the guessing models.
        without_origin: From the counterfactual model, where one was fitted.
        with_guesses: Whether to learn how well the features tell groups.
    """
    basis, mask = _basis(scored, config)
    judged = scored.take(mask)
    sample = sample_of(judged.items, config, seed)
    everybody = _rates(judged, sample, threshold, np.ones(len(judged.score), dtype=bool))
    found: dict[str, dict[str, GroupFigures]] = {}
    for dimension, groups in _dimensions(judged).items():
        found[dimension] = {
            name: _group(judged, sample, threshold, group, everybody, config, basis)
            for name, group in groups.items()
        }
    return FairnessReport(
        basis=basis,
        note=_NOTES[basis],
        threshold=threshold,
        groups=found,
        guessable=_guessable(scored, seed) if with_guesses else {},
        without_origin=without_origin or {},
    )


_NOTES: dict[Basis, str] = {
    "census": "Every item was inspected: error rates by group are what they say.",
    "weighted": "Items are weighted by one over their logged chance of inspection.",
    "random sample": "Only items drawn at random are used: they speak for all items.",
    "descriptive": (
        "DESCRIPTIVE ONLY: labels exist for selected items, with what chance each was selected is not"
        " known, and too few were drawn at random. The rates describe items like those inspected; no"
        " verdict on equal treatment can rest on them."
    ),
}


def _basis(scored: Scored, config: ModelConfig) -> tuple[Basis, Mask]:
    everything = np.ones(len(scored.score), dtype=bool)
    selection = selection_of(scored.items)
    if selection != "selective":
        return selection, everything
    drawn = random_sample(scored.items)
    if int(drawn.sum()) >= config.gates.fairness.minimum_group_n:
        return "random sample", drawn
    return "descriptive", everything


def _dimensions(scored: Scored) -> dict[str, dict[str, Mask]]:
    items = scored.items
    names = {
        "origin region": regions_of(items.origin_iso2),
        "importer size": importer_sizes(items),
        "newcomer": newcomers(items),
        "office": slices_of(items)["office"],
    }
    return {
        dimension: {name: mask for name, mask in masks(values).items() if name != UNKNOWN}
        for dimension, values in names.items()
    }


def _rates(scored: Scored, sample: Sample, threshold: float, group: Mask) -> dict[str, Floats]:
    """Return the group's rates in every world."""
    selected = (scored.score >= threshold).astype(np.float64)
    truth = sample.is_irregular.astype(np.float64)
    inside = group * sample.weight

    def total(values: Floats) -> Floats:
        return sample.blocks.sums(inside * values)

    n, irregular, chosen = total(np.ones(len(truth))), total(truth), total(selected)
    found = total(selected * truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "selected": chosen / n,
            "true_positive": found / irregular,
            "false_positive": (chosen - found) / (n - irregular),
            "hit_rate": found / chosen,
            "calibration_gap": total(scored.probability - truth) / n,
        }


def _group(
    scored: Scored,
    sample: Sample,
    threshold: float,
    group: Mask,
    everybody: dict[str, Floats],
    config: ModelConfig,
    basis: Basis,
) -> GroupFigures:
    rates = _rates(scored, sample, threshold, group)
    figures = {name: interval_of(values) for name, values in rates.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = {
            f"{name}_ratio": interval_of(rates[name] / everybody[name])
            for name in ("selected", "true_positive", "false_positive")
        }
    n = int(group.sum())
    may_judge = basis != "descriptive" and n >= config.gates.fairness.minimum_group_n
    alarms = _alarms(figures, ratios, config) if may_judge else ()
    return GroupFigures(n=n, **figures, **ratios, alarms=alarms)


def _alarms(
    figures: dict[str, Interval], ratios: dict[str, Interval], config: ModelConfig
) -> tuple[str, ...]:
    """Return what lies outside the limits with its whole interval: chance alone raises no alarm."""
    limits = config.gates.fairness
    found = []
    for name in ("true_positive_ratio", "false_positive_ratio"):
        one = ratios[name]
        if one.high < limits.ratio_low or one.low > limits.ratio_high:
            words = name.removesuffix("_ratio").replace("_", " ")
            found.append(
                f"{words} rate is {one.value:.2f} times everybody's ({one.low:.2f} to {one.high:.2f};"
                f" allowed {limits.ratio_low} to {limits.ratio_high})"
            )
    gap = figures["calibration_gap"]
    if gap.low > limits.calibration_gap or gap.high < -limits.calibration_gap:
        found.append(
            f"mean probability is {gap.value:+.2f} off the observed rate ({gap.low:+.2f} to {gap.high:+.2f};"
            f" allowed {limits.calibration_gap})"
        )
    return tuple(found)


def _guessable(scored: Scored, seed: int) -> dict[str, float]:
    """Say how well the features tell the largest groups from the rest: near 0.5 they do not know them.

    Learned on the earlier half of the items, judged on the later half.
    """
    day = scored.items.registered_day.astype(np.int64)
    earlier = day < np.median(day)
    found = {}
    for dimension, groups in _dimensions(scored).items():
        largest = sorted(groups, key=lambda name: (-int(groups[name].sum()), name))[:_GUESS_GROUPS]
        for name in largest[:1] if len(groups) == 2 else largest:
            auc = _guess(scored, groups[name], earlier, seed)
            if auc is not None:
                found[f"{dimension}: {name}"] = auc
    return found


def _guess(scored: Scored, group: Mask, earlier: Mask, seed: int) -> float | None:
    counts = [int((group & half).sum()) for half in (earlier, ~earlier)]
    others = [int((~group & half).sum()) for half in (earlier, ~earlier)]
    if min(*counts, *others) < _GUESS_MINIMUM_N:
        return None
    import xgboost
    from sklearn.metrics import roc_auc_score

    matrix = scored.items.matrix
    model = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "tree_method": "hist", "seed": seed, "nthread": 1},
        xgboost.QuantileDMatrix(matrix[earlier], label=group[earlier]),
        _GUESS_ROUNDS,
    )
    return float(roc_auc_score(group[~earlier], model.inplace_predict(matrix[~earlier])))
