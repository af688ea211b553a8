"""Training one model from the marts to the registry, idempotent and safe to kill.

A training is named by its key: configuration, data, features, code, library. A finished run of the
key is never repeated; an unfinished one is never used. Fitting itself is in `boosting`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml import baselines as baseline_models
from ml.assessment import Scored, assess
from ml.boosting import fit_bundle
from ml.config import ModelConfig, choose_features
from ml.data import LabelledItems, feature_mart_columns, read_labelled, read_vocabularies
from ml.drift import reference_population
from ml.evaluate import evaluate
from ml.fairness import audit
from ml.judging import score_items
from ml.recording import Learned, record_run
from ml.splits import Split, split_items
from ml.tracking import experiment_id, git_commit, open_client
from ml.versions import (
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
    "assessment.py",
    "baselines.py",
    "boosting.py",
    "bundle.py",
    "calibration.py",
    "choices.py",
    "config.py",
    "data.py",
    "fairness.py",
    "figures.py",
    "judging.py",
    "pyfunc_model.py",
    "relevance.py",
    "resampling.py",
    "splits.py",
    "train.py",
    "weights.py",
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
            "test_rows": _rows_digest(learned.scored.items),
            "selection": learned.assessment.selection,
            "owner": config.owner,
        }
        run = record_run(experiment, model_name, config, learned, tags, data_version)
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
) -> Learned:
    chosen = config.features
    vocabularies = read_vocabularies(settings, chosen.categorical, member_iso2, chosen.largest_vocabulary)
    columns = (*features, *vocabularies)
    items = read_labelled(
        settings, config, member_iso2, columns, vocabularies, config.pooled_members if not member_iso2 else ()
    )
    split = split_items(items, config)
    seed = config.seed_for(settings)
    fitted = fit_bundle(items, split, config, seed, settings.threads, vocabularies)
    train, test = items.take(split.train), items.take(split.test)
    scored = score_items(fitted.bundle, test)
    compared = [
        *baseline_models.simple_baselines(test.declared_tax_usd, test.risk_profile, seed),
        baseline_models.logistic_baseline(train, test, seed, categories=len(vocabularies)),
    ]
    assessment = assess(scored, compared, config, seed)
    without = _without_origin(items, split, config, seed, settings.threads, scored)
    fairness = audit(scored, fitted.bundle.lane_thresholds["RED"], config, seed, without)
    _LOG.info("fitted %d rounds on %d items", fitted.rounds, int(split.train.sum()))
    return Learned(
        fitted=fitted,
        split=split,
        scored=scored,
        baselines=compared,
        assessment=assessment,
        fairness=fairness,
        example=train.take(np.arange(len(train)) < _EXAMPLE_ROWS),
        reference=reference_population(items.take(split.fit), items.take(split.calibration), scored.score),
    )


def _without_origin(
    items: LabelledItems, split: Split, config: ModelConfig, seed: int, threads: int, scored: Scored
) -> dict[str, dict[str, float]]:
    """Fit again without origin and its proxies; return the figures of both, on the same test items."""
    dropped = config.gates.fairness.origin_and_proxies
    kept = [
        place
        for place, name in enumerate(items.features)
        if not any(fnmatchcase(name, glob) for glob in dropped)
    ]
    if not dropped or not 0 < len(kept) < len(items.features):
        return {}
    names = tuple(items.features[place] for place in kept)
    fewer = replace(items, features=names, matrix=items.matrix[:, kept])
    monotone = {name: sign for name, sign in config.boosting.monotone.items() if name in names}
    changed = config.model_copy(
        update={"boosting": config.boosting.model_copy(update={"monotone": monotone})}
    )
    bundle = fit_bundle(fewer, split, changed, seed, threads).bundle
    shares = config.evaluation.inspection_shares
    judged = {
        "model": (scored.score, scored.probability),
        "without origin": (
            score := bundle.score(fewer.take(split.test).matrix),
            bundle.calibrator.apply(score),
        ),
    }
    truth, recovered = scored.items.is_irregular, scored.items.recovered_usd
    return {
        name: evaluate(score, truth, recovered, shares, probability).figures
        for name, (score, probability) in judged.items()
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
