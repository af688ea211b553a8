"""Time-ordered windows: learn from the past, calibrate on what followed, judge on the last days.

A label enters training only when it was known before the next window began: label maturity by
`label_at`, not by a constant. Windows are each member's own, because members' extracts end on
different days.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ml.choices import SplitChoice
from ml.config import ModelConfig
from ml.data import LabelledItems, Mask
from tidewaiter.errors import Problem, TidewaiterError

_LOG = logging.getLogger(__name__)
_PARTS = ("fit", "late", "calibration", "test")


@dataclass(frozen=True)
class Windows:
    """The windows of one member, inclusive local dates.

    Attributes:
        train_from: First day with a labelled item.
        calibration_from: First day of the calibration window.
        test_from: First day of the test window.
        test_to: Last day with a labelled item.
    """

    train_from: date
    calibration_from: date
    test_from: date
    test_to: date

    def as_text(self) -> dict[str, str]:
        """Return the dates as ISO text, for JSON and tags."""
        return {name: day.isoformat() for name, day in asdict(self).items()}


@dataclass(frozen=True)
class Split:
    """Which labelled items serve for what. Masks over the items, pairwise disjoint.

    Attributes:
        fit: Registered and label known before the calibration window.
        calibration: Registered in the calibration window, label known before the test window.
        test: Registered in the test window.
        windows: The windows by member.
        late: Registered before the calibration window, label known within it: too late to be fitted on
            before calibration, early enough to be learnt from before the test window.
    """

    fit: Mask
    calibration: Mask
    test: Mask
    windows: dict[str, Windows]
    late: Mask | None = None

    @property
    def train(self) -> Mask:
        """All that is known before the test window: what a baseline, and a model in the end, learns from."""
        known = self.fit | self.calibration
        return known if self.late is None else known | self.late


def split_items(items: LabelledItems, config: ModelConfig) -> Split:
    """Split labelled items into fit, calibration and test, member by member.

    With several members, one without enough labels is left out with a warning; its items are in no
    window.

    Raises:
        TidewaiterError: No member has enough labels; says what each one lacks.
    """
    masks = {name: np.zeros(len(items), dtype=bool) for name in _PARTS}
    windows: dict[str, Windows] = {}
    lacking: list[Problem] = []
    for member in sorted(set(items.member_iso2)):
        own = items.member_iso2 == member
        found = windows_of(items.registered_day[own], config.split)
        parts = _assign(items.registered_day, items.label_at, own, found)
        lack = _what_lacks(items, parts, config.split)
        if lack:
            lacking.append(_not_enough(member, lack, config.split))
            continue
        windows[member] = found
        for name, mask in parts.items():
            masks[name] |= mask
    if not windows:
        raise TidewaiterError(lacking)
    for problem in lacking:
        _LOG.warning("left out of pooled training: %s", problem)
    return Split(masks["fit"], masks["calibration"], masks["test"], windows, masks["late"])


def split_at(items: LabelledItems, config: ModelConfig, test_from: date, test_to: date) -> Split | None:
    """Split items as if the calendar stood at `test_from`; None where no member has enough labels then.

    The same rules as `split_items`: what is known later than the windows allow serves for nothing.
    """
    masks = {name: np.zeros(len(items), dtype=bool) for name in _PARTS}
    windows: dict[str, Windows] = {}
    inside = items.registered_day <= np.datetime64(test_to)
    calibration_from = test_from - timedelta(days=config.split.calibration_days)
    for member in sorted(set(items.member_iso2)):
        own = (items.member_iso2 == member) & inside
        if not own.any():
            continue
        first = _as_date(items.registered_day[own].min())
        found = Windows(first, calibration_from, test_from, test_to)
        parts = _assign(items.registered_day, items.label_at, own, found)
        if not _what_lacks(items, parts, config.split):
            windows[member] = found
            for name, mask in parts.items():
                masks[name] |= mask
    if not windows:
        return None
    return Split(masks["fit"], masks["calibration"], masks["test"], windows, masks["late"])


def windows_of(registered_day: NDArray[np.datetime64], choice: SplitChoice) -> Windows:
    """Cut the labelled period: its last `test_days`, and before them `calibration_days`."""
    first, last = _as_date(registered_day.min()), _as_date(registered_day.max())
    test_from = last - timedelta(days=choice.test_days - 1)
    return Windows(first, test_from - timedelta(days=choice.calibration_days), test_from, last)


def _assign(
    day: NDArray[np.datetime64], label_at: NDArray[np.datetime64], own: Mask, windows: Windows
) -> dict[str, Mask]:
    calibration_from = np.datetime64(windows.calibration_from)
    test_from = np.datetime64(windows.test_from)
    return {
        "fit": own & (day < calibration_from) & (label_at < calibration_from),
        "late": own & (day < calibration_from) & (label_at >= calibration_from) & (label_at < test_from),
        "calibration": own & (day >= calibration_from) & (day < test_from) & (label_at < test_from),
        "test": own & (day >= test_from),
    }


def _what_lacks(items: LabelledItems, parts: dict[str, Mask], choice: SplitChoice) -> str:
    known = int(parts["fit"].sum())
    irregular = int(items.is_irregular[parts["fit"]].sum())
    if known < choice.minimum_labels or irregular < choice.minimum_irregular:
        return f"{known} matured labels before the calibration window, {irregular} of them irregular"
    if irregular == known:
        return "every matured label before the calibration window is irregular"
    for name in ("calibration", "test"):
        if not parts[name].any():
            return f"no labelled item in the {name} window"
    return ""


def _not_enough(member: str, lack: str, choice: SplitChoice) -> Problem:
    return Problem(
        f"too few labels to train on: {lack}",
        where=f"member {member}",
        expected=f"{choice.minimum_labels} labels, {choice.minimum_irregular} irregular,"
        f" before the last {choice.calibration_days + choice.test_days} days",
        next_step="land earlier extracts, or score with the pooled model",
    )


def _as_date(day: np.datetime64) -> date:
    return date.fromisoformat(str(day.astype("datetime64[D]")))
