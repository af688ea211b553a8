"""The timeline of an entity: what each indicator said, period by period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ml.plots import MODEL_COLOURS, _canvas, _legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOT, _FLAG = "#9aa7b2", MODEL_COLOURS[1]
_LEAST_P = 1e-8


def draw_timeline(history: list[dict[str, Any]]) -> Figure | None:
    """Draw one row per indicator: a dot per look, the larger the less chance explains it; None for no look.

    Args:
        history: Rows with `indicator_id`, `period_end`, `p_value`, `is_flagged`.
    """
    if not history:
        return None
    names = sorted({row["indicator_id"] for row in history}, reverse=True)
    figure, axes = _canvas(
        "Over time",
        "End of each look; the larger the dot, the less likely by chance",
        1.9 + 0.34 * len(names),
    )
    for flagged, colour, label in ((False, _DOT, "tested"), (True, _FLAG, "to be checked")):
        rows = [row for row in history if bool(row["is_flagged"]) is flagged]
        if not rows:
            continue
        size = [12 + 22 * -np.log10(max(row["p_value"], _LEAST_P)) for row in rows]
        axes.scatter(
            [row["period_end"] for row in rows],
            [names.index(row["indicator_id"]) for row in rows],
            s=size,
            color=colour,
            alpha=0.9,
            lw=0,
            label=label,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.tick_params(axis="y", length=0)
    figure.autofmt_xdate(rotation=0, ha="center")
    _legend(figure)
    return figure
