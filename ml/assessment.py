"""The whole judgement of a model on one set of labelled items: intervals, baselines, slices, cells.

One file, `evaluation.json`, holds it; reports, cards and gates read it from there. Every ranking is
judged on the same items in the same resampled worlds, so a difference between two has an interval of
its own, narrower than what their two intervals suggest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.baselines import Baseline
from ml.config import ModelConfig
from ml.data import Floats, LabelledItems, Mask
from ml.figures import Sample, Worlds, best_worlds, probability_worlds, ranking_worlds
from ml.resampling import Blocks, Interval, interval_of, week_blocks
from ml.slices import slices_of
from ml.weights import Selection, banner, random_sample, selection_of, selection_weight

MODEL, BY_RECOVERY = "model", "by_expected_recovery"
EVALUATION_FILE = "evaluation.json"
_MINIMUM_SLICE_N = 30
# Elements of the arrays that resampling fills: beyond that, fewer worlds.
_RESAMPLED_ELEMENTS = 8_000_000
_FEWEST_REPLICATES = 100

Intervals = dict[str, Interval]


@dataclass(frozen=True)
class Scored:
    """Labelled items and what a model says of them, in the same order."""

    items: LabelledItems
    score: Floats
    probability: Floats
    expected_recovery_usd: Floats

    def take(self, mask: Mask) -> Scored:
        """Return the items where `mask` is true."""
        return Scored(
            self.items.take(mask), self.score[mask], self.probability[mask], self.expected_recovery_usd[mask]
        )


@dataclass(frozen=True)
class Slice:
    """One part of the items.

    Attributes:
        n: Items.
        irregular: Irregular ones among them.
        figures: Of the model, with intervals.
    """

    n: int
    irregular: int
    figures: Intervals


@dataclass(frozen=True)
class Assessment:
    """Everything known about how good a model is on a set of items.

    Attributes:
        n: Items.
        base_rate: Share irregular, with its interval.
        weeks: Blocks the intervals rest on.
        selection: How the labels came about.
        banner: Warning that belongs above the figures, or None.
        rankings: Figures by ranking: the model, by expected recovery, each baseline.
        over: The model's figure minus the baseline's, paired.
        cells: The same figures where every office and month inspects its own top n %.
        segments: The model and the baselines on novel and repeated lines and on the random sample.
        slices: The model, by dimension and slice.
    """

    n: int
    base_rate: Interval
    weeks: int
    selection: Selection
    banner: str | None
    rankings: dict[str, Intervals]
    over: dict[str, Intervals]
    cells: dict[str, Intervals]
    segments: dict[str, dict[str, Slice]]
    slices: dict[str, dict[str, Slice]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the assessment for JSON: every figure as `[value, low, high]`."""
        return {
            "n": self.n,
            "base_rate": self.base_rate.as_list(),
            "weeks": self.weeks,
            "selection": self.selection,
            "banner": self.banner,
            "rankings": {name: _listed(figures) for name, figures in self.rankings.items()},
            "over": {name: _listed(figures) for name, figures in self.over.items()},
            "cells": {name: _listed(figures) for name, figures in self.cells.items()},
            "segments": {
                name: {ranking: _slice_json(part) for ranking, part in parts.items()}
                for name, parts in self.segments.items()
            },
            "slices": {
                name: {value: _slice_json(part) for value, part in parts.items()}
                for name, parts in self.slices.items()
            },
        }


