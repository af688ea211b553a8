"""The pictures kept beside each run and in each report, for a data scientist who was not there.

Each function draws one figure from series of scores; `report` and `train` choose which. Colours are
Okabe and Ito's, apart for the colour-blind.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.assessment import Intervals
from ml.data import Floats, Mask
from ml.evaluate import inspected

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODEL_COLOURS = ("#0b5394", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_ORACLE = "#7f7f7f"
BASELINE_COLOURS = {
    "risk_profile": "#e69f00",
    "declared_duty": "#009e73",
    "logistic_regression": "#cc79a7",
    "random_expected": "#999999",
}
WORDS = {
    "risk_profile": "risk profile",
    "declared_duty": "declared duty",
    "logistic_regression": "logistic regression",
    "random_expected": "random",
    "random_draw": "random, one draw",
    "model": "model",
    "by_expected_recovery": "model, by expected recovery",
}
_TOP_FEATURES = 20
_CURVE_POINTS = 400
_PR_POINTS = 600
_SUBTITLE_DOWN_PT = 25


@dataclass(frozen=True)
class Series:
    """One ranking in a plot.

    Attributes:
        name: As the legend says it.
        score: Higher is inspected earlier.
        colour: Hex.
        probability: Where it claims one.
        is_emphasised: A model rather than a baseline: a thicker line.
        dash: Matplotlib's line style.
    """

    name: str
    score: Floats
    colour: str
    probability: Floats | None = None
    is_emphasised: bool = False
    dash: str = "-"

    @property
    def width(self) -> float:
        """Line width in points."""
        return 2.4 if self.is_emphasised else 1.3


def baseline_series(scores: dict[str, Floats]) -> list[Series]:
    """Return the baselines that belong in a picture, in their own colours."""
    return [
        Series(WORDS[name], score, BASELINE_COLOURS[name], dash=":" if name == "random_expected" else "-")
        for name, score in scores.items()
        if name in BASELINE_COLOURS
    ]


def write_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG. No software stamp: the same figures give the same bytes."""
    figure.savefig(path, dpi=130, metadata={"Software": None})
    return path


def as_svg(figure: Figure) -> str:
    """Return a figure as an `<svg>` element, without date or generator, to stand in a page."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "tidewaiter", "svg.fonttype": "path"}):
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def precision_recall(title: str, truth: Mask, series: list[Series]) -> Figure:
    """Precision over recall of every series, with its average precision."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    base = f"{truth.mean():.1%} of {len(truth):,} labelled items are irregular"
    figure, axes = _canvas(title, f"Precision and recall (AP: average precision); {base}")
    for one in series:
        if np.ptp(one.score) == 0:
            axes.axhline(truth.mean(), color=one.colour, linestyle=":", label=one.name)
            continue
        precision, recall, _ = precision_recall_curve(truth, one.score)
        label = f"{one.name} (AP {average_precision_score(truth, one.score):.3f})"
        # The curve's end at recall 0 is a convention, not a measurement.
        x, y = _thinned(recall[:-1], precision[:-1], _PR_POINTS)
        axes.plot(x, y, color=one.colour, lw=one.width, label=label, linestyle=one.dash)
    axes.set(xlabel="Recall: share of irregular items found", ylabel="Precision: share found irregular")
    axes.set(xlim=(0, 1), ylim=(0, 1.03))
    _legend(figure)
    return figure


