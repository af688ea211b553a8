"""Rolling origins: the model trained again and again on what was known then, judged on what came next.

One test window says how good a model was in one season. Each origin is a training as it would have been:
labels known before the calibration window, calibration before the origin, judged on the days after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from ml.assessment import Assessment, Intervals, Scored, assess
from ml.baselines import Baseline, logistic_baseline, simple_baselines
from ml.boosting import fit_bundle
from ml.config import ModelConfig, choose_features
from ml.data import LabelledItems, feature_mart_columns, read_labelled, read_vocabularies
from ml.judging import score_items
from ml.splits import Split, split_at
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.settings import Settings

Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Origin:
    """One training in the past and its judgement.

    Attributes:
        first_day: First day judged.
        last_day: Last day judged.
        fit_items: Items it was fitted on.
        rounds: Rounds kept.
        assessment: On the days judged, baselines beside it.
    """

    first_day: date
    last_day: date
    fit_items: int
    rounds: int
    assessment: Assessment


@dataclass(frozen=True)
class Backtest:
    """All origins of one configuration on one member.

    Attributes:
        member_iso2: None for all members.
        origins: The oldest first.
        pooled: Every judged item at once, each scored by the model of its own origin. Scores of
            different trainings are put on one scale by their calibration.
    """

    member_iso2: str | None
    origins: tuple[Origin, ...]
    pooled: Assessment

    def as_json(self) -> dict[str, Any]:
        """Return the backtest for JSON."""
        return {
            "member": self.member_iso2 or "pooled",
            "origins": [
                {
                    "first_day": one.first_day.isoformat(),
                    "last_day": one.last_day.isoformat(),
                    "fit_items": one.fit_items,
                    "rounds": one.rounds,
                    "assessment": one.assessment.as_json(),
                }
                for one in self.origins
            ],
            "pooled": self.pooled.as_json(),
        }


def backtest(
    settings: Settings,
    config: ModelConfig,
    member_iso2: str | None,
    origins: int,
    days: int,
    until: date | None = None,
    told: Told = lambda done, of, words: None,
) -> Backtest:
    """Train at several origins and judge each on the days that followed.

    Args:
        settings: Where the marts are.
        config: What to train.
        member_iso2: None pools all members.
        origins: At most so many; those without enough labels before them are left out.
        days: Judged after each origin, without overlap.
        until: Last day judged; the last labelled day where left out.
        told: Called with trainings done, all trainings, and what runs.

    Raises:
        TidewaiterError: No origin has enough labels before it.
    """
    features = choose_features(feature_mart_columns(settings), config)
    chosen = config.features
    vocabularies = read_vocabularies(settings, chosen.categorical, member_iso2, chosen.largest_vocabulary)
    columns = (*features, *vocabularies)
    items = read_labelled(settings, config, member_iso2, columns, vocabularies)
    seed = config.seed_for(settings)
    found: list[tuple[Origin, Scored, list[Baseline]]] = []
    planned = origin_splits(items, config, origins, days, until)
    for place, (first, last, split) in enumerate(planned):
        told(place, len(planned), f"{first} to {last}")
        fitted = fit_bundle(items, split, config, seed, settings.threads, vocabularies)
        scored = score_items(fitted.bundle, items.take(split.test))
        baselines = [
            *simple_baselines(scored.items.declared_tax_usd, scored.items.risk_profile, seed),
            logistic_baseline(items.take(split.train), scored.items, seed, len(vocabularies)),
        ]
        assessment = assess(scored, baselines, config, seed, with_slices=False)
        origin = Origin(first, last, int(split.fit.sum()), fitted.rounds, assessment)
        found.append((origin, scored, baselines))
    told(len(planned), len(planned), "done")
    return Backtest(
        member_iso2, tuple(origin for origin, _, _ in found), _pooled(found, items, planned, config, seed)
    )


def origin_splits(
    items: LabelledItems, config: ModelConfig, origins: int, days: int, until: date | None = None
) -> list[tuple[date, date, Split]]:
    """Return first day, last day and split of every origin that has enough labels, the oldest first.

    Raises:
        TidewaiterError: None has.
    """
    last = until or date.fromisoformat(str(items.registered_day.max().astype("datetime64[D]")))
    found = []
    for _ in range(origins):
        first = last - timedelta(days=days - 1)
        split = split_at(items, config, first, last)
        if split is not None:
            found.append((first, last, split))
        last = first - timedelta(days=1)
    if not found:
        raise TidewaiterError(
            Problem(
                f"no origin has enough labels before it ({origins} of {days} days tried)",
                expected=f"{config.split.minimum_labels} labels, {config.split.minimum_irregular} irregular",
                next_step="fewer or shorter origins (--origins, --days), or earlier extracts",
            )
        )
    return found[::-1]


def figure_rows(found: Backtest, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one row per origin and one for all of them: figures of the model with intervals."""
    rows = [
        {"from": str(one.first_day), "to": str(one.last_day), "n": one.assessment.n}
        | _texts(one.assessment.rankings["model"], metrics)
        for one in found.origins
    ]
    pooled = {"from": "all", "to": "", "n": found.pooled.n} | _texts(found.pooled.rankings["model"], metrics)
    return [*rows, pooled]


def _texts(figures: Intervals, metrics: tuple[str, ...]) -> dict[str, str]:
    return {metric: figures[metric].as_text() if metric in figures else "" for metric in metrics}


def _pooled(
    found: list[tuple[Origin, Scored, list[Baseline]]],
    items: LabelledItems,
    planned: list[tuple[date, date, Split]],
    config: ModelConfig,
    seed: int,
) -> Assessment:
    judged = np.concatenate([np.flatnonzero(split.test) for _, _, split in planned])
    order = np.argsort(judged, kind="stable")

    def joined(parts: list[Any]) -> Any:
        return np.concatenate(parts)[order]

    probability = joined([scored.probability for _, scored, _ in found])
    scored = Scored(
        items=items.take(judged[order]),
        # Isotonic steps tie; the raw score orders within a step.
        score=probability + 1e-6 * joined([scored.score for _, scored, _ in found]),
        probability=probability,
        expected_recovery_usd=joined([scored.expected_recovery_usd for _, scored, _ in found]),
    )
    baselines = [
        Baseline(
            one.name,
            joined([each[place].score for _, _, each in found]),
            None
            if one.probability is None
            else joined([np.asarray(each[place].probability) for _, _, each in found]),
        )
        for place, one in enumerate(found[0][2])
    ]
    return assess(scored, baselines, config, seed)
