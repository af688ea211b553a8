"""What members gain from each other: a member with few labels, taught by the others.

The test protocol of leave-one-member-out (Park, Kim and Cha, AAAI 2022, ask the same question of their own
method): the others' labels, and 0, 200, 1,000 or 5,000 of the member's own, judged on the member's last
days. Three ways are compared: `local` learns from its own labels alone, `transfer` from the others' and its
own, which weigh more the more there are, `pooled` from everybody's and all of its own (the upper bound).

One thing is kinder than life: features such as past rates rest on all labels that the member has, also those
that a row of the table does not learn from. It is equally kind to all three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml.assessment import Scored, differences, intervals, judged, sample_of
from ml.baselines import simple_baselines
from ml.boosting import fit_bundle
from ml.config import ModelConfig, choose_features
from ml.data import LabelledItems, Mask, feature_mart_columns, read_labelled
from ml.figures import Worlds
from ml.judging import score_items
from ml.resampling import Interval
from ml.splits import Split, split_items
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.settings import Settings

LABELS = (0, 200, 1_000, 5_000)
METRICS = ("revenue_at_05", "precision_at_05", "recall_at_05", "average_precision", "auc")
_LOCAL, _TRANSFER, _POOLED, _PROFILE, _DUTY = "local", "transfer", "pooled", "risk_profile", "declared_duty"
# n own labels hold n / (n + this) of all weight: so many say as much about the member as all the others do.
_OWN_LABELS_WORTH_THE_OTHERS = 2_000
_LARGEST_OWN_WEIGHT = 50.0
_CALIBRATION_SHARE = 0.3
# Rounds are stopped and scores calibrated on own labels where there are so many, else on the others'.
_FEWEST_TO_CALIBRATE = 300

Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Transfer:
    """One member at one number of its own labels.

    Attributes:
        member_iso2: The receiving member.
        labels: Own labels used; the latest ones.
        test_items: Items judged.
        figures: By way of learning and metric.
        gain: Transfer minus local, paired; empty without own labels.
        is_negative: The transfer is worse than local beyond the noise, in revenue or average precision.
    """

    member_iso2: str
    labels: int
    test_items: int
    figures: dict[str, dict[str, Interval]]
    gain: dict[str, Interval]
    is_negative: bool

    def ratio(self, metric: str = "revenue_at_05") -> float:
        """Return transfer by local."""
        local = self.figures.get(_LOCAL, {}).get(metric)
        own = self.figures[_TRANSFER].get(metric)
        if local is None or own is None or local.value <= 0:
            return float("nan")
        return own.value / local.value


def leave_one_out(
    settings: Settings,
    config: ModelConfig,
    members: list[str] | None = None,
    labels: tuple[int, ...] = LABELS,
    told: Told = lambda done, of, words: None,
) -> list[Transfer]:
    """Let every member be taught by the others and judge it on its own last days.

    Args:
        settings: Where the marts are.
        config: What to train; native categories are left out, because codes of offices are a member's own.
        members: Receiving members; all that have enough labels where left out.
        labels: Numbers of own labels; those a member does not have are left out.
        told: Called with steps done, all steps, and what runs.

    Raises:
        TidewaiterError: Fewer than two members have enough labels.
    """
    items = read_labelled(settings, config, None, choose_features(feature_mart_columns(settings), config))
    split = split_items(items, config)
    known = sorted(split.windows)
    if len(known) < 2:
        raise TidewaiterError(
            Problem(
                f"only {', '.join(known) or 'no member'} has enough labels",
                expected="two members or more",
                next_step="tidewaiter ingest the extracts of other members",
            )
        )
    chosen = [member for member in known if members is None or member in members]
    found = []
    steps = [(member, n) for member in chosen for n in labels]
    for place, (member, n) in enumerate(steps):
        told(place, len(steps), f"{member}, {n:,} labels")
        one = _one(settings, config, items, split, member, n)
        if one is not None:
            found.append(one)
    told(len(steps), len(steps), "done")
    return found


def _one(
    settings: Settings, config: ModelConfig, items: LabelledItems, split: Split, member: str, n: int
) -> Transfer | None:
    own = items.member_iso2 == member
    test = items.take(split.test & own)
    available = np.flatnonzero(split.train & own)
    if n > len(available):
        return None
    latest = available[np.argsort(items.registered_day[available], kind="stable")][len(available) - n :]
    shown = np.zeros(len(items), dtype=bool)
    shown[latest] = True
    seed = config.seed_for(settings)
    scored = {
        _TRANSFER: _taught(items, split, own, shown, config, seed, settings.threads, test),
        _POOLED: _taught(items, split, own, split.train & own, config, seed, settings.threads, test),
    }
    if n and 0 < int(items.is_irregular[latest].sum()) < n:
        nobody = np.zeros(len(items), dtype=bool)
        local = replace(split, fit=nobody, calibration=nobody)
        scored[_LOCAL] = _taught(items, local, own, shown, _for_few(config), seed, settings.threads, test)
    worlds = {name: _judge(each, config, seed) for name, each in scored.items()}
    for baseline in simple_baselines(test.declared_tax_usd, test.risk_profile, seed):
        if baseline.name in (_PROFILE, _DUTY):
            one = Scored(test, baseline.score, np.zeros(len(test)), baseline.score)
            worlds[baseline.name] = _judge(one, config, seed)
    gain = differences(worlds[_TRANSFER], worlds[_LOCAL]) if _LOCAL in worlds else {}
    watched = [gain[metric] for metric in ("revenue_at_05", "average_precision") if metric in gain]
    return Transfer(
        member_iso2=member,
        labels=n,
        test_items=len(test),
        figures={name: intervals(found) for name, found in worlds.items()},
        gain=gain,
        is_negative=any(one.high < 0 for one in watched),
    )


def _taught(
    items: LabelledItems,
    split: Split,
    own: Mask,
    shown: Mask,
    config: ModelConfig,
    seed: int,
    threads: int,
    test: LabelledItems,
) -> Scored:
    """Fit on the others' windows and the own labels that are shown, and score the test items.

    The newest own labels calibrate where there are enough of them; else the others' calibration window
    does.
    """
    others_fit, others_later = split.fit & ~own, split.calibration & ~own
    mine = np.flatnonzero(shown)
    mine = mine[np.argsort(items.registered_day[mine], kind="stable")]
    later_n = int(len(mine) * _CALIBRATION_SHARE)
    can_calibrate = later_n >= _FEWEST_TO_CALIBRATE or not others_fit.any()
    my_fit, my_later = _masks(len(items), mine, later_n if can_calibrate else 0)
    fit = others_fit | my_fit
    later = my_later if can_calibrate and my_later.any() else others_later
    weight = np.ones(len(items))
    if others_fit.any() and my_fit.any():
        each = float(others_fit.sum()) / _OWN_LABELS_WORTH_THE_OTHERS
        weight[my_fit] = min(_LARGEST_OWN_WEIGHT, max(1.0, each))
    taught = replace(items, selection_probability=1.0 / weight) if others_fit.any() else items
    weights = config.weights.model_copy(update={"maximum": _LARGEST_OWN_WEIGHT})
    chosen = config.model_copy(update={"weights": weights}) if others_fit.any() else config
    bundle = fit_bundle(taught, Split(fit, later, split.test, split.windows), chosen, seed, threads).bundle
    return score_items(bundle, test)


def _for_few(config: ModelConfig) -> ModelConfig:
    """Return a configuration that can split a few hundred items: a local model that cannot is no rival."""
    light = {"min_child_weight": 1.0, "min_child_scale": 0.0, "reg_lambda": 1.0}
    return config.model_copy(update={"boosting": config.boosting.model_copy(update=light)})


def _masks(n: int, mine: Any, later_n: int) -> tuple[Mask, Mask]:
    fit, later = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    fit[mine[: len(mine) - later_n]] = True
    later[mine[len(mine) - later_n :]] = True
    return fit, later


def _judge(scored: Scored, config: ModelConfig, seed: int) -> Worlds:
    """Judge revenue by expected recovery, everything else by score."""
    sample = sample_of(scored.items, config, seed)
    shares = config.evaluation.inspection_shares
    by_score = judged(scored.score, None, sample, shares)
    by_money = judged(scored.expected_recovery_usd, None, sample, shares)
    return by_score | {name: worlds for name, worlds in by_money.items() if name.startswith("revenue")}
