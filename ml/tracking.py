"""Where MLflow keeps its record, and one run as we write it.

The only module that prepares the store. Nothing here decides what is trained or promoted.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tidewaiter.files import PARTIAL_PREFIX, sweep_partials
from tidewaiter.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOG = logging.getLogger(__name__)
_SQLITE = "sqlite:///"
_GIT_TIMEOUT_S = 10


def open_client(settings: Settings) -> MlflowClient:
    """Return a client of the configured store, after preparing a SQLite one on first use."""
    _silence()
    import mlflow

    # After the import, which sets them up itself.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = settings.tracking_uri
    if uri.startswith(_SQLITE):
        _prepare_sqlite(Path(uri.removeprefix(_SQLITE)))
    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(tracking_uri=uri)


def experiment_id(settings: Settings, client: MlflowClient, member_iso2: str | None) -> str:
    """Return the experiment `tidewaiter/<member>` or `tidewaiter/pooled`, created on first use."""
    from mlflow.exceptions import MlflowException

    name = f"tidewaiter/{member_iso2.lower() if member_iso2 else 'pooled'}"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    place = None
    if settings.tracking_uri.startswith(_SQLITE):
        place = (settings.paths.mlflow / "artifacts" / name.replace("/", "-")).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=place))
    except MlflowException:
        # Another member's training may have created the pooled experiment in between.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder for files on their way to the store."""
    with TemporaryDirectory(prefix="tidewaiter-model-") as folder:
        yield Path(folder)


def git_commit() -> str:
    """Return the commit of the code that runs, or `unknown` outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def _silence() -> None:
    """Switch off usage statistics, unpickling and progress bars. MLflow reads them on import or use."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"


def _prepare_sqlite(path: Path) -> None:
    """Migrate a new store beside its place and rename it in, so that a kill leaves none or a whole one."""
    if path.is_file():
        return
    from filelock import FileLock
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            return
        _LOG.info("creating the MLflow store, once")
        sweep_partials(path.parent, path.name)
        with TemporaryDirectory(prefix=f"{PARTIAL_PREFIX}{path.name}-", dir=path.parent) as folder:
            fresh = Path(folder) / path.name
            MlflowClient(tracking_uri=f"{_SQLITE}{fresh}").search_experiments(max_results=1)
            fresh.replace(path)