def assess(
    scored: Scored, baselines: list[Baseline], config: ModelConfig, seed: int, *, with_slices: bool = True
) -> Assessment:
    """Judge a model and its baselines on labelled items.

    Args:
        scored: The items and the model's figures for them.
        baselines: On the same items.
        config: Inspected shares, weights.
        seed: Of the resampled worlds.
        with_slices: Whether the model is also judged slice by slice.
    """
    items, shares = scored.items, config.evaluation.inspection_shares
    sample = sample_of(items, config, seed)
    scores: dict[str, tuple[Floats, Floats | None]] = {
        MODEL: (scored.score, scored.probability),
        BY_RECOVERY: (scored.expected_recovery_usd, None),
        **{one.name: (one.score, one.probability) for one in baselines},
    }
    best = best_worlds(sample, shares)
    worlds = {name: judged(*both, sample, shares, best) for name, both in scores.items()}
    in_cells = _with_cells(sample, items)
    best = best_worlds(in_cells, shares)
    cells = {name: ranking_worlds(score, in_cells, shares, best) for name, (score, _) in scores.items()}
    total = sample.blocks.sums(sample.weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = sample.blocks.sums(sample.weight * sample.is_irregular) / total
    return Assessment(
        n=len(items),
        base_rate=interval_of(rate),
        weeks=sample.blocks.counts.shape[1],
        selection=selection_of(items),
        banner=banner(items),
        rankings={name: intervals(figures) for name, figures in worlds.items()},
        over={one.name: differences(worlds[MODEL], worlds[one.name]) for one in baselines},
        cells={name: intervals(figures) for name, figures in cells.items()},
        segments={
            name: {
                ranking: _part(score, probability, mask, sample, shares)
                for ranking, (score, probability) in scores.items()
            }
            for name, mask in _segments(items).items()
            if mask.any() and not mask.all()
        },
        slices=_slices(scored, sample, shares) if with_slices else {},
    )


def sample_of(items: LabelledItems, config: ModelConfig, seed: int) -> Sample:
    """Return the truth about items, their weights and the worlds to judge them in."""
    wanted = config.evaluation.resampled_worlds
    affordable = max(_RESAMPLED_ELEMENTS // max(len(items), 1), _FEWEST_REPLICATES)
    replicates = min(wanted, affordable)
    return Sample(
        is_irregular=items.is_irregular,
        recovered_usd=np.nan_to_num(items.recovered_usd, nan=0.0),
        weight=selection_weight(items, config.weights),
        blocks=week_blocks(items.registered_day, items.member_iso2, seed, replicates),
    )


def judged(
    score: Floats,
    probability: Floats | None,
    sample: Sample,
    shares: tuple[float, ...],
    best: Worlds | None = None,
) -> Worlds:
    """Return every figure of a ranking, and of a probability where there is one, in every world."""
    found = ranking_worlds(score, sample, shares, best)
    return found if probability is None else found | probability_worlds(probability, sample)


def intervals(worlds: Worlds) -> Intervals:
    """Return each figure that is defined, with its interval."""
    return {name: interval_of(values) for name, values in worlds.items() if np.isfinite(values[0])}


def differences(one: Worlds, other: Worlds) -> Intervals:
    """Return the paired differences of the figures that both have."""
    return intervals({name: one[name] - other[name] for name in one if name in other})


def take_sample(sample: Sample, mask: Mask) -> Sample:
    """Return part of a sample, in the same worlds."""
    return Sample(
        is_irregular=sample.is_irregular[mask],
        recovered_usd=sample.recovered_usd[mask],
        weight=sample.weight[mask],
        blocks=Blocks(sample.blocks.index[mask], sample.blocks.counts),
    )


def _segments(items: LabelledItems) -> dict[str, Mask]:
    return {
        "novel": items.is_novel_line,
        "repeated": ~items.is_novel_line,
        "random_sample": random_sample(items),
    }


def _with_cells(sample: Sample, items: LabelledItems) -> Sample:
    month = items.registered_day.astype("datetime64[M]").astype(np.int64)
    office = np.char.add(items.member_iso2.astype(str), items.office_code.astype(str))
    _, office_index = np.unique(office, return_inverse=True)
    _, cell = np.unique(np.stack([office_index, month]), axis=1, return_inverse=True)
    index: NDArray[np.int64] = np.asarray(cell, dtype=np.int64).reshape(-1)
    return Sample(sample.is_irregular, sample.recovered_usd, sample.weight, sample.blocks, index)


def _slices(scored: Scored, sample: Sample, shares: tuple[float, ...]) -> dict[str, dict[str, Slice]]:
    found: dict[str, dict[str, Slice]] = {}
    for dimension, names in slices_of(scored.items).items():
        values, n = np.unique(names.astype(str), return_counts=True)
        parts = {
            str(value): _part(scored.score, scored.probability, names == value, sample, shares)
            for value, size in zip(values, n, strict=True)
            if size >= _MINIMUM_SLICE_N
        }
        if len(parts) > 1 or dimension == "month":
            found[dimension] = parts
    return found


def _part(
    score: Floats, probability: Floats | None, mask: Mask, sample: Sample, shares: tuple[float, ...]
) -> Slice:
    part = take_sample(sample, mask)
    worlds = judged(score[mask], None if probability is None else probability[mask], part, shares)
    return Slice(int(mask.sum()), int(part.is_irregular.sum()), intervals(worlds))


def _listed(figures: Intervals) -> dict[str, list[float | None]]:
    return {name: one.as_list() for name, one in figures.items()}


def _slice_json(part: Slice) -> dict[str, Any]:
    return {"n": part.n, "irregular": part.irregular, "figures": _listed(part.figures)}
