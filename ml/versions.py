"""Versions and aliases in MLflow's model registry, repaired where a kill left them undone.

A version is registered only from a finished run, its tags with it; its first alias is set once and
noted. Asking again ends in the same number and alias as an undisturbed run. What people do with
versions belongs in `registry`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ml.bundle import Bundle, load_bundle
from tidewaiter.errors import Problem, UsageProblem, closest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"
TRAINING_KEY = "training_key"
MODEL_ID = "model_id"
_ALIASED = "first_alias"


def finished_run(client: MlflowClient, experiment: str, training_key: str) -> Run | None:
    """Return the finished run of a training key that logged its model, the oldest if several."""
    runs = client.search_runs(
        [experiment],
        filter_string=f"tags.{TRAINING_KEY} = '{training_key}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time ASC"],
    )
    return next((run for run in runs if MODEL_ID in run.data.tags), None)


def retire_unfinished(client: MlflowClient, experiment: str, training_key: str) -> None:
    """Mark runs of the key that a kill left running, so that nobody takes them for live ones."""
    for run in client.search_runs(
        [experiment],
        filter_string=f"tags.{TRAINING_KEY} = '{training_key}' and attributes.status = 'RUNNING'",
    ):
        client.set_terminated(run.info.run_id, status="KILLED")


def ensure_version(client: MlflowClient, run: Run, model_name: str) -> ModelVersion:
    """Return the version registered from a finished run, registering it and its first alias if need be."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    training_key = run.data.tags[TRAINING_KEY]
    found = version_of_key(client, model_name, training_key)
    if found is None:
        try:
            client.create_registered_model(model_name)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
        # The tags come in the same transaction as the version: there is never one without its key.
        found = client.create_model_version(
            model_name,
            source=f"models:/{run.data.tags[MODEL_ID]}",
            run_id=run.info.run_id,
            model_id=run.data.tags[MODEL_ID],
            tags={name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")},
        )
    if _ALIASED not in found.tags:
        champion = version_by_alias(client, model_name, CHAMPION)
        first = champion is None or champion.version == found.version
        alias = CHAMPION if first else CHALLENGER
        client.set_registered_model_alias(model_name, alias, str(found.version))
        client.set_model_version_tag(model_name, str(found.version), _ALIASED, alias)
    return client.get_model_version(model_name, str(found.version))


def version_of_key(client: MlflowClient, model_name: str, training_key: str) -> ModelVersion | None:
    """Return the lowest version with a training key, or None."""
    same = [
        version
        for version in all_versions(client, model_name)
        if version.tags.get(TRAINING_KEY) == training_key
    ]
    return same[0] if same else None


def version_by_alias(client: MlflowClient, model_name: str, alias: str) -> ModelVersion | None:
    """Return the version an alias points at, or None where model or alias do not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model_name, alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def resolve(client: MlflowClient, reference: str) -> ModelVersion:
    """Return the version that `name@alias`, `name/version` or `name` (its champion) names.

    Raises:
        UsageProblem: There is none.
    """
    name, separator, number = reference.partition("/")
    alias = CHAMPION
    if not separator and "@" in reference:
        name, _, alias = reference.partition("@")
    versions = all_versions(client, name)
    if not versions:
        known = sorted(model.name for model in client.search_registered_models(max_results=1000))
        raise unknown("model", name, known)
    if separator:
        found = next((version for version in versions if str(version.version) == number), None)
    else:
        found = version_by_alias(client, name, alias)
    if found is None:
        known = [f"{name}/{version.version}" for version in versions]
        raise unknown("version", reference, known)
    return client.get_model_version(name, str(found.version))


def load_version(version: ModelVersion, threads: int) -> Bundle:
    """Read the bundle of a registered version; a server's artifacts are downloaded first."""
    import mlflow

    # The subfolder: into a whole model MLflow would write a note of where it was read from.
    folder = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}/artifacts")
    return load_bundle(Path(folder), threads)


def all_versions(client: MlflowClient, model_name: str) -> list[ModelVersion]:
    """Return all versions of a model, by number."""
    quoted = model_name.replace("'", "")
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{quoted}'", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version))


def unknown(kind: str, name: str, known: list[str]) -> UsageProblem:
    """Return the error for a name that the registry does not know."""
    return UsageProblem(
        Problem(
            f"unknown {kind} '{name}'{closest(name, known)}",
            where="model registry",
            expected=f"one of {', '.join(known)}" if known else "a trained model",
            next_step="tidewaiter models show lists them",
        )
    )
