"""Batch scoring over Arrow record batches, staged, then accepted by one rename.

Batches stream through DuckDB, so memory does not grow with the window; every figure of an item
depends on the item alone, so batches equal the whole. Ranks and the final order are DuckDB's.

A member's accepted batches lie side by side, `scores/member=XX/run=<id>/`. No two hold the same day: a
new batch takes its window from those before it.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.batches import INTERMEDIATE_FILES, Batch, write_score_batch
from ml.bundle import Bundle
from ml.config import ModelConfig
from ml.data import feature_mart_columns, features_path
from ml.tracking import open_client
from ml.versions import CHAMPION, load_version, version_by_alias
from tidewaiter import fingerprint
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.files import folder_replaced_atomically, read_json, write_json_atomically
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ROWS_FILE = "rows.parquet"
RUN_FILE = "run.json"
# A batch changes when one of these does.
_SCORING_MODULES = (
    "baselines.py",
    "batches.py",
    "bundle.py",
    "calibration.py",
    "data.py",
    "evaluate.py",
    "explain.py",
    "figures.py",
    "reasons.py",
    "reasons.yaml",
    "score.py",
)


@dataclass(frozen=True)
class ScoreRun:
    """One member's score batch.

    Attributes:
        run_id: Digest of model, features, window and code, 32 hex digits.
        member_iso2: The member.
        model_name: Registered name of the model that scored; the pooled one where the member has none.
        model_version: Its number as text.
        mlflow_run_id: The run that trained it.
        window_from: First registration date scored.
        window_to: Last registration date scored.
        items_scored: Rows of the batch.
        scored_at: Naive UTC, written once.
        judged_from: First registration date whose labels the metrics use: what the model was trained
            on is never used to judge it. None where no item of the window is unseen.
        is_whole: False once a later batch has taken a part of the window.
        metrics: On the labelled items of the window, with baselines; empty where none is labelled.
        folder: Where `rows.parquet` and `run.json` lie.
        was_scored: False where the accepted batch is already this one.
    """

    run_id: str
    member_iso2: str
    model_name: str
    model_version: str
    mlflow_run_id: str
    window_from: date
    window_to: date
    items_scored: int
    scored_at: datetime
    judged_from: date | None
    metrics: dict[str, float]
    folder: Path
    was_scored: bool
    is_whole: bool = True


def score_member(
    settings: Settings,
    member_iso2: str,
    config: ModelConfig,
    feature_version: str,
    window_from: date | None = None,
    window_to: date | None = None,
    *,
    stage_dir: Path,
) -> ScoreRun:
    """Score a member's items with its champion into `stage_dir`, unless that batch is accepted already.

    Args:
        settings: Where marts, registry and accepted batches are.
        member_iso2: The member.
        config: How batches are cut and explained; names the model.
        feature_version: Digest of the feature mart's contents for the member.
        window_from: First registration date; by default the start of the model's test window.
        window_to: Last registration date; by default the last day of the data.
        stage_dir: Folder for the new batch; an earlier batch there is replaced.

    Raises:
        TidewaiterError: No champion, no item in the window, or features that the model needs missing.
        UsageProblem: A window that ends before it begins.
    """
    client = open_client(settings)
    version = _champion(client, config, member_iso2)
    unseen = unseen_from(version, member_iso2)
    first, last = _window(settings, config, member_iso2, unseen, window_from, window_to)
    run_id = _run_id(config, member_iso2, version, feature_version, first, last)
    accepted = next((run for run in accepted_runs(settings, member_iso2) if run.run_id == run_id), None)
    if accepted is not None and accepted.is_whole:
        return accepted
    bundle = load_version(version, settings.threads)
    check_features(settings, config, bundle, version)
    _sweep_stage(stage_dir)
    stage_dir.mkdir(parents=True, exist_ok=True)
    scored_at = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    judged_from = max(first, unseen or first)
    batch = Batch(
        member_iso2=member_iso2,
        window_from=first,
        window_to=last,
        judged_from=judged_from,
        model_name=version.name,
        model_version=str(version.version),
        run_id=run_id,
        scored_at=scored_at,
        target=stage_dir / ROWS_FILE,
    )
    items, metrics = write_score_batch(settings, config, bundle, batch)
    run = ScoreRun(
        run_id=run_id,
        member_iso2=member_iso2,
        model_name=version.name,
        model_version=str(version.version),
        mlflow_run_id=version.run_id,
        window_from=first,
        window_to=last,
        items_scored=items,
        scored_at=scored_at,
        judged_from=judged_from if judged_from <= last else None,
        metrics=metrics,
        folder=stage_dir,
        was_scored=True,
    )
    write_json_atomically(stage_dir / RUN_FILE, _as_json(run))
    return run


def accept_scores(settings: Settings, run: ScoreRun) -> Path:
    """Take a staged batch over, by one rename of the member's folder. Returns the batch's folder.

    Rows of earlier batches within its window go; the rest of them stays, under their own run ids. A
    batch that is accepted already stays as it is.
    """
    target = _member_folder(settings, run.member_iso2)
    accepted = target / f"run={run.run_id}"
    if run.was_scored:
        with folder_replaced_atomically(target) as folder:
            for earlier in accepted_runs(settings, run.member_iso2):
                if earlier.run_id != run.run_id:
                    _keep_outside(settings, earlier, run, folder / earlier.folder.name)
            (folder / accepted.name).mkdir()
            for name in (ROWS_FILE, RUN_FILE):
                shutil.copyfile(run.folder / name, folder / accepted.name / name)
        _sweep_stage(run.folder)
    return accepted


def accepted_runs(settings: Settings, member_iso2: str) -> list[ScoreRun]:
    """Return the member's accepted batches, the oldest window first."""
    folders = sorted(_member_folder(settings, member_iso2).glob("run=*"))
    found = [run for folder in folders if (run := _read_run(folder)) is not None]
    return sorted(found, key=lambda run: (run.window_from, run.run_id))


