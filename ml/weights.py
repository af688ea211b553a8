"""What an item counts for: items that were unlikely to be inspected stand for more of their kind.

Inspected items are no sample of all items; with the logged chance of inspection pi, weights 1/pi make
them one (Horvitz and Thompson 1952). Uninspected items are unknown, never clean.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ml.choices import WeightChoice
from ml.data import Floats, LabelledItems, Mask

Selection = Literal["census", "weighted", "selective"]


def selection_weight(items: LabelledItems, choice: WeightChoice) -> Floats:
    """Return one over the chance of inspection, at most `maximum`; 1 where the chance is not known.

    Mixing known and unknown chances would let the known few drown the others, so weights apply only
    where every item has one.
    """
    if not choice.inverse_probability or not has_selection_probabilities(items):
        return np.ones(len(items))
    return np.asarray(np.clip(1.0 / items.selection_probability, 1.0, choice.maximum))


def fitting_weight(items: LabelledItems, choice: WeightChoice, newest: np.datetime64) -> Floats:
    """Return the selection weight, less for items long before `newest` where a half-life is set."""
    weight = selection_weight(items, choice)
    if choice.half_life_days is None:
        return weight
    age_days = (newest - items.registered_day).astype(np.float64)
    return np.asarray(weight * 0.5 ** (np.maximum(age_days, 0.0) / choice.half_life_days))


def has_selection_probabilities(items: LabelledItems) -> bool:
    """Whether every item says how likely it was to be inspected."""
    chance = items.selection_probability
    return bool(len(items)) and bool(((chance > 0) & (chance <= 1)).all())


def random_sample(items: LabelledItems) -> Mask:
    """Return which items were drawn at random, or are all there was: they speak for every item."""
    return np.isin(items.label_source_code.astype(str), ("RANDOM", "ALL"))


def selection_of(items: LabelledItems) -> Selection:
    """Say how the labels came about.

    `census`: every item was inspected. `weighted`: inspection was selective, and its chances are known.
    `selective`: inspection was selective and its chances are not known.
    """
    if bool(len(items)) and bool((items.label_source_code.astype(str) == "ALL").all()):
        return "census"
    return "weighted" if has_selection_probabilities(items) else "selective"


def banner(items: LabelledItems) -> str | None:
    """Return the warning that belongs above every figure on selective labels, None where none does."""
    if selection_of(items) != "selective":
        return None
    drawn = int(random_sample(items).sum())
    return (
        "SELECTIVE LABELS: only items that somebody chose to inspect are judged here, and with what chance"
        " each was chosen is not known. The figures hold for items like those inspected, not for all"
        f" items. {drawn:,} of {len(items):,} were drawn at random; figures on them alone are given apart."
    )
