"""The model registry as rows for tables: what `tidewaiter models` prints."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from tidewaiter.settings import Settings

REPORTS = "reports"
_BASELINES = ("random_expected", "declared_duty", "risk_profile", "logistic_regression")
_BASELINE_METRICS = ("auc", "average_precision", "precision_at_05", "revenue_at_05")


def comparison(
    settings: Settings, references: list[str], *, every_metric: bool, page: Path | None
) -> tuple[list[dict[str, Any]], Path]:
    """Judge versions on the same rows, write the report, keep its pictures in MLflow.

    Args:
        settings: Where marts and registry are.
        references: `name`, `name@alias` or `name/version`; one bare name stands for all its versions.
        every_metric: All metrics instead of the headlines.
        page: Where the report goes; under the home folder where left out.

    Returns:
        One row per figure and the report's path.
    """
    from ml.comparison import MOST, compare
    from ml.report import write_report

    if len(references) == 1 and "/" not in references[0] and "@" not in references[0]:
        from ml import registry

        known = registry.show(settings, references[0])[-MOST:]
        references = [f"{found.model_name}/{found.version}" for found in known]
    compared = compare(settings, references)
    names = "_".join(f"{each.model_name}-v{each.version}" for each in compared.contenders)
    path = write_report(compared, page or settings.home / REPORTS / f"compare_{names}.html")
    _keep(compared, path)
    return _comparison_rows(compared, every_metric=every_metric), path


def _comparison_rows(compared: Any, *, every_metric: bool) -> list[dict[str, Any]]:
    from ml.assessment import BY_RECOVERY, MODEL
    from ml.plots import WORDS
    from ml.report import HEADLINES

    first, later = compared.contenders[0], compared.contenders[1:]
    wanted = [(metric, words, ranking) for metric, words, _, ranking in HEADLINES]
    if every_metric:
        known = {(metric, ranking) for metric, _, ranking in wanted}
        wanted += [
            (metric, f"{metric}{', by expected recovery' if ranking == BY_RECOVERY else ''}", ranking)
            for ranking in (MODEL, BY_RECOVERY)
            for metric in first.assessment.rankings[ranking]
            if (metric, ranking) not in known
        ]
    rows: list[dict[str, Any]] = []
    for segment in ("", "novel", "repeated") if every_metric else ("", "novel"):
        for metric, words, ranking in wanted:
            row: dict[str, Any] = {"figure": f"{words}, {segment} lines" if segment else words}
            for each in compared.contenders:
                row[each.label] = _text(_figures(each.assessment, segment, ranking).get(metric))
            prefix = f"{segment}/" if segment else ""
            key = f"{prefix}{BY_RECOVERY + '/' if ranking == BY_RECOVERY else ''}{metric}"
            for each in later:
                row[f"{each.label} minus the first"] = _text(compared.over_first[each.label].get(key), 4)
            if any(row[each.label] for each in compared.contenders):
                rows.append(row)
    for name in (known for known in _BASELINES if known in first.assessment.rankings):
        for metric in _BASELINE_METRICS:
            text = _text(first.assessment.rankings[name].get(metric))
            rows.append(
                dict.fromkeys(rows[0], "")
                | {"figure": f"{WORDS[name]}: {metric.replace('_', ' ')}", first.label: text}
            )
    same = f"{compared.n:,} rows, the same for all"
    return [*rows, dict.fromkeys(rows[0], "") | {"figure": "judged on", first.label: same}]


def _figures(assessment: Any, segment: str, ranking: str) -> dict[str, Any]:
    if not segment:
        return dict(assessment.rankings[ranking])
    part = assessment.segments.get(segment, {}).get(ranking)
    return {} if part is None else part.figures


def _text(one: Any, digits: int = 3) -> str:
    return "" if one is None else str(one.as_text(digits))


def _keep(compared: Any, page: Path) -> None:
    """Keep the report and its pictures with the run of the last version compared."""
    import mlflow

    from ml.plots import write_png
    from ml.report import figures_of
    from ml.tracking import scratch_folder

    client = mlflow.MlflowClient()
    run_id, folder_name = compared.contenders[-1].mlflow_run_id, f"comparisons/{page.stem}"
    with scratch_folder() as folder:
        for name, figure in figures_of(compared).items():
            client.log_artifact(run_id, str(write_png(figure, folder / f"{name}.png")), folder_name)
    client.log_artifact(run_id, str(page), folder_name)


def version_rows(settings: Settings, reference: str | None) -> list[dict[str, Any]]:
    """Return one row per registered version of a model, or of all models."""
    from ml import registry

    return [
        {
            "model": found.model_name,
            "version": found.version,
            "aliases": ", ".join(found.aliases),
            "average_precision": _with_bounds(found.metrics, "average_precision"),
            "precision_at_05": _with_bounds(found.metrics, "precision_at_05"),
            "novel_auc": found.metrics.get("novel/auc"),
            "calibration_error": found.metrics.get("calibration_error"),
            "labels": found.tags.get("selection", ""),
            "members": found.tags.get("members", ""),
            "data_version": found.tags.get("data_version", "")[:12],
            "git_commit": found.tags.get("git_commit", "")[:12],
            "mlflow_run_id": found.mlflow_run_id,
        }
        for found in registry.show(settings, reference)
    ]


def _with_bounds(metrics: dict[str, float], name: str) -> str:
    if name not in metrics:
        return ""
    low, high = metrics.get(f"low/{name}"), metrics.get(f"high/{name}")
    value = f"{metrics[name]:.3f}"
    return value if low is None or high is None else f"{value} ({low:.3f} to {high:.3f})"


def promotion_rows(
    settings: Settings, name: str, version: str, reason: str | None, *, force: bool
) -> list[dict[str, Any]]:
    """Promote a version and return what changed.

    Raises:
        GateRefused: The version does not beat the champion beyond the noise, or a limit is missed.
    """
    from ml import registry

    done = registry.promote(
        settings,
        name,
        version,
        actor=getpass.getuser(),
        reason=reason,
        force=force,
        gates=_gates_of(name),
    )
    return [_change(done) | done.figures]


def rollback_rows(settings: Settings, name: str, reason: str) -> list[dict[str, Any]]:
    """Make the former champion champion again and return what changed."""
    from ml import registry

    return [_change(registry.rollback(settings, name, actor=getpass.getuser(), reason=reason))]


def _gates_of(model_name: str) -> Any:
    """Return the limits that stand in the model's YAML now; None where no such file is shipped."""
    from ml.config import CONFIG_DIR, load_config

    path = CONFIG_DIR / f"{model_name.rpartition('-')[0]}.yaml"
    return load_config(path).gates if path.is_file() else None