def revenue_curve(title: str, recovered: Floats, series: list[Series]) -> Figure:
    """Share of all revenue recovered, by share of items inspected, with the order that knew the truth."""
    total = float(recovered.sum())
    figure, axes = _canvas(title, f"Share of the {total:,.0f} USD recovered, by share of items inspected")
    shares = np.unique(np.concatenate([np.linspace(0.001, 0.1, _CURVE_POINTS // 2), np.linspace(0.1, 1, 60)]))
    for one in [*series, Series("oracle", recovered, _ORACLE, dash="--")]:
        curve = captured(one.score, recovered, shares) / (total or 1.0)
        axes.plot(
            100 * shares, 100 * curve, color=one.colour, lw=one.width, linestyle=one.dash, label=one.name
        )
    axes.set_xscale("log")
    axes.set_xticks([0.1, 1, 2, 5, 10, 20, 50, 100], ["0.1", "1", "2", "5", "10", "20", "50", "100"])
    axes.set(xlim=(0.1, 100), ylim=(0, 103))
    axes.set(xlabel="Items inspected, % (logarithmic)", ylabel="Revenue recovered, % of all")
    _legend(figure)
    return figure


def captured(score: Floats, recovered: Floats, shares: Floats) -> Floats:
    """Return the USD recovered at each share, ties spread evenly, as in `figures`."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    _, block = np.unique(-ranked, return_inverse=True)
    mean = np.bincount(block, weights=recovered[order]) / np.bincount(block)
    cumulated = np.concatenate([[0.0], np.cumsum(mean[block])])
    return np.asarray(cumulated[[inspected(len(score), float(share)) for share in shares]])


def reliability(title: str, truth: Mask, series: list[Series]) -> Figure:
    """Observed rate over predicted probability in ten bins, with intervals and the bins' sizes."""
    figure, axes = _canvas(title, "Calibration: ten bins of equal width, 95 % intervals")
    axes.plot([0, 1], [0, 1], color=_ORACLE, linestyle="--", lw=1.2, label="perfectly calibrated")
    shown = [(one, one.probability) for one in series if one.probability is not None]
    for one, probability in shown:
        position = np.minimum((probability * 10).astype(np.int64), 9)
        n = np.bincount(position, minlength=10).astype(np.float64)
        filled = n > 0
        predicted = np.bincount(position, weights=probability, minlength=10)[filled] / n[filled]
        observed = np.bincount(position, weights=truth, minlength=10)[filled] / n[filled]
        low, high = wilson(observed, n[filled])
        error = [observed - low, high - observed]
        axes.errorbar(predicted, observed, yerr=error, fmt="o", color=one.colour, capsize=3, label=one.name)
        if len(shown) == 1:
            for x, y, count in zip(predicted, high, n[filled], strict=True):
                place: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
                axes.annotate(f"{count:,.0f}", (x, y), (0, 5), **place)
    axes.set(xlabel="Calibrated probability", ylabel="Observed share irregular")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.08))
    _legend(figure)
    return figure


def wilson(rate: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Return Wilson's (1927) score interval of a rate at 95 %."""
    z = 1.96
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.minimum(centre - half, rate), np.maximum(centre + half, rate)


def importance(title: str, weight: dict[str, float], subtitle: str, unit: str) -> Figure:
    """The features that weigh most, as bars."""
    shown = list(weight.items())[:_TOP_FEATURES][::-1]
    figure, axes = _canvas(title, subtitle, 1.6 + 0.26 * max(len(shown), 1))
    axes.barh([name for name, _ in shown], [value for _, value in shown], color=MODEL_COLOURS[0], height=0.7)
    for row, (_, value) in enumerate(shown):
        place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
        axes.annotate(f"{value:.3g}", (value, row), (4, 0), **place)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set(xlabel=unit)
    axes.margins(x=0.08)
    return figure


def forest(
    title: str, subtitle: str, unit: str, rows: dict[str, dict[str, Intervals]], metric: str
) -> Figure:
    """One figure with its interval by slice (row) and model (colour): `rows[slice][model]`."""
    names = list(rows)[::-1]
    models = list(dict.fromkeys(model for parts in rows.values() for model in parts))
    step = 0.7 / max(len(models), 1)
    figure, axes = _canvas(title, subtitle, 1.7 + 0.24 * len(names) * max(1.0, 0.7 * len(models)))
    for position, model in enumerate(models):
        found = [(y, rows[name][model].get(metric)) for y, name in enumerate(names) if model in rows[name]]
        points = [(y - position * step + 0.35 - step / 2, one) for y, one in found if one is not None]
        if not points:
            continue
        value = np.asarray([one.value for _, one in points])
        low = np.asarray([value_or(one.low, one.value) for _, one in points])
        high = np.asarray([value_or(one.high, one.value) for _, one in points])
        axes.errorbar(
            value,
            [y for y, _ in points],
            xerr=[np.maximum(value - low, 0), np.maximum(high - value, 0)],
            fmt="o",
            markersize=4.5,
            capsize=2,
            color=MODEL_COLOURS[position % len(MODEL_COLOURS)],
            label=model,
        )
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=unit, ylim=(-0.7, len(names) - 0.3))
    _legend(figure)
    return figure


def differences(title: str, subtitle: str, found: dict[str, Intervals], metrics: tuple[str, ...]) -> Figure:
    """Paired differences of several figures with their intervals, beside the line of no difference."""
    rows = {
        metric.replace("_", " "): {
            name: {"difference": one[metric]} for name, one in found.items() if metric in one
        }
        for metric in metrics
    }
    figure = forest(title, subtitle, "Difference", {k: v for k, v in rows.items() if v}, "difference")
    figure.axes[0].axvline(0, color=_ORACLE, lw=1.2, linestyle="--", zorder=1)
    return figure


def over_time(title: str, unit: str, months: dict[str, dict[str, Intervals]], metric: str) -> Figure:
    """One figure by month and model: `months[month][model]`."""
    figure, axes = _canvas(title, "By month of registration, 95 % intervals from resampled weeks")
    names = sorted(months)
    models = list(dict.fromkeys(model for parts in months.values() for model in parts))
    for position, model in enumerate(models):
        found = [
            (x, months[name][model].get(metric)) for x, name in enumerate(names) if model in months[name]
        ]
        points = [(x, one) for x, one in found if one is not None]
        value = np.asarray([one.value for _, one in points])
        low = np.asarray([value_or(one.low, one.value) for _, one in points])
        high = np.asarray([value_or(one.high, one.value) for _, one in points])
        axes.errorbar(
            np.asarray([x for x, _ in points]) + 0.06 * (position - (len(models) - 1) / 2),
            value,
            yerr=[np.maximum(value - low, 0), np.maximum(high - value, 0)],
            fmt="o-",
            capsize=3,
            color=MODEL_COLOURS[position % len(MODEL_COLOURS)],
            label=model,
        )
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) < 9 else 60, fontsize=9)
    axes.set(ylabel=unit)
    _legend(figure)
    return figure


