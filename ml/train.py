"""Training one model from the marts to the registry, idempotent and safe to kill.

A training is named by its key: configuration, data, features, code, library. A finished run of the
key is never repeated; an unfinished one is never used. Fitting itself is in `boosting`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import baselines as baseline_models
from ml.boosting import Fitted, fit_bundle
from ml.config import ModelConfig, choose_features
from ml.data import Floats, LabelledItems, feature_mart_columns, read_labelled
from ml.evaluate import Evaluation, evaluate
from ml.splits import Split, split_items
from ml.tracking import experiment_id, git_commit, open_client, scratch_folder
from ml.versions import (
    MODEL_ID,
    TRAINING_KEY,
    ensure_version,
    finished_run,
    retire_unfinished,
)
from tidewaiter import fingerprint
from tidewaiter.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_LOG = logging.getLogger(__name__)

# Wording, plots and the registry change no figure of a model; these modules do.
TRAINING_MODULES = (
    "baselines.py",
    "boosting.py",
    "bundle.py",
    "calibration.py",
    "config.py",
    "data.py",
    "evaluate.py",
    "pyfunc_model.py",
    "splits.py",
    "train.py",
)
_EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class TrainedModel:
    """A registered version and what it reached.

    Attributes:
        member_iso2: None for the pooled model.
        model_name: Such as `irregularity-kr`.
        version: Number as text.
        aliases: `champion`, `challenger` or none.
        mlflow_run_id: The run that trained it.
        training_key: Digest of everything the model depends on.
        windows: Train, calibration and test dates by member.
        metrics: On the test window; baselines as `baseline/metric`.
        was_trained: False where a finished training of the same key was found.
    """

    member_iso2: str | None
    model_name: str
    version: str
    aliases: tuple[str, ...]
    mlflow_run_id: str
    training_key: str
    windows: dict[str, dict[str, str]]
    metrics: dict[str, float]
    was_trained: bool


@dataclass(frozen=True)
class _Learned:
    fitted: Fitted
    split: Split
    test: LabelledItems
    score: Floats
    probability: Floats
    expected_recovery_usd: Floats
    baselines: list[baseline_models.Baseline]
    evaluations: dict[str, Evaluation]
    example: LabelledItems


def train_member(
    settings: Settings,
    member_iso2: str | None,
    config: ModelConfig,
    data_version: str,
    feature_version: str,
) -> TrainedModel:
    """Train, judge, record and register one member's model, or the pooled one.

    Asking again with the same arguments, data and code returns the same version without training,
    and repairs what a kill left undone between run, version and alias.

    Args:
        settings: Where marts and tracking store are; seed and threads.
        member_iso2: The member, or None to pool all members with enough labels.
        config: What to train.
        data_version: Digest of the receipts that the marts were built from.
        feature_version: Digest of the feature mart's contents for the member and of its code.

    Raises:
        TidewaiterError: Marts missing, or too few labels.
        UsageProblem: The configuration names features that do not exist.
    """
    features = choose_features(feature_mart_columns(settings), config)
    key = training_key(settings, config, member_iso2, data_version, feature_version)
    client = open_client(settings)
    experiment = experiment_id(settings, client, member_iso2)
    model_name = config.registered_name(member_iso2)
    run = finished_run(client, experiment, key)
    was_trained = run is None
    if run is None:
        retire_unfinished(client, experiment, key)
        learned = _learn(settings, member_iso2, config, features)
        tags = {
            TRAINING_KEY: key,
            "member": member_iso2 or "pooled",
            "members": ",".join(learned.split.windows),
            "data_version": data_version,
            "feature_version": feature_version,
            "code_version": code_version(),
            "git_commit": git_commit(),
            "recovery_kind": learned.fitted.bundle.recovery.kind,
            "calibration_kind": learned.fitted.bundle.calibrator.kind,
            "test_rows": _rows_digest(learned.test),
        }
        run = _record(experiment, model_name, config, learned, tags, data_version)
    version = ensure_version(client, run, model_name)
    return _trained(member_iso2, run, version, was_trained)


def training_key(
    settings: Settings, config: ModelConfig, member_iso2: str | None, data_version: str, feature_version: str
) -> str:
    """Return the name of a training: equal keys would fit equal models."""
    return fingerprint.of_json(
        {
            "config": config.training_fingerprint(),
            "seed": config.seed_for(settings),
            "member": member_iso2,
            "data_version": data_version,
            "feature_version": feature_version,
            "code_version": code_version(),
            "xgboost": library_version("xgboost"),
        }
    )


def code_version() -> str:
    """Return the digest of the modules that a model's figures depend on."""
    return fingerprint.of_tree(Path(__file__).resolve().parent, TRAINING_MODULES)


