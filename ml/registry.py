"""What people do with registered models: show them, promote a challenger, go back to the one before.

Results are plain dataclasses; printing is the command line's. How versions come into being is in
`versions`, what a challenger must show in `promotion_gate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ml.choices import GateChoice
from ml.promotion_gate import judge_challenger
from ml.tracking import open_client
from ml.versions import (
    CHALLENGER,
    CHAMPION,
    all_versions,
    resolve,
    unknown,
    version_by_alias,
)
from tidewaiter.errors import GateRefused, Problem, UsageProblem
from tidewaiter.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_OVER = "promoted_over"


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
class Promotion:
    """What a promotion changed.

    Attributes:
        model_name: Such as `irregularity-kr`.
        version: The champion now.
        former: The champion before, or None.
        figures: The gate's metric of both on the same rows, and their difference with its bounds; empty
            where nothing was compared.
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


def promote(
    settings: Settings,
    model_name: str,
    version: str,
    *,
    actor: str,
    reason: str | None = None,
    force: bool = False,
    gates: GateChoice | None = None,
) -> Promotion:
    """Make a version the champion, if it beats the present one and its gates hold.

    Both are judged again on the same rows: what is labelled now and neither has seen. Who promoted, why
    and the figures become tags of the version.

    Args:
        settings: Where registry and marts are.
        model_name: Such as `irregularity-kr`.
        version: The number as text.
        actor: Who asks, for the record.
        reason: Why; required with `force`.
        force: Promote although the gate refuses.
        gates: The limits; those the version was trained with where left out.

    Raises:
        GateRefused: The challenger does not beat the champion beyond the noise, or misses calibration
            or fairness limits; carries every reason at once.
        UsageProblem: Unknown version, or `force` without a reason.
    """
    if force and not reason:
        raise UsageProblem(Problem("--force needs a reason", where=model_name, next_step="add --reason"))
    client = open_client(settings)
    resolve(client, f"{model_name}/{version}")
    champion = version_by_alias(client, model_name, CHAMPION)
    former = None if champion is None else str(champion.version)
    if former == version:
        return Promotion(model_name, version, former, {}, forced=False)
    figures: dict[str, float] = {}
    forced = False
    if former is not None:
        verdict = judge_challenger(settings, model_name, version, former, gates)
        figures, forced = verdict.figures, bool(verdict.problems)
        if verdict.problems and not force:
            raise GateRefused(verdict.problems)
    _crown(client, model_name, version, former, actor, reason, figures, forced=forced)
    return Promotion(model_name, version, former, figures, forced)


def rollback(settings: Settings, model_name: str, *, actor: str, reason: str) -> Promotion:
    """Make the version champion that was champion before the present one. No gate: time is short.

    Raises:
        UsageProblem: There is no champion, or none before it.
    """
    client = open_client(settings)
    champion = resolve(client, f"{model_name}@{CHAMPION}")
    former = champion.tags.get(_OVER)
    if not former:
        raise UsageProblem(
            Problem(
                f"version {champion.version} is the first champion",
                where=model_name,
                expected="a version that was champion before",
                next_step="tidewaiter models show lists the versions; promote one",
            )
        )
    before = resolve(client, f"{model_name}/{former}")
    # The one before keeps whom it was promoted over, so that rolling back twice goes back two steps.
    tags = {
        "rolled_back_by": actor,
        "rolled_back_reason": reason,
        "rolled_back_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for name, value in tags.items():
        client.set_model_version_tag(model_name, str(champion.version), name, value)
    client.set_registered_model_alias(model_name, CHAMPION, str(before.version))
    return Promotion(model_name, str(before.version), str(champion.version), {}, forced=False)


def _crown(
    client: MlflowClient,
    model_name: str,
    version: str,
    former: str | None,
    actor: str,
    reason: str | None,
    figures: dict[str, float],
    *,
    forced: bool,
) -> None:
    tags = {
        "promoted_by": actor,
        "promoted_reason": reason or "",
        "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        _OVER: former or "",
        "promotion_forced": str(forced).lower(),
        **{f"promotion_{name}": f"{value:.6f}" for name, value in figures.items()},
    }
    for name, value in tags.items():
        client.set_model_version_tag(model_name, version, name, value)
    client.set_registered_model_alias(model_name, CHAMPION, version)
    waiting = version_by_alias(client, model_name, CHALLENGER)
    if waiting is not None and str(waiting.version) == version:
        client.delete_registered_model_alias(model_name, CHALLENGER)


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
