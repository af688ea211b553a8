"""What people do with registered models: show them, compare them, promote a challenger.

Results are plain dataclasses; printing is the command line's. How versions come into being is in
`versions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.config import ModelConfig
from ml.data import LabelledItems, feature_mart_columns, read_labelled
from ml.evaluate import Evaluation, evaluate
from ml.tracking import open_client
from ml.versions import (
    CHALLENGER,
    CHAMPION,
    all_versions,
    load_version,
    resolve,
    unknown,
    version_by_alias,
)
from tidewaiter.errors import GateRefused, Problem, TidewaiterError, UsageProblem
from tidewaiter.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_GATE_METRIC = "average_precision"


@dataclass(frozen=True)
class VersionSummary:
    """One registered version, as commands print it.

    Attributes:
        model_name: Such as `irregularity-kr`.
        version: Number as text.
        aliases: `champion`, `challenger`, or none.
        mlflow_run_id: The run that trained it.
        tags: Data version, training key, windows, who promoted it and why.
        metrics: On the test window of its own training.
    """

    model_name: str
    version: str
    aliases: tuple[str, ...]
    mlflow_run_id: str
    tags: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Versions side by side.

    Attributes:
        versions: In the order asked for.
        metrics: Metric to one value per version, None where it has none.
        same_test_rows: Whether all were judged on the same test rows; figures compare only then.
    """

    versions: tuple[VersionSummary, ...]
    metrics: dict[str, tuple[float | None, ...]]
    same_test_rows: bool


@dataclass(frozen=True)
class Promotion:
    """What a promotion changed.

    Attributes:
        model_name: Such as `irregularity-kr`.
        version: The champion now.
        former: The champion before, or None.
        figures: The gate's metric of both on the same rows; empty where nothing was compared.
        forced: Whether the gate was overruled.
    """

    model_name: str
    version: str
    former: str | None
    figures: dict[str, float]
    forced: bool


def show(settings: Settings, model_name: str | None = None) -> list[VersionSummary]:
    """Return all versions of one model, or of all models, by name and number.

    Raises:
        UsageProblem: There is no such model.
    """
    client = open_client(settings)
    known = sorted(model.name for model in client.search_registered_models(max_results=1000))
    if model_name is not None and model_name not in known:
        raise unknown("model", model_name, known)
    names = known if model_name is None else [model_name]
    return [_summary(client, version) for name in names for version in all_versions(client, name)]


def compare(settings: Settings, references: list[str]) -> Comparison:
    """Put versions side by side.

    Args:
        settings: Where the registry is.
        references: Each `name@alias` or `name/version`; a bare name is its champion.

    Raises:
        UsageProblem: A reference names no version.
    """
    client = open_client(settings)
    versions = tuple(_summary(client, resolve(client, reference)) for reference in references)
    names = sorted({name for version in versions for name in version.metrics})
    metrics = {name: tuple(version.metrics.get(name) for version in versions) for name in names}
    rows = {version.tags.get("test_rows") for version in versions}
    return Comparison(versions, metrics, same_test_rows=len(rows) == 1 and None not in rows)


