"""The pictures kept beside each run, for a data scientist who was not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.data import Floats, LabelledItems, Mask
from ml.evaluate import inspected

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MODEL = "#0b5394"
_MODEL_BY_SCORE = "#56b4e9"
_ORACLE = "#7f7f7f"
# Okabe and Ito's palette, apart for the colour-blind.
_OTHERS = {
    "risk_profile": "#e69f00",
    "declared_duty": "#009e73",
    "logistic_regression": "#cc79a7",
    "random_expected": "#999999",
}
_WORDS = {
    "risk_profile": "risk profile",
    "declared_duty": "declared duty",
    "logistic_regression": "logistic regression",
    "random_expected": "random",
}
_TOP_FEATURES = 20
_CURVE_POINTS = 400


def draw_all(
    folder: Path,
    title: str,
    test: LabelledItems,
    score: Floats,
    probability: Floats,
    expected_recovery_usd: Floats,
    baseline_scores: dict[str, Floats],
    gain: dict[str, float],
) -> list[Path]:
    """Write every plot into `folder` and return the files.

    Args:
        folder: An existing folder.
        title: Model and test window, above each plot.
        test: The test items.
        score: The model's ranking of them.
        probability: Its calibrated probability.
        expected_recovery_usd: Probability times recovery, the ranking for revenue.
        baseline_scores: The baselines' rankings by name.
        gain: Share of total gain by feature, largest first.
    """
    shown = {name: values for name, values in baseline_scores.items() if name in _OTHERS}
    recovered = np.nan_to_num(test.recovered_usd, nan=0.0)
    figures = {
        "precision_recall": _precision_recall(title, test.is_irregular, score, shown),
        "revenue_curve": _revenue_curve(title, recovered, score, expected_recovery_usd, shown),
        "reliability": _reliability(title, test.is_irregular, probability),
        "feature_importance": _importance(title, gain),
    }
    written = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        # No software stamp: the same figures give the same bytes.
        figure.savefig(path, dpi=130, metadata={"Software": None})
        written.append(path)
    return written


def _canvas(title: str, subtitle: str, height: float = 5.2) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(f"{title}\n", loc="left", fontsize=12, fontweight="bold")
    axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=9.5, color="#444444")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _precision_recall(title: str, truth: Mask, score: Floats, others: dict[str, Floats]) -> Figure:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    base = f"{truth.mean():.1%} of {len(truth):,} labelled items are irregular"
    figure, axes = _canvas(title, f"Precision and recall (AP: average precision); {base}")
    for name, values in [*others.items(), ("", score)]:
        if name == "random_expected":
            axes.axhline(truth.mean(), color=_OTHERS[name], linestyle=":", label="random")
            continue
        precision, recall, _ = precision_recall_curve(truth, values)
        label = f"{_WORDS.get(name, 'model')} (AP {average_precision_score(truth, values):.3f})"
        width = 1.4 if name else 2.6
        # The curve's end at recall 0 is a convention, not a measurement.
        axes.step(
            recall[:-1], precision[:-1], where="post", color=_OTHERS.get(name, _MODEL), lw=width, label=label
        )
    axes.set(xlabel="Recall: share of irregular items found", ylabel="Precision: share found irregular")
    axes.set(xlim=(0, 1), ylim=(0, 1.03))
    _legend(figure)
    return figure


def _revenue_curve(
    title: str, recovered: Floats, score: Floats, expected: Floats, others: dict[str, Floats]
) -> Figure:
    total = float(recovered.sum())
    figure, axes = _canvas(title, f"Share of the {total:,.0f} USD recovered, by share of items inspected")
    shares = np.unique(np.concatenate([np.linspace(0.001, 0.1, _CURVE_POINTS), np.linspace(0.1, 1, 100)]))
    by_score, by_money = "model, by probability", "model, by expected recovery"
    rankings = {**others, by_score: score, by_money: expected, "oracle": recovered}
    own: dict[str, dict[str, Any]] = {
        by_score: {"color": _MODEL_BY_SCORE, "lw": 2.2},
        by_money: {"color": _MODEL, "lw": 2.6},
        "oracle": {"color": _ORACLE, "lw": 1.4, "linestyle": "--"},
    }
    for name, values in rankings.items():
        curve = _captured(values, recovered, shares) / (total or 1.0)
        style = own.get(name) or {"color": _OTHERS[name], "lw": 1.4}
        axes.plot(100 * shares, 100 * curve, label=_WORDS.get(name, name), **style)
    axes.set_xscale("log")
    axes.set_xticks([0.1, 1, 2, 5, 10, 20, 50, 100], ["0.1", "1", "2", "5", "10", "20", "50", "100"])
    axes.set(xlim=(0.1, 100), ylim=(0, 103))
    axes.set(xlabel="Items inspected, % (logarithmic)", ylabel="Revenue recovered, % of all")
    _legend(figure)
    return figure


def _captured(score: Floats, recovered: Floats, shares: Floats) -> Floats:
    """Recovered USD at each share, ties spread evenly, as in `evaluate`."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    _, block = np.unique(-ranked, return_inverse=True)
    mean = np.bincount(block, weights=recovered[order]) / np.bincount(block)
    cumulated = np.concatenate([[0.0], np.cumsum(mean[block])])
    return np.asarray(cumulated[[inspected(len(score), float(share)) for share in shares]])


def _reliability(title: str, truth: Mask, probability: Floats) -> Figure:
    figure, axes = _canvas(title, "Calibration on the test window: ten bins of equal width, 95 % intervals")
    position = np.minimum((probability * 10).astype(np.int64), 9)
    n = np.bincount(position, minlength=10).astype(np.float64)
    filled = n > 0
    predicted = np.bincount(position, weights=probability, minlength=10)[filled] / n[filled]
    observed = np.bincount(position, weights=truth, minlength=10)[filled] / n[filled]
    low, high = _wilson(observed, n[filled])
    axes.plot([0, 1], [0, 1], color=_ORACLE, linestyle="--", lw=1.2, label="perfectly calibrated")
    axes.errorbar(
        predicted,
        observed,
        yerr=[observed - low, high - observed],
        fmt="o",
        color=_MODEL,
        capsize=3,
        label="model",
    )
    for x, y, count in zip(predicted, high, n[filled], strict=True):
        axes.annotate(f"{count:,.0f}", (x, y), (0, 5), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xlabel="Calibrated probability", ylabel="Observed share irregular (number: items in the bin)")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.08))
    _legend(figure)
    return figure


def _wilson(rate: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Wilson's (1927) score interval at 95 %."""
    z = 1.96
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.minimum(centre - half, rate), np.maximum(centre + half, rate)


def _importance(title: str, gain: dict[str, float]) -> Figure:
    shown = list(gain.items())[:_TOP_FEATURES][::-1]
    figure, axes = _canvas(
        title,
        f"The {len(shown)} features that reduced the loss most, % of total gain",
        1.6 + 0.26 * len(shown),
    )
    axes.barh([name for name, _ in shown], [100 * share for _, share in shown], color=_MODEL, height=0.7)
    for row, (_, share) in enumerate(shown):
        axes.annotate(
            f"{100 * share:.1f}",
            (100 * share, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set(xlabel="Share of total gain, %")
    axes.margins(x=0.08)
    return figure


def _legend(figure: Figure) -> None:
    """Below the plot, where it hides no line."""
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