def _change(done: Any) -> dict[str, Any]:
    return {
        "model": done.model_name,
        "champion": done.version,
        "former": done.former,
        "forced": done.forced,
    }


def card(settings: Settings, reference: str) -> str:
    """Return a version's model card as Markdown."""
    import mlflow

    from ml.card import CARD_FILE
    from ml.tracking import open_client
    from ml.versions import resolve

    version = resolve(open_client(settings), reference)
    return str(mlflow.artifacts.load_text(f"runs:/{version.run_id}/{CARD_FILE}"))


def fairness_rows(settings: Settings, reference: str) -> tuple[list[dict[str, Any]], str]:
    """Return a version's audit by group, and what it rests on."""
    import mlflow

    from ml.fairness import FAIRNESS_FILE
    from ml.resampling import Interval
    from ml.tracking import open_client
    from ml.versions import resolve

    version = resolve(open_client(settings), reference)
    stored = mlflow.artifacts.load_dict(f"runs:/{version.run_id}/{FAIRNESS_FILE}")
    figures = ("selected", "true_positive", "false_positive", "hit_rate", "calibration_gap")
    rows = [
        {"groups": dimension, "group": name, "n": found["n"]}
        | {figure: Interval.from_list(found[figure]).as_text() for figure in figures}
        | {"alarms": "; ".join(found["alarms"])}
        for dimension, groups in stored["groups"].items()
        for name, found in groups.items()
    ]
    return rows, f"Basis: {stored['basis']}. {stored['note']}"
