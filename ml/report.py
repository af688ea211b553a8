"""A comparison as one page that needs nothing else: tables, verdicts, pictures inline as SVG.

No script, no font, no address is loaded; it can be mailed and read anywhere. Every text from a registry or a
file is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import plots
from ml.assessment import BY_RECOVERY, MODEL, Intervals
from ml.comparison import Comparison, Contender
from ml.drift import REFERENCE_FILE, SCORE, Reference, psi, psi_of_matrix
from ml.resampling import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEMPLATE = "report.html.j2"
# Metric, words, whether more is better, and the ranking it is read from.
HEADLINES: tuple[tuple[str, str, bool, str], ...] = (
    ("auc", "AUC", True, MODEL),
    ("average_precision", "average precision", True, MODEL),
    ("precision_at_01", "precision at 1 %", True, MODEL),
    ("precision_at_02", "precision at 2 %", True, MODEL),
    ("precision_at_05", "precision at 5 %", True, MODEL),
    ("precision_at_10", "precision at 10 %", True, MODEL),
    ("recall_at_05", "recall at 5 %", True, MODEL),
    ("recall_at_10", "recall at 10 %", True, MODEL),
    ("precision_normalised_at_10", "precision at 10 %, of the best possible", True, MODEL),
    ("revenue_at_01", "revenue at 1 %, by expected recovery", True, BY_RECOVERY),
    ("revenue_at_05", "revenue at 5 %, by expected recovery", True, BY_RECOVERY),
    ("revenue_normalised_at_05", "revenue at 5 %, of the best possible", True, BY_RECOVERY),
    ("brier", "Brier score", False, MODEL),
    ("log_loss", "log loss", False, MODEL),
    ("calibration_error", "calibration error", False, MODEL),
    ("calibration_slope", "calibration slope (1 is right)", True, MODEL),
)
_NEUTRAL = ("calibration_slope",)
_BASELINE_METRICS = ("auc", "average_precision", "precision_at_05", "precision_at_10", "revenue_at_05")
_SLICE_METRICS = ("auc", "average_precision", "precision_at_05", "calibration_error")
_DRIFT_ROWS = 12


@dataclass(frozen=True)
class _Cell:
    value: str
    range: str = ""
    mark: str = ""


def write_report(comparison: Comparison, path: Path) -> Path:
    """Write the page to `path` and return it."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template(_TEMPLATE).render(_content(comparison)), encoding="utf-8")
    return path


def figures_of(comparison: Comparison) -> dict[str, Figure]:
    """Return the comparison's pictures by name: the page shows them, MLflow keeps them."""
    contenders = comparison.contenders
    items = contenders[0].scored.items
    truth, recovered = items.is_irregular, np.nan_to_num(items.recovered_usd, nan=0.0)
    title = f"{len(items):,} rows that no model has seen"
    compared = plots.baseline_series({one.name: one.score for one in comparison.baselines})
    models = [
        plots.Series(
            each.label, each.scored.score, _colour(place), each.scored.probability, is_emphasised=True
        )
        for place, each in enumerate(contenders)
    ]
    money = [
        plots.Series(each.label, each.scored.expected_recovery_usd, _colour(place), is_emphasised=True)
        for place, each in enumerate(contenders)
    ]
    found = {
        "precision_recall": plots.precision_recall(title, truth, [*compared, *models]),
        "revenue_curve": plots.revenue_curve(title, recovered, [*compared, *money]),
        "reliability": plots.reliability(title, truth, models),
    }
    if comparison.over_first:
        metrics = tuple(
            name for name, _, _, ranking in HEADLINES if ranking == MODEL and name not in _NEUTRAL
        )
        found["differences"] = plots.differences(
            f"Difference to {contenders[0].label}",
            "Paired, 95 % intervals from resampled weeks; right of zero is more",
            comparison.over_first,
            metrics,
        )
    for dimension, rows in _by_slice(contenders).items():
        if dimension == "month":
            found["over_time"] = plots.over_time(title, "Average precision", rows, "average_precision")
            found["error_over_time"] = plots.over_time(title, "Calibration error", rows, "calibration_error")
        else:
            found[f"slices_{dimension.replace(' ', '_')}"] = plots.forest(
                f"By {dimension}",
                "Average precision, 95 % intervals from resampled weeks",
                "Average precision",
                rows,
                "average_precision",
            )
    return found


