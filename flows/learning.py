"""Training and scoring steps: `ml` told which data it works on, and its results put where they belong."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from flows import gates
from flows.manifest import read_manifest
from flows.progress import step
from flows.versions import data_version, feature_version
from tidewaiter import fingerprint
from tidewaiter.errors import TidewaiterError
from tidewaiter.files import read_json
from tidewaiter.settings import Settings

_LOG = logging.getLogger(__name__)
STAGED = ".staged"


@dataclass(frozen=True)
class ScoreReport:
    """An accepted score batch.

    Attributes:
        metrics: By model and baseline, on the labelled items of the window.
        was_scored: False where the same batch had been accepted before.
    """

    member_iso2: str
    model_name: str
    model_version: str
    run_id: str
    window_from: date
    window_to: date
    items_scored: int
    was_scored: bool
    metrics: dict[str, float] = field(default_factory=dict)


def train(
    settings: Settings,
    member: str | None,
    *,
    only_if_missing: bool = False,
    config_path: Path | None = None,
) -> Any:
    """Train one member's model, or the pooled one for None; return the registered version.

    Args:
        settings: Where marts and registry are.
        member: None pools the members.
        only_if_missing: Leave a champion that stands.
        config_path: The configuration; the shipped one where left out.

    Raises:
        TidewaiterError: Too few labels, or features are missing.
    """
    from ml.config import load_config
    from ml.train import train_member

    config = load_config() if config_path is None else load_config(config_path)
    with step(f"{member or 'pooled'} train") as running:
        if only_if_missing and (standing := _champion(settings, config.registered_name(member))):
            running.note(f"{standing.name} version {standing.version} stands")
            return standing
        rows = read_manifest(settings)
        model = train_member(
            settings,
            member,
            config,
            data_version(rows, member),
            feature_version(rows, member),
        )
        running.note(f"{model.model_name} version {model.version}{'' if model.was_trained else ' stands'}")
    return model


def score(
    settings: Settings, member: str, from_date: date | None = None, to_date: date | None = None
) -> ScoreReport:
    """Score a window with the member's champion, or the pooled one where it has none of its own.

    The batch is staged, judged by the score gate and then takes the place of the window's old rows.

    Raises:
        GateRefused: The batch was refused; the old scores stay.
        TidewaiterError: There is no champion, or no item in the window.
    """
    from ml.config import load_config
    from ml.score import accept_scores, score_member

    config = load_config()
    version = feature_version(read_manifest(settings), member)
    stage_dir = settings.paths.scores / STAGED / f"member={member}"
    with step(f"{member} score") as running:
        run = score_member(
            settings,
            member,
            config,
            version,
            window_from=from_date,
            window_to=to_date,
            stage_dir=stage_dir,
        )
        if run.was_scored:
            gates.gate_scores(settings, run)
            accept_scores(settings, run)
        running.note(f"{run.items_scored:,} items{'' if run.was_scored else ', unchanged'}")
    try:
        shadow(settings, member)
    except TidewaiterError as error:
        # What nobody sees must hold up nobody: the champion's scores stand.
        _LOG.warning("%s: the challenger was not scored in the shadow: %s", member, error)
    return ScoreReport(
        member_iso2=member,
        model_name=run.model_name,
        model_version=run.model_version,
        run_id=run.run_id,
        window_from=run.window_from,
        window_to=run.window_to,
        items_scored=run.items_scored,
        was_scored=run.was_scored,
        metrics=run.metrics,
    )


def shadow(settings: Settings, member: str) -> Any:
    """Score the newest accepted window with the challenger as well; None where there is no challenger."""
    from ml.config import load_config
    from ml.score import ROWS_FILE, accepted_runs
    from ml.shadow import score_shadow

    accepted = accepted_runs(settings, member)
    if not accepted:
        return None
    newest = accepted[-1]
    with step(f"{member} shadow") as running:
        run = score_shadow(settings, load_config(), newest, newest.folder / ROWS_FILE)
        running.note("no challenger" if run is None else f"version {run.challenger} beside {run.champion}")
    return run


def _champion(settings: Settings, name: str) -> Any:
    from ml.tracking import open_client
    from ml.versions import CHAMPION, version_by_alias

    return version_by_alias(open_client(settings), name, CHAMPION)


def accepted_runs_digest(settings: Settings) -> str:
    """Return the digest of the score batches that stand."""
    files = sorted(settings.paths.scores.glob("member=*/run=*/run.json"))
    return fingerprint.of_json([[path.parent.parent.name, read_json(path)] for path in files])


def describe_model(model: Any) -> dict[str, Any]:
    """Return a registered version as a row of the command's table."""
    return {
        "model": model.model_name,
        "version": model.version,
        "aliases": ", ".join(model.aliases),
        "trained": model.was_trained,
        "mlflow_run_id": model.mlflow_run_id,
    }


def describe_score(report: ScoreReport) -> dict[str, Any]:
    """Return a score batch as a row of the command's table."""
    return {
        "member": report.member_iso2,
        "model": report.model_name,
        "version": report.model_version,
        "from": str(report.window_from),
        "to": str(report.window_to),
        "items": report.items_scored,
        "new": report.was_scored,
        "run_id": report.run_id,
    }