def dependence(title: str, feature: str, value: Floats, contribution: Floats, colour: Floats) -> Figure:
    """Contribution of one feature to the log-odds over its value, one point per item."""
    figure, axes = _canvas(title, f"{feature}: contribution to the log-odds, one point per item")
    known = np.isfinite(value)
    points = axes.scatter(
        value[known], contribution[known], c=colour[known], s=8, cmap="cividis", alpha=0.7, vmin=0, vmax=1
    )
    if (~known).any():
        mean = float(contribution[~known].mean())
        axes.axhline(mean, color=_ORACLE, lw=1.2, linestyle=":", label=f"not known: {mean:+.2f} on average")
        _legend(figure)
    figure.colorbar(points, ax=axes, label="Calibrated probability")
    axes.set(xlabel=feature, ylabel="Contribution to the log-odds")
    return figure


def heat(title: str, subtitle: str, names: list[str], values: Floats) -> Figure:
    """A symmetric matrix of how strongly features act together."""
    figure, axes = _canvas(title, subtitle, 6.4)
    axes.grid(visible=False)
    shown = axes.imshow(values, cmap="cividis")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    figure.colorbar(shown, ax=axes, label="Mean absolute interaction, log-odds")
    return figure


def value_or(value: float, otherwise: float) -> float:
    """Return the value where it is a number."""
    return value if np.isfinite(value) else otherwise


def _canvas(title: str, subtitle: str, height: float = 5.2) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import ScaledTranslation

    figure = Figure(figsize=(8, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # Over the whole width, because long names of features leave the axes little; the second line of the
    # title is kept free for the subtitle.
    figure.suptitle(f"{title}\n", x=0.01, ha="left", fontsize=12, fontweight="bold")
    below = figure.transFigure + ScaledTranslation(0, -_SUBTITLE_DOWN_PT / 72, figure.dpi_scale_trans)
    figure.text(0.01, 1.0, subtitle, transform=below, va="top", fontsize=9.5, color="#444444")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _thinned(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    if len(x) <= points:
        return x, y
    chosen = np.unique(np.linspace(0, len(x) - 1, points).astype(np.int64))
    return x[chosen], y[chosen]


def _legend(figure: Figure) -> None:
    """Below the plot, where it hides no line."""
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
