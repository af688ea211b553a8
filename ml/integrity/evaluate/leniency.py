"""How much leniency can be known from findings, over how much is missed and how much was examined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.integrity.evaluate.statistics import power_of_too_few
from ml.integrity.evaluate.summary import SOON_DAYS, World, tests_in_term

SCENARIO, INDICATOR = "S9", "B1"
MISSED = (0.25, 0.5, 0.75, 1.0)
DAYS = (SOON_DAYS, 2 * SOON_DAYS, 4 * SOON_DAYS, 8 * SOON_DAYS)
_LEVEL = 0.05
_SIZE, _DPI = (7.2, 4.2), 100
_COLOURS = ("#9e9e9e", "#2b6cb0", "#2e7d32", "#b2182b")


@dataclass(frozen=True)
class Leniency:
    """What the standard worlds say of their lenient inspectors.

    Attributes:
        parts: How many there are.
        expected_soon: Findings that honest colleagues would have made in one's first 90 days, the median.
        missed: Share of those that are missing.
        tests: Among which B1's level is shared in a term.
    """

    parts: int
    expected_soon: float
    missed: float
    tests: float

    def power(self, missed: float, expected: float, *, is_told: bool) -> float:
        """Return the power of an exact lower tail of the findings.

        Args:
            missed: Share of findings that are missing.
            expected: Findings that honest colleagues would have made.
            is_told: Whom to look at is known; else the level is what is left to each of all tests.
        """
        level = _LEVEL if is_told else _LEVEL / max(self.tests, 1.0)
        return power_of_too_few(expected, 1 - missed, level)


def leniency(worlds: Sequence[World]) -> Leniency | None:
    """Return what is known of the lenient, or None without a standard world."""
    standard = [world for world in worlds if world.kind == "standard"]
    rows = [
        one for world in standard for one in world.record.get("evidence", []) if one["scenario"] == SCENARIO
    ]
    expected = sum(one["expected"] for one in rows)
    if not expected:
        return None
    return Leniency(
        len(rows),
        float(np.median([one["expected"] for one in rows])),
        1 - sum(one["observed"] for one in rows) / expected,
        tests_in_term(standard, INDICATOR),
    )


def draw_leniency(known: Leniency, path: Path) -> None:
    """Draw the power over the findings expected, one colour for each share that is missed."""
    # The canvas without a window, as elsewhere: a server has none.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    expected = np.geomspace(5, 400, 160)
    for missed, colour in zip(MISSED, _COLOURS, strict=True):
        for is_told in (False, True):
            axes.plot(
                expected,
                [known.power(missed, one, is_told=is_told) for one in expected],
                color=colour,
                linewidth=1.0 if is_told else 1.6,
                linestyle=":" if is_told else "-",
                label=None if is_told else f"{missed:.0%}",
            )
    for days in DAYS:
        place = known.expected_soon * days / SOON_DAYS
        axes.axvline(place, color="#555555", linewidth=0.7, linestyle="--")
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.annotate(f"{days} days", (place, 1.035), fontsize=8, ha="center", color="#555555", bbox=box)
    axes.axhline(0.9, color="#555555", linewidth=0.5)
    axes.set_xscale("log")
    ticks = [5, 10, 20, 50, 100, 200, 400]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("findings that honest colleagues would have made in the inspector's files")
    axes.set_ylabel("probability to be found")
    axes.set_ylim(-0.03, 1.08)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="missed", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_title("Leniency: all inspectors tested (lines), told whom to test (dots)", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