def _keep_outside(settings: Settings, earlier: ScoreRun, new: ScoreRun, target: Path) -> None:
    """Write an earlier batch without the days of a new one; nothing where no row is left."""
    overlaps = earlier.window_from <= new.window_to and new.window_from <= earlier.window_to
    if not overlaps:
        shutil.copytree(earlier.folder, target)
        return
    outside = (
        f"from read_parquet({quote_literal(earlier.folder / ROWS_FILE)}, hive_partitioning = false)"
        f" where registered_date not between date '{new.window_from}' and date '{new.window_to}'"
    )
    with open_duckdb(settings) as connection:
        counted = connection.execute(f"select count(*) {outside}").fetchone()
        rows = int(counted[0]) if counted else 0
        if not rows:
            return
        target.mkdir()
        keys = "member_iso2, declaration_id, item_no"
        connection.execute(
            f"copy (select * {outside} order by {keys}) to {quote_literal(target / ROWS_FILE)}"
            " (format parquet, compression zstd)"
        )
    write_json_atomically(target / RUN_FILE, _as_json(replace(earlier, is_whole=False, items_scored=rows)))


def _sweep_stage(folder: Path) -> None:
    """Remove our own files only: the folder is the caller's."""
    for name in (ROWS_FILE, RUN_FILE, *INTERMEDIATE_FILES):
        (folder / name).unlink(missing_ok=True)


class NoChampion(TidewaiterError):
    """There is no model that could score the member: neither one of its own nor a pooled one."""


def _champion(client: MlflowClient, config: ModelConfig, member_iso2: str) -> ModelVersion:
    names = [config.registered_name(member_iso2), config.registered_name(None)]
    for name in names:
        found = version_by_alias(client, name, CHAMPION)
        if found is not None:
            return client.get_model_version(name, str(found.version))
    raise NoChampion(
        Problem(
            f"no champion of {' or '.join(names)}",
            where=f"member {member_iso2}",
            next_step=f"tidewaiter train --member {member_iso2}",
        )
    )


