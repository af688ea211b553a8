"""Funnel plots: an indicator's units by size, within the limits that chance alone keeps to.

Counts are shown as observed over expected; means and slopes as effect over support with limits that narrow
by its square root (Spiegelhalter 2005, Statistics in Medicine 24). Limits of counts are those of a Poisson
number, drawn in or out by one factor so that they agree with the exact tests: where two inspectors share an
office, chance scatters the files of a pair far less than a Poisson number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml.plots import MODEL_COLOURS, _canvas, _legend

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

INNER, OUTER = 0.05, 0.002  # outside in a twentieth and in a five-hundredth of honest units
_LINE, _DOT, _FLAG, _OWN = "#5b6875", "#9aa7b2", MODEL_COLOURS[1], MODEL_COLOURS[0]
_MOST_TIMES = 12.0
_FEWEST_TELLING = 5


@dataclass(frozen=True)
class Funnel:
    """What a funnel plot shows.

    Attributes:
        x, y: Size and value of each unit.
        is_flagged: To be checked.
        is_own: The entity of a dossier.
        grid, inner, outer: Limits (low, high) along x.
        centre: Where chance alone would put everybody.
        x_label, y_label: With units.
    """

    x: Floats
    y: Floats
    is_flagged: NDArray[np.bool_]
    is_own: NDArray[np.bool_]
    grid: Floats
    inner: tuple[Floats, Floats]
    outer: tuple[Floats, Floats]
    centre: float
    x_label: str
    y_label: str


def funnel_of(rows: pa.Table, entity_id: str | None = None) -> Funnel | None:
    """Return the funnel of one indicator's tested rows of one kind and period; None for fewer than three."""
    tested = [value is not None for value in rows["p_value"].to_pylist()]
    rows = rows.filter(tested)
    if rows.num_rows < 3:
        return None
    observed, expected, effect, support, low, high = (
        rows[name].to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("observed", "expected", "effect_size", "support", "effect_low", "effect_high")
    )
    flagged = np.asarray(rows["is_flagged"].to_pylist(), dtype=bool)
    units, others = rows["unit_id"].to_pylist(), rows["counterpart_id"].to_pylist()
    own = np.asarray(
        [
            entity_id is not None and entity_id in (unit, *(other or "").split())
            for unit, other in zip(units, others, strict=True)
        ]
    )
    if _is_count(observed, expected):
        p_value = rows["p_value"].to_numpy(zero_copy_only=False).astype(np.float64)
        spread = spread_over_poisson(observed, expected, p_value, rows["tail"].to_pylist())
        return _of_counts(observed, expected, flagged, own, str(rows["observed_unit"][0]), spread)
    label = f"{rows['effect_name'][0]} ({rows['effect_unit'][0]})"
    return _of_means(effect, support, high - low, flagged, own, label)


def draw(funnel: Funnel, title: str, subtitle: str) -> Figure:
    """Draw a funnel. Points outside are to be checked; they are not findings."""
    figure, axes = _canvas(title, subtitle, 4.6)
    for limits, style, share in ((funnel.inner, "--", INNER), (funnel.outer, "-", OUTER)):
        for place, limit in enumerate(limits):
            label = f"about {100 * (1 - share):g} % of what chance makes lies within" if place == 0 else None
            axes.plot(funnel.grid, limit, color=_LINE, lw=1.1, linestyle=style, label=label)
    axes.axhline(funnel.centre, color=_LINE, lw=0.8)
    plain = ~funnel.is_flagged & ~funnel.is_own
    axes.scatter(funnel.x[plain], funnel.y[plain], s=14, color=_DOT, alpha=0.8, lw=0, label="others")
    flagged = funnel.is_flagged & ~funnel.is_own
    if flagged.any():
        axes.scatter(
            funnel.x[flagged], funnel.y[flagged], s=34, marker="D", color=_FLAG, lw=0, label="to be checked"
        )
    own = (
        (funnel.is_own & ~funnel.is_flagged, "white", 1.0, "this dossier"),
        (funnel.is_own & funnel.is_flagged, _FLAG, 2.4, "this dossier, to be checked"),
    )
    for points, edge, width, label in own:
        if points.any():
            axes.scatter(
                funnel.x[points],
                funnel.y[points],
                s=64,
                marker="D",
                facecolor=_OWN,
                edgecolor=edge,
                linewidth=width,
                label=label,
                zorder=5,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    within_a_decade = funnel.grid[-1] < 8 * funnel.grid[0]
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:,.3g}" if within_a_decade else "")
    axes.set(xlabel=funnel.x_label, ylabel=funnel.y_label)
    _keep_points_in_view(axes, funnel)
    _legend(figure)
    return figure


