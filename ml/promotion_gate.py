"""What a challenger must show on the rows that it shares with the champion.

Three questions, all answered before anything is refused: is it better beyond the noise, does its
probability mean what it says, does it treat groups alike. A limit is missed where the figure's whole
interval lies outside: what chance alone explains refuses nobody, and promotes nobody either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.assessment import MODEL
from ml.choices import GateChoice
from ml.comparison import Comparison, compare
from ml.fairness import audit
from ml.resampling import Interval
from tidewaiter.errors import Problem
from tidewaiter.settings import Settings

_NEXT = "train again, or promote with --force and --reason"


@dataclass(frozen=True)
class Verdict:
    """The gate's answer.

    Attributes:
        figures: The metric of both, and the paired difference with its bounds where it has some.
        problems: Why the challenger is refused; empty where it passes.
    """

    figures: dict[str, float]
    problems: tuple[Problem, ...]


def judge_challenger(
    settings: Settings, model_name: str, challenger: str, champion: str, gates: GateChoice | None = None
) -> Verdict:
    """Judge a challenger against the champion on the rows that neither has seen.

    Raises:
        TidewaiterError: There are no such rows, or features are missing.
    """
    compared = compare(
        settings, [f"{model_name}/{champion}", f"{model_name}/{challenger}"], with_slices=False
    )
    limits = gates or compared.contenders[1].config.gates
    figures, better = _is_better(compared, limits, model_name)
    problems = [better, *_calibration(compared, limits, model_name), *_fairness(compared, limits, settings)]
    return Verdict(figures, tuple(problem for problem in problems if problem is not None))


def _is_better(
    compared: Comparison, limits: GateChoice, model_name: str
) -> tuple[dict[str, float], Problem | None]:
    champion, challenger = compared.contenders
    metric, words = limits.metric, limits.metric.replace("_", " ")
    own = challenger.assessment.rankings[MODEL].get(metric)
    other = champion.assessment.rankings[MODEL].get(metric)
    over = compared.over_first[challenger.label].get(metric)
    if own is None or other is None or over is None:
        return {}, Problem(f"no {words} on the common rows", where=model_name, next_step=_NEXT)
    found = {
        f"{metric}_challenger": own.value,
        f"{metric}_champion": other.value,
        f"{metric}_difference": over.value,
        f"{metric}_difference_low": over.low,
        f"{metric}_difference_high": over.high,
    }
    figures = {name: value for name, value in found.items() if np.isfinite(value)}
    if over.low > 0:
        return figures, None
    weeks = challenger.assessment.weeks
    range_ = (
        f"{over.low:+.4f} to {over.high:+.4f}" if np.isfinite(over.low) else f"no interval on {weeks} weeks"
    )
    return figures, Problem(
        f"{words} {own.value:.4f} of version {challenger.version} does not exceed {other.value:.4f} of"
        f" champion {champion.version} beyond the noise: difference {over.value:+.4f} ({range_})",
        where=model_name,
        expected=f"a difference whose 95 % interval lies above zero, on the same {compared.n:,} rows",
        next_step=_NEXT,
    )


def _calibration(compared: Comparison, limits: GateChoice, model_name: str) -> list[Problem]:
    challenger = compared.contenders[1]
    figures = challenger.assessment.rankings[MODEL]
    found = []
    error = figures.get("calibration_error")
    if error is not None and _low(error) > limits.calibration_error_at_most:
        found.append(
            Problem(
                f"calibration error {error.value:.3f} of version {challenger.version}",
                where=model_name,
                expected=f"at most {limits.calibration_error_at_most}",
                next_step=_NEXT,
            )
        )
    slope, (low, high) = figures.get("calibration_slope"), limits.calibration_slope_between
    if slope is None or _high(slope) < low or _low(slope) > high:
        value = "not defined" if slope is None else f"{slope.value:.2f}"
        found.append(
            Problem(
                f"calibration slope {value} of version {challenger.version}",
                where=model_name,
                expected=f"between {low} and {high}",
                next_step=_NEXT,
            )
        )
    return found


def _fairness(compared: Comparison, limits: GateChoice, settings: Settings) -> list[Problem]:
    champion, challenger = compared.contenders
    config = challenger.config.model_copy(update={"gates": limits})
    seed = config.seed_for(settings)
    reports = [
        audit(each.scored, each.bundle.lane_thresholds["RED"], config, seed, with_guesses=False)
        for each in (champion, challenger)
    ]
    return [
        Problem(
            f"version {challenger.version}: {alarm}",
            where=challenger.model_name,
            expected=f"groups treated alike (basis: {reports[1].basis};"
            f" the champion has {len(reports[0].alarms)} alarms)",
            next_step=_NEXT,
        )
        for alarm in reports[1].alarms
    ]


def _low(one: Interval) -> float:
    return one.low if np.isfinite(one.low) else one.value


def _high(one: Interval) -> float:
    return one.high if np.isfinite(one.high) else one.value