def promote(
    settings: Settings,
    model_name: str,
    version: str,
    *,
    actor: str,
    reason: str | None = None,
    force: bool = False,
) -> Promotion:
    """Make a version the champion, if it is not worse than the present one.

    Both are scored again on the same rows: what is labelled now in the challenger's test window.
    Its average precision must not be below the champion's. Who promoted, why and the figures become
    tags of the version.

    Args:
        settings: Where registry and marts are.
        model_name: Such as `irregularity-kr`.
        version: The number as text.
        actor: Who asks, for the record.
        reason: Why; required with `force`.
        force: Promote although the gate refuses.

    Raises:
        GateRefused: The challenger is worse; carries both figures.
        UsageProblem: Unknown version, or `force` without a reason.
    """
    if force and not reason:
        raise UsageProblem(Problem("--force needs a reason", where=model_name, next_step="add --reason"))
    client = open_client(settings)
    challenger = resolve(client, f"{model_name}/{version}")
    champion = version_by_alias(client, model_name, CHAMPION)
    former = None if champion is None else str(champion.version)
    if former == version:
        return Promotion(model_name, version, former, {}, forced=False)
    figures: dict[str, float] = {}
    forced = False
    if champion is not None:
        champion = client.get_model_version(model_name, str(champion.version))
        figures = _gate_figures(settings, client, challenger, champion)
        forced = figures["challenger"] < figures["champion"]
        if forced and not force:
            raise _refusal(model_name, version, str(champion.version), figures)
    tags = {
        "promoted_by": actor,
        "promoted_reason": reason or "",
        "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "promoted_over": former or "",
        "promotion_forced": str(forced).lower(),
        **{f"promotion_{_GATE_METRIC}_{name}": f"{value:.6f}" for name, value in figures.items()},
    }
    for name, value in tags.items():
        client.set_model_version_tag(model_name, version, name, value)
    client.set_registered_model_alias(model_name, CHAMPION, version)
    waiting = version_by_alias(client, model_name, CHALLENGER)
    if waiting is not None and str(waiting.version) == version:
        client.delete_registered_model_alias(model_name, CHALLENGER)
    return Promotion(model_name, version, former, figures, forced)


def _gate_figures(
    settings: Settings, client: MlflowClient, challenger: ModelVersion, champion: ModelVersion
) -> dict[str, float]:
    import mlflow

    stored = mlflow.artifacts.load_dict(f"runs:/{challenger.run_id}/config.json")
    windows = mlflow.artifacts.load_dict(f"runs:/{challenger.run_id}/windows.json")
    config = ModelConfig.model_validate(stored)
    judged = {
        name: _judge(settings, config, version, windows)
        for name, version in (("challenger", challenger), ("champion", champion))
    }
    lacking = [name for name, result in judged.items() if _GATE_METRIC not in result.figures]
    if lacking:
        raise TidewaiterError(
            Problem(
                "the challenger's test window holds no irregular and regular labelled items",
                where=challenger.name,
                next_step="tidewaiter transform, or promote with --force and a reason",
            )
        )
    return {name: result.figures[_GATE_METRIC] for name, result in judged.items()}


def _judge(
    settings: Settings, config: ModelConfig, version: ModelVersion, windows: dict[str, dict[str, str]]
) -> Evaluation:
    bundle = load_version(version, settings.threads)
    missing = [name for name in bundle.features if name not in feature_mart_columns(settings)]
    if missing:
        raise TidewaiterError(
            Problem(
                f"the feature mart lacks {', '.join(missing)}",
                where=f"{version.name}/{version.version}",
                next_step="tidewaiter train on the present features",
            )
        )
    member = version.tags.get("member")
    items = read_labelled(settings, config, None if member == "pooled" else member, bundle.features)
    test = items.take(_in_windows(items, windows))
    return evaluate(
        bundle.score(test.matrix), test.is_irregular, test.recovered_usd, config.evaluation.inspection_shares
    )


def _in_windows(items: LabelledItems, windows: dict[str, dict[str, str]]) -> Any:
    inside = np.zeros(len(items), dtype=bool)
    for member, window in windows.items():
        first, last = (np.datetime64(date.fromisoformat(window[end])) for end in ("test_from", "test_to"))
        inside |= (
            (items.member_iso2 == member) & (items.registered_day >= first) & (items.registered_day <= last)
        )
    return inside


def _refusal(model_name: str, version: str, champion: str, figures: dict[str, float]) -> GateRefused:
    return GateRefused(
        Problem(
            f"average precision {figures['challenger']:.4f} of version {version} is below"
            f" {figures['champion']:.4f} of champion {champion}",
            where=model_name,
            expected="a challenger that is not worse on the same test rows",
            next_step="promote with --force and --reason, or train again",
        )
    )


def _summary(client: MlflowClient, version: ModelVersion) -> VersionSummary:
    version = client.get_model_version(version.name, str(version.version))
    metrics: dict[str, Any] = client.get_run(version.run_id).data.metrics
    return VersionSummary(
        model_name=version.name,
        version=str(version.version),
        aliases=tuple(sorted(version.aliases)),
        mlflow_run_id=version.run_id,
        tags=dict(version.tags),
        metrics=dict(sorted(metrics.items())),
    )