def _is_count(observed: Floats, expected: Floats) -> bool:
    whole = np.abs(observed - np.round(observed)) < 1e-9
    return bool(whole.all() and (expected > 0).all() and observed.max() > 1)


def spread_over_poisson(observed: Floats, expected: Floats, p_value: Floats, tails: list[str]) -> float:
    """Return how wide chance scatters these counts, as a multiple of Poisson numbers; 1 where too few tell.

    Each unit's distance from its expectation on the square-root scale, against the distance that its exact
    p-value has on the normal scale; the median over units beyond half a standard deviation. A square root
    of the dispersion factor of Spiegelhalter (2005), taken from the tests instead of from the scatter, which
    the units to be checked would widen.
    """
    from scipy import stats

    tail = np.asarray(tails)
    both = tail == "both"
    upper = np.where(tail == "low", 1 - p_value, np.where(both, p_value / 2, p_value))
    in_deviations = stats.norm.isf(upper)
    # Exact tails hold the count itself: half of it lies on this side of the normal's edge.
    is_low = (tail == "low") | (both & (observed < expected))
    distances = 2 * (np.sqrt(np.maximum(observed + np.where(is_low, 0.5, -0.5), 0)) - np.sqrt(expected))
    # Where both tails count, the p-value does not say on which side the unit lies.
    distances = np.where(both & is_low, -distances, distances)
    telling = np.isfinite(in_deviations) & (np.abs(in_deviations) > 0.5) & (in_deviations * distances > 0)
    if telling.sum() < _FEWEST_TELLING:
        return 1.0
    return float(np.median(distances[telling] / in_deviations[telling]))


def _of_counts(
    observed: Floats,
    expected: Floats,
    flagged: NDArray[np.bool_],
    own: NDArray[np.bool_],
    unit: str,
    spread: float,
) -> Funnel:
    from scipy import stats

    grid = np.geomspace(max(expected.min() * 0.9, 1e-3), expected.max() * 1.1, 200)
    # Counts are about normal on the square-root scale (Anscombe 1948); exact limits would be saw-toothed.
    reach = [spread * stats.norm.isf(share / 2) / 2 for share in (INNER, OUTER)]
    limits = [
        (np.maximum(np.sqrt(grid) - one, 0) ** 2 / grid, (np.sqrt(grid) + one) ** 2 / grid) for one in reach
    ]
    return Funnel(
        expected,
        observed / expected,
        flagged,
        own,
        grid,
        limits[0],
        limits[1],
        1.0,
        f"Expected {unit} (logarithmic)",
        "Observed over expected",
    )


def _of_means(
    effect: Floats,
    support: Floats,
    width: Floats,
    flagged: NDArray[np.bool_],
    own: NDArray[np.bool_],
    label: str,
) -> Funnel:
    from scipy import stats

    grid = np.geomspace(max(support.min() * 0.9, 1e-3), support.max() * 1.1, 200)
    # Standard deviation of one piece of support, from the intervals' widths.
    spread = float(np.nanmedian(width * np.sqrt(support))) / (2 * 1.96)
    centre = float(np.nanmedian(effect))
    limits = []
    for share in (INNER, OUTER):
        half = stats.norm.ppf(1 - share / 2) * spread / np.sqrt(grid)
        limits.append((centre - half, centre + half))
    return Funnel(
        effect * 0 + support,
        effect,
        flagged,
        own,
        grid,
        limits[0],
        limits[1],
        centre,
        "Support (logarithmic)",
        label.capitalize(),
    )


def _keep_points_in_view(axes: object, funnel: Funnel) -> None:
    """Limits at tiny sizes run far beyond any point: the points decide what is seen."""
    low, high = float(np.nanmin(funnel.y)), float(np.nanmax(funnel.y))
    reach = max(high - funnel.centre, funnel.centre - low, 1e-9) * 1.25
    axes.set_ylim(max(funnel.centre - reach, min(low, funnel.centre) - 0.1 * reach), funnel.centre + reach)  # type: ignore[attr-defined]