def unseen_from(version: ModelVersion, member_iso2: str) -> date | None:
    """Return the first day the model saw nothing of, or None where it saw nothing of the member."""
    import mlflow

    windows = mlflow.artifacts.load_dict(f"runs:/{version.run_id}/windows.json")
    return date.fromisoformat(windows[member_iso2]["test_from"]) if member_iso2 in windows else None


def _window(
    settings: Settings,
    config: ModelConfig,
    member_iso2: str,
    unseen_from: date | None,
    window_from: date | None,
    window_to: date | None,
) -> tuple[date, date]:
    last_day = _last_day(settings, member_iso2)
    last = window_to or last_day
    # Of a member that the pooled model never saw, as many days as a test window has.
    first = window_from or unseen_from or last_day - timedelta(days=config.split.test_days - 1)
    if last < first:
        raise UsageProblem(
            Problem(f"the window ends on {last}, before it begins on {first}", where=f"member {member_iso2}")
        )
    return first, last


def _last_day(settings: Settings, member_iso2: str) -> date:
    feature_mart_columns(settings)
    with open_duckdb(settings) as connection:
        found = connection.execute(
            f"select max(registered_date) from read_parquet({quote_literal(features_path(settings))})"
            " where member_iso2 = ?",
            [member_iso2],
        ).fetchone()
    if not found or found[0] is None:
        raise TidewaiterError(
            Problem(
                "no item in the feature mart", where=f"member {member_iso2}", next_step="tidewaiter ingest"
            )
        )
    last: date = found[0]
    return last


def _run_id(
    config: ModelConfig,
    member_iso2: str,
    version: ModelVersion,
    feature_version: str,
    first: date,
    last: date,
) -> str:
    return fingerprint.of_json(
        {
            "member": member_iso2,
            "model": version.name,
            "version": str(version.version),
            "training_key": version.tags.get("training_key"),
            "feature_version": feature_version,
            "window": [first.isoformat(), last.isoformat()],
            "scoring": config.scoring.model_dump(mode="json", exclude={"batch_rows"}),
            "evaluation": config.evaluation.model_dump(mode="json"),
            "baselines": config.baselines.model_dump(mode="json"),
            "code": fingerprint.of_tree(Path(__file__).resolve().parent, _SCORING_MODULES),
        }
    )[:32]


def check_features(settings: Settings, config: ModelConfig, bundle: Bundle, version: ModelVersion) -> None:
    """Make sure that the feature mart has what scoring needs.

    Raises:
        TidewaiterError: Columns are missing.
    """
    quantities = [name for name in bundle.features if name not in bundle.vocabularies]
    needed = [*quantities, *(f"profile__{entity}_rate" for entity in config.baselines.risk_profile)]
    present = set(feature_mart_columns(settings))
    missing = sorted({name for name in needed if name not in present})
    if missing:
        raise TidewaiterError(
            Problem(
                f"the feature mart lacks {', '.join(missing)}",
                where=f"{version.name}/{version.version}",
                expected="the columns that the model was trained on",
                next_step="tidewaiter train on the present features",
            )
        )


def _member_folder(settings: Settings, member_iso2: str) -> Path:
    return settings.paths.scores / f"member={member_iso2}"


def _read_run(folder: Path) -> ScoreRun | None:
    stored = read_json(folder / RUN_FILE)
    if stored is None or not (folder / ROWS_FILE).is_file():
        return None
    for name in ("window_from", "window_to"):
        stored[name] = date.fromisoformat(stored[name])
    stored["judged_from"] = stored["judged_from"] and date.fromisoformat(stored["judged_from"])
    stored["scored_at"] = datetime.fromisoformat(stored["scored_at"])
    return ScoreRun(**stored, folder=folder, was_scored=False)


def _as_json(run: ScoreRun) -> dict[str, Any]:
    stored = asdict(run)
    del stored["folder"], stored["was_scored"]
    for name in ("window_from", "window_to", "scored_at", "judged_from"):
        stored[name] = stored[name] and stored[name].isoformat()
    return stored