def verdict_of(name: str, first: str, over: Intervals, metric: str = "average_precision") -> str:
    """Say in a sentence whether one version is better than another beyond chance."""
    one = over.get(metric)
    words = metric.replace("_", " ")
    if one is None or not np.isfinite(one.low):
        return f"{name} and {first}: too few weeks of labelled rows to tell them apart in {words}."
    range_ = f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
    if one.low > 0:
        return f"{name} beats {first} in {words} beyond the noise: {range_}."
    if one.high < 0:
        return f"{name} is behind {first} in {words} beyond the noise: {range_}."
    return f"{name} and {first} do not differ in {words} beyond the noise: {range_}."


def _content(comparison: Comparison) -> dict[str, Any]:
    from markupsafe import Markup

    contenders = comparison.contenders
    # Our own drawings: matplotlib escapes the texts inside.
    pictures = {name: Markup(plots.as_svg(one)) for name, one in figures_of(comparison).items()}  # noqa: S704
    first = contenders[0]
    windows = "; ".join(f"{member} {begin} to {end}" for member, (begin, end) in comparison.windows.items())
    drift_rows, drift_names = _drift(contenders)
    return {
        "title": " against ".join(each.label for each in contenders),
        "subtitle": f"The same {comparison.n:,} labelled rows for all: {windows}",
        "banner": first.assessment.banner,
        "verdicts": [verdict_of(name, first.label, over) for name, over in comparison.over_first.items()]
        or [f"One version only: {first.label}."],
        "figures": _figure_rows(comparison),
        "figure_columns": [
            "figure",
            *(each.label for each in contenders),
            *(f"{name} minus {first.label}" for name in comparison.over_first),
        ],
        "curves": [one for name, one in pictures.items() if not name.startswith(("slices", "over", "error"))],
        "slices": [one for name, one in pictures.items() if name.startswith("slices")],
        "over_time": [one for name, one in pictures.items() if name.startswith(("over", "error"))],
        "baselines": [
            {"name": plots.WORDS[name], "cells": [_cell(figures.get(metric)) for metric in _BASELINE_METRICS]}
            for name, figures in first.assessment.rankings.items()
            if name not in (MODEL, BY_RECOVERY)
        ],
        "baseline_columns": ["baseline", *(metric.replace("_", " ") for metric in _BASELINE_METRICS)],
        "slice_rows": _slice_rows(contenders),
        "slice_columns": ["slice", "n", "irregular", *_slice_columns(contenders)],
        "drift": drift_rows,
        "drift_columns": ["feature", *drift_names],
        "models": _model_rows(contenders),
        "model_columns": ["", *(each.label for each in contenders)],
        "n": f"{comparison.n:,}",
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _figure_rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for segment in ("", "novel"):
        for metric, words, more_is_better, ranking in HEADLINES:
            cells = [_cell(_figure(each, segment, ranking, metric)) for each in comparison.contenders]
            if not any(cell.value for cell in cells):
                continue
            key = (
                f"{segment + '/' if segment else ''}{ranking + '/' if ranking == BY_RECOVERY else ''}{metric}"
            )
            cells += [
                _difference(over.get(key), None if metric in _NEUTRAL else more_is_better)
                for over in comparison.over_first.values()
            ]
            rows.append({"name": f"{words}, novel lines" if segment else words, "cells": cells})
    return rows


def _figure(each: Contender, segment: str, ranking: str, metric: str) -> Interval | None:
    if not segment:
        return each.assessment.rankings[ranking].get(metric)
    part = each.assessment.segments.get(segment, {}).get(ranking)
    return None if part is None else part.figures.get(metric)


def _cell(one: Interval | None) -> _Cell:
    if one is None or not np.isfinite(one.value):
        return _Cell("")
    return _Cell(f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}" if np.isfinite(one.low) else "")


def _difference(one: Interval | None, more_is_better: bool | None) -> _Cell:
    if one is None or not np.isfinite(one.value):
        return _Cell("")
    if not np.isfinite(one.low):
        return _Cell(f"{one.value:+.4f}")
    mark = ""
    if more_is_better is not None and (one.low > 0 or one.high < 0):
        mark = "better" if (one.low > 0) == more_is_better else "worse"
    return _Cell(f"{one.value:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}", mark)


def _by_slice(contenders: tuple[Contender, ...]) -> dict[str, dict[str, dict[str, Intervals]]]:
    found: dict[str, dict[str, dict[str, Intervals]]] = {}
    for each in contenders:
        for dimension, parts in each.assessment.slices.items():
            for name, part in parts.items():
                label = name if dimension == "month" else f"{name} (n {part.n:,})"
                found.setdefault(dimension, {}).setdefault(label, {})[each.label] = part.figures
    return found


def _slice_rows(contenders: tuple[Contender, ...]) -> list[dict[str, Any]]:
    rows = []
    for dimension, parts in contenders[0].assessment.slices.items():
        for name, part in parts.items():
            cells = [_Cell(f"{part.n:,}"), _Cell(f"{part.irregular:,}")]
            for each in contenders:
                own = each.assessment.slices[dimension][name]
                cells += [_cell(own.figures.get(metric)) for metric in _SLICE_METRICS]
            rows.append({"name": f"{dimension}: {name}", "cells": cells})
    return rows


def _slice_columns(contenders: tuple[Contender, ...]) -> list[str]:
    return [f"{metric.replace('_', ' ')}, {each.label}" for each in contenders for metric in _SLICE_METRICS]


def _drift(contenders: tuple[Contender, ...]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return how far the rows lie from what each model was fitted on, the most moved features first."""
    found: dict[str, dict[str, float]] = {}
    names = []
    for each in contenders:
        reference = stored_reference(each.mlflow_run_id)
        if reference is None:
            continue
        names.append(each.label)
        scored = each.scored
        indexes = psi_of_matrix(
            reference, each.bundle.features, scored.items.matrix, each.config.drift.ignore
        )
        indexes = {SCORE: psi(reference.distributions[SCORE], scored.score), **indexes}
        for feature, index in indexes.items():
            found.setdefault(feature, {})[each.label] = index
    order = sorted(found, key=lambda name: (name != SCORE, -max(found[name].values()), name))
    return [
        {
            "name": feature,
            "cells": [_Cell(f"{found[feature][one]:.3f}" if one in found[feature] else "") for one in names],
        }
        for feature in order[:_DRIFT_ROWS]
    ], names


def stored_reference(mlflow_run_id: str) -> Reference | None:
    """Return the reference population of a run, None for a run from before there was one."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return Reference.from_json(mlflow.artifacts.load_dict(f"runs:/{mlflow_run_id}/{REFERENCE_FILE}"))
    except (MlflowException, OSError):
        return None


def _model_rows(contenders: tuple[Contender, ...]) -> list[dict[str, Any]]:
    described: dict[str, list[str]] = {}
    for each in contenders:
        boosting = each.config.boosting
        rows = {
            "MLflow run": each.mlflow_run_id,
            "target": each.config.target.replace("_", " "),
            "features": f"{len(each.bundle.features)}",
            "rounds": f"{each.bundle.probability.num_boosted_rounds()}",
            "depth": f"{boosting.max_depth}",
            "learning rate": f"{boosting.learning_rate}",
            "least information in a leaf": f"{boosting.min_child_weight}, scale {boosting.min_child_scale}",
            "calibration": each.bundle.calibrator.kind,
            "recovery": each.bundle.recovery.kind,
        }
        for name, value in rows.items():
            described.setdefault(name, []).append(value)
    return [{"name": name, "cells": [_Cell(value) for value in values]} for name, values in described.items()]


def _colour(place: int) -> str:
    return plots.MODEL_COLOURS[place % len(plots.MODEL_COLOURS)]
