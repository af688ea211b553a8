"""The power curve of A1 as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ml.integrity.evaluate.summary import Power
from ml.integrity.evaluate.targets import best_power

_SIZE, _DPI = (7.2, 4.2), 100
_COLOURS = ("#9e9e9e", "#7b6fb0", "#2b6cb0", "#2e7d32", "#e0a100", "#b2182b")


def draw_power(rows: Sequence[Power], tests: float, path: Path) -> None:
    """Draw the share of pairs found by files of the broker, one colour for each diversion.

    Points are what was found, with exact intervals of 95 %; lines what an exact test of one pair could reach.
    """
    # The canvas without a window, as elsewhere: a server has none.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    files = np.geomspace(100, 20_000, 60)
    # One share of an even draw for all lines, so that they differ by the diversion alone.
    share = float(np.median([row.share_median for row in rows]))
    diversions = sorted({row.diversion for row in rows})
    for number, diversion in enumerate(diversions):
        some = [row for row in rows if row.diversion == diversion]
        colour = _COLOURS[number % len(_COLOURS)]
        middle = replace(some[0], share_median=share)
        axes.plot(files, [best_power(middle, tests, one) for one in files], color=colour, linewidth=1.2)
        # A little apart, so that intervals do not cover each other.
        place = np.array([row.files_median for row in some]) * 1.03 ** (number - len(diversions) / 2)
        value = np.array([row.found.value for row in some])
        edges = np.array([row.found.interval for row in some]).T
        axes.errorbar(
            place,
            value,
            yerr=np.maximum([value - edges[0], edges[1] - value], 0),
            fmt="o",
            markersize=4.5,
            capsize=2,
            elinewidth=0.8,
            color=colour,
            label=f"{100 * diversion:g} %",
        )
    axes.set_xscale("log")
    ticks = [100, 300, 1_000, 3_000, 10_000]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xlabel("files of the broker that were drawn among inspectors, in two years")
    axes.set_ylabel("share of pairs found")
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="diverted", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_title("A1: pairs found, and what an exact test of one pair could reach (lines)", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