def _learn(
    settings: Settings, member_iso2: str | None, config: ModelConfig, features: tuple[str, ...]
) -> _Learned:
    items = read_labelled(settings, config, member_iso2, features)
    split = split_items(items, config)
    seed, shares = config.seed_for(settings), config.evaluation.inspection_shares
    fitted = fit_bundle(items, split, config, seed, settings.threads)
    train, test = items.take(split.train), items.take(split.test)
    score = fitted.bundle.score(test.matrix)
    probability = fitted.bundle.calibrator.apply(score)
    expected = probability * fitted.bundle.recovery.if_irregular_usd(test.matrix, test.declared_tax_usd)
    compared = [
        *baseline_models.simple_baselines(test.declared_tax_usd, test.risk_profile, seed),
        baseline_models.logistic_baseline(train, test, seed),
    ]
    truth, recovered = test.is_irregular, test.recovered_usd
    evaluations = {
        "": evaluate(score, truth, recovered, shares, probability, test.is_novel_line),
        "by_expected_recovery": evaluate(expected, truth, recovered, shares),
        **baseline_models.evaluate_baselines(compared, truth, recovered, test.is_novel_line, shares),
    }
    _LOG.info("fitted %d rounds on %d items", fitted.rounds, int(split.fit.sum()))
    return _Learned(
        fitted=fitted,
        split=split,
        test=test,
        score=score,
        probability=probability,
        expected_recovery_usd=expected,
        baselines=compared,
        evaluations=evaluations,
        example=train.take(np.arange(len(train)) < _EXAMPLE_ROWS),
    )


def _record(
    experiment: str,
    model_name: str,
    config: ModelConfig,
    learned: _Learned,
    tags: dict[str, str],
    data_version: str,
) -> Run:
    """Write one MLflow run; it counts only once its status says finished."""
    import mlflow
    from mlflow.entities import Dataset, DatasetInput

    client = mlflow.MlflowClient()
    created = client.create_run(experiment, tags=tags, run_name=f"{model_name}-{tags[TRAINING_KEY][:8]}")
    run_id = created.info.run_id
    windows = {member: window.as_text() for member, window in learned.split.windows.items()}
    with mlflow.start_run(run_id=run_id), scratch_folder() as folder:
        mlflow.log_params(_parameters(config, learned))
        mlflow.log_metrics(_metrics(learned))
        mlflow.log_dict(config.model_dump(mode="json"), "config.json")
        mlflow.log_dict(windows, "windows.json")
        mlflow.log_dict(learned.fitted.gain, "feature_importance.json")
        source = json.dumps({"mart": "features/declaration_item_features"})
        dataset = Dataset(f"features-{tags['member'].lower()}", data_version[:36], "local", source)
        client.log_inputs(run_id, [DatasetInput(dataset)])
        for path in _draw(folder, model_name, learned, windows):
            mlflow.log_artifact(str(path), "plots")
        client.set_tag(run_id, MODEL_ID, _log_model(folder, learned))
    return client.get_run(run_id)


def _log_model(folder: Path, learned: _Learned) -> str:
    """Log the bundle as a pyfunc from code and return MLflow's id of it."""
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    bundle = learned.fitted.bundle
    files = bundle.save(folder)
    outputs = ("score", "probability", "recovery_if_irregular_usd")
    signature = ModelSignature(
        inputs=Schema([ColSpec("double", name, required=False) for name in bundle.features]),
        outputs=Schema([ColSpec("double", name, required=False) for name in outputs]),
    )
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={name: str(path) for name, path in files.items()},
        signature=signature,
        input_example=pd.DataFrame(learned.example.matrix.astype(np.float64), columns=list(bundle.features)),
        # Named here, because inferring them starts a second Python that loads the model.
        pip_requirements=[f"{name}=={library_version(name)}" for name in ("xgboost", "numpy")],
    )
    return str(logged.model_id)


def _draw(folder: Path, model_name: str, learned: _Learned, windows: dict[str, dict[str, str]]) -> list[Path]:
    from ml.plots import draw_all

    first = min(window["test_from"] for window in windows.values())
    last = max(window["test_to"] for window in windows.values())
    return draw_all(
        folder,
        f"{model_name}, test window {first} to {last}",
        learned.test,
        learned.score,
        learned.probability,
        learned.expected_recovery_usd,
        {baseline.name: baseline.score for baseline in learned.baselines},
        learned.fitted.gain,
    )


def _metrics(learned: _Learned) -> dict[str, float]:
    found = {
        f"{name}/{metric}" if name else metric: value
        for name, evaluation in learned.evaluations.items()
        for metric, value in evaluation.flat().items()
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _parameters(config: ModelConfig, learned: _Learned) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": chosen for inner, chosen in value.items()}
        else:
            flat[name] = value
    split = learned.split
    return {
        **flat,
        "rounds": learned.fitted.rounds,
        "feature_count": len(learned.fitted.bundle.features),
        "items.fit": int(split.fit.sum()),
        "items.calibration": int(split.calibration.sum()),
        "items.test": int(split.test.sum()),
    }


def _rows_digest(test: LabelledItems) -> str:
    digest = sha256()
    for column in (test.registered_day, test.is_irregular, test.recovered_usd, test.declared_tax_usd):
        digest.update(column.tobytes())
    return digest.hexdigest()


def _trained(member_iso2: str | None, run: Run, version: ModelVersion, was_trained: bool) -> TrainedModel:
    import mlflow

    return TrainedModel(
        member_iso2=member_iso2,
        model_name=version.name,
        version=str(version.version),
        aliases=tuple(sorted(version.aliases)),
        mlflow_run_id=run.info.run_id,
        training_key=run.data.tags[TRAINING_KEY],
        windows=mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/windows.json"),
        metrics=dict(sorted(run.data.metrics.items())),
        was_trained=was_trained,
    )
