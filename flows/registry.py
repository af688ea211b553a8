"""The model registry as rows for tables: what `tidewaiter models` prints."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any

from tidewaiter.settings import Settings

# The figures worth a row of a comparison; `--all` prints every one.
_HEADLINES = (
    "auc",
    "average_precision",
    "precision_at_01",
    "precision_at_02",
    "precision_at_05",
    "precision_at_10",
    "recall_at_05",
    "by_expected_recovery/revenue_at_05",
    "brier",
    "calibration_error",
    "calibration_slope",
    "novel/auc",
    "repeated/auc",
    "random_expected/precision_at_05",
    "declared_duty/precision_at_05",
    "risk_profile/precision_at_05",
    "logistic_regression/precision_at_05",
    "random_expected/revenue_at_05",
    "declared_duty/revenue_at_05",
)


def comparison_rows(settings: Settings, references: list[str], *, every_metric: bool) -> list[dict[str, Any]]:
    """Return one row per metric and one column per version.

    Args:
        settings: Where the registry is.
        references: `name`, `name@alias` or `name/version`. One bare name stands for all its
            versions, none for the champions of all models.
        every_metric: All metrics instead of the headlines.
    """
    from ml import registry

    if not references:
        known = registry.show(settings)
        references = [f"{found.model_name}/{found.version}" for found in known if "champion" in found.aliases]
    elif len(references) == 1 and "/" not in references[0] and "@" not in references[0]:
        known = registry.show(settings, references[0])
        references = [f"{found.model_name}/{found.version}" for found in known]
    compared = registry.compare(settings, references)
    names = [_label(version) for version in compared.versions]
    rows: list[dict[str, Any]] = [
        {"metric": metric} | dict(zip(names, values, strict=True))
        for metric, values in compared.metrics.items()
        if every_metric or metric in _HEADLINES
    ]
    order = {metric: position for position, metric in enumerate(_HEADLINES)}
    rows.sort(key=lambda row: (order.get(row["metric"], len(order)), row["metric"]))
    same = "yes" if compared.same_test_rows else "no: compare with care"
    return [*rows, {"metric": "judged on the same rows"} | dict.fromkeys(names, same)]


def version_rows(settings: Settings, reference: str | None) -> list[dict[str, Any]]:
    """Return one row per registered version of a model, or of all models."""
    from ml import registry

    return [
        {
            "model": found.model_name,
            "version": found.version,
            "aliases": ", ".join(found.aliases),
            "average_precision": found.metrics.get("average_precision"),
            "precision_at_05": found.metrics.get("precision_at_05"),
            "members": found.tags.get("members", ""),
            "data_version": found.tags.get("data_version", "")[:12],
            "git_commit": found.tags.get("git_commit", "")[:12],
            "mlflow_run_id": found.mlflow_run_id,
        }
        for found in registry.show(settings, reference)
    ]


def promotion_rows(
    settings: Settings, name: str, version: str, reason: str | None, *, force: bool
) -> list[dict[str, Any]]:
    """Promote a version and return what changed.

    Raises:
        GateRefused: The version is worse than the champion on the same rows.
    """
    from ml import registry

    done = registry.promote(settings, name, version, actor=getpass.getuser(), reason=reason, force=force)
    return [
        {
            "model": done.model_name,
            "champion": done.version,
            "former": done.former,
            "average_precision": _figure(done.figures, "challenger"),
            "former_average_precision": _figure(done.figures, "champion"),
            "forced": done.forced,
        }
    ]


def _figure(figures: Mapping[str, float], name: str) -> float | None:
    return figures.get(name)


def _label(version: Any) -> str:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    return f"{version.model_name} v{version.version}{aliases}"
