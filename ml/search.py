"""Hyper-parameters by Optuna: rolling origins before the test window, pruned early, resumable.

The test window is not looked at: every trial is judged on origins that end before it. A study lives in a
file under the home folder, named by what it searches, so that a search that was stopped goes on where it
was; every trial is a child run in MLflow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ml.backtest import origin_splits
from ml.boosting import fit_booster, xgboost_parameters
from ml.bundle import Bundle, Recovery
from ml.calibration import Calibrator, fit_calibrator
from ml.config import ModelConfig, choose_features
from ml.data import LabelledItems, feature_mart_columns, read_labelled, read_vocabularies
from ml.evaluate import evaluate
from ml.splits import Split, windows_of
from ml.tracking import experiment_id, open_client, scratch_folder
from ml.weights import selection_weight
from tidewaiter import fingerprint
from tidewaiter.settings import Settings

if TYPE_CHECKING:
    import optuna

_LOG = logging.getLogger(__name__)
_WHOLE = ("max_depth", "num_parallel_tree")
SEARCH_ID = "search"

Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        search_id: Digest of configuration, data and member; names the study.
        trials: Trials in the study, those of earlier sittings included.
        pruned: Trials given up early.
        best_value: Mean of the metric over the origins.
        start_value: The same with the parameters the search started from.
        best: Parameters of `boosting`.
        mlflow_run_id: Parent run of the trials.
        configuration: The configuration with the best parameters, as YAML.
    """

    search_id: str
    trials: int
    pruned: int
    best_value: float
    start_value: float
    best: dict[str, float]
    mlflow_run_id: str
    configuration: str


def search(
    settings: Settings,
    config: ModelConfig,
    member_iso2: str | None,
    data_version: str,
    told: Told = lambda done, of, words: None,
    trials: int | None = None,
) -> SearchResult:
    """Search until the study has as many trials as the configuration asks for.

    The first trial is the configuration itself. Asking again with everything done returns at once.

    Args:
        settings: Where marts, record and study are.
        config: What to train, and the search space.
        member_iso2: None pools all members.
        data_version: Digest of the data; another one begins another study.
        told: Called with trials done, all trials, and the best so far.
        trials: Instead of the configuration's number.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    wanted = trials or config.search.trials
    items, planned, vocabularies = _origins(settings, config, member_iso2)
    search_id = _search_id(settings, config, member_iso2, data_version)
    study = _study(settings, config, search_id)
    client = open_client(settings)
    parent = _parent_run(client, settings, config, member_iso2, search_id)
    if not study.trials:
        study.enqueue_trial({name: _start_of(config, name) for name in config.search.space})

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: _suggest(trial, config, name) for name in config.search.space}
        return _judge(settings, _with(config, chosen), items, planned, vocabularies, trial)

    def record(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        _record_trial(client, parent, trial)
        best = _best(study)
        told(_finished(study), wanted, "" if best is None else f"best {best.value:.4f}")

    told(_finished(study), wanted, "")
    study.optimize(objective, n_trials=max(0, wanted - _finished(study)), callbacks=[record])
    return _result(client, parent, study, config, search_id)


def _origins(
    settings: Settings, config: ModelConfig, member_iso2: str | None
) -> tuple[LabelledItems, list[Split], dict[str, tuple[str, ...]]]:
    chosen = config.features
    features = choose_features(feature_mart_columns(settings), config)
    vocabularies = read_vocabularies(settings, chosen.categorical, member_iso2, chosen.largest_vocabulary)
    items = read_labelled(settings, config, member_iso2, (*features, *vocabularies), vocabularies)
    before_test = windows_of(items.registered_day, config.split).test_from - timedelta(days=1)
    planned = origin_splits(items, config, config.search.origins, config.search.origin_days, before_test)
    return items, [split for _, _, split in planned], vocabularies


def _judge(
    settings: Settings,
    config: ModelConfig,
    items: LabelledItems,
    planned: list[Split],
    vocabularies: dict[str, tuple[str, ...]],
    trial: optuna.Trial,
) -> float:
    """Return the mean of the metric over the origins; give up where the first ones are behind."""
    import optuna

    values: list[float] = []
    parameters = xgboost_parameters(config, items.features, config.seed_for(settings), settings.threads)
    for step, split in enumerate(planned):
        fit, later, test = (items.take(mask) for mask in (split.fit, split.calibration, split.test))
        booster, link = fit_booster(fit, later, config, parameters, vocabularies)
        bundle = Bundle(
            items.features,
            booster,
            Calibrator("identity", 0),
            Recovery("declared_tax"),
            {},
            link,
            vocabularies,
        )
        calibrator = fit_calibrator(
            bundle.score(later.matrix),
            later.is_irregular,
            config.calibration,
            selection_weight(later, config.weights),
        )
        score = bundle.score(test.matrix)
        weight = selection_weight(test, config.weights)
        found = evaluate(
            score, test.is_irregular, test.recovered_usd, (0.05,), calibrator.apply(score), weight=weight
        )
        values.append(found.figures[config.search.metric])
        trial.report(float(np.mean(values)), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(values))


def _study(settings: Settings, config: ModelConfig, search_id: str) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder = settings.paths.mlflow / "searches"
    folder.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        study_name=search_id,
        storage=JournalStorage(JournalFileBackend(str(folder / f"{search_id}.log"))),
        sampler=optuna.samplers.TPESampler(seed=config.seed_for(settings)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        direction="minimize" if config.search.metric == "log_loss" else "maximize",
        load_if_exists=True,
    )


def _search_id(settings: Settings, config: ModelConfig, member_iso2: str | None, data_version: str) -> str:
    space = config.search.model_dump(mode="json", exclude={"trials"})
    return fingerprint.of_json(
        {
            "config": config.training_fingerprint(),
            "space": space,
            "member": member_iso2,
            "data_version": data_version,
            "seed": config.seed_for(settings),
        }
    )[:16]


def _suggest(trial: optuna.Trial, config: ModelConfig, name: str) -> float:
    chosen = config.search.space[name]
    if name in _WHOLE:
        return trial.suggest_int(name, int(chosen.low), int(chosen.high), log=chosen.log)
    return trial.suggest_float(name, chosen.low, chosen.high, log=chosen.log)


def _start_of(config: ModelConfig, name: str) -> float:
    """Return the configured value, moved into the range that is searched."""
    chosen = config.search.space[name]
    value = float(np.clip(getattr(config.boosting, name), chosen.low, chosen.high))
    return int(value) if name in _WHOLE else value


def _with(config: ModelConfig, chosen: dict[str, float]) -> ModelConfig:
    boosting = type(config.boosting).model_validate({**config.boosting.model_dump(), **chosen})
    return config.model_copy(update={"boosting": boosting})


def _parent_run(
    client: Any, settings: Settings, config: ModelConfig, member_iso2: str | None, search_id: str
) -> str:
    experiment = experiment_id(settings, client, member_iso2)
    found = client.search_runs([experiment], filter_string=f"tags.{SEARCH_ID} = '{search_id}'")
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    if parents:
        return str(parents[0].info.run_id)
    name = f"search-{config.registered_name(member_iso2)}-{search_id[:6]}"
    created = client.create_run(experiment, tags={SEARCH_ID: search_id}, run_name=name)
    return str(created.info.run_id)


def _record_trial(client: Any, parent: str, trial: optuna.trial.FrozenTrial) -> None:
    """Write one trial as a child run: parameters, the metric at every origin, and how it ended."""
    from optuna.trial import TrialState

    experiment = client.get_run(parent).info.experiment_id
    tags = {"mlflow.parentRunId": parent, "trial_state": trial.state.name}
    child = client.create_run(experiment, tags=tags, run_name=f"trial-{trial.number}").info.run_id
    for name, value in trial.params.items():
        client.log_param(child, name, value)
    for step, value in trial.intermediate_values.items():
        client.log_metric(child, "mean_over_origins", value, step=step)
    if trial.value is not None:
        client.log_metric(child, "value", trial.value)
    ended = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED"}
    client.set_terminated(child, status=ended.get(trial.state, "FAILED"))


def _result(
    client: Any, parent: str, study: optuna.Study, config: ModelConfig, search_id: str
) -> SearchResult:
    best = study.best_trial
    chosen = {name: _readable(value) for name, value in best.params.items()}
    document = yaml.safe_dump(_with(config, chosen).model_dump(mode="json"), sort_keys=False)
    for name, value in chosen.items():
        client.log_metric(parent, f"best_{name}", value)
    client.log_metric(parent, "best_value", best.value)
    with scratch_folder() as folder:
        path = Path(folder) / f"{config.name}.yaml"
        path.write_text(document, encoding="utf-8")
        client.log_artifact(parent, str(path))
    client.set_terminated(parent)
    start = study.trials[0].value
    return SearchResult(
        search_id=search_id,
        trials=_finished(study),
        pruned=sum(trial.state.name == "PRUNED" for trial in study.trials),
        best_value=float(best.value if best.value is not None else np.nan),
        start_value=float(start if start is not None else np.nan),
        best=chosen,
        mlflow_run_id=parent,
        configuration=document,
    )


def _readable(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _finished(study: optuna.Study) -> int:
    return sum(trial.state.is_finished() for trial in study.trials)


def _best(study: optuna.Study) -> optuna.trial.FrozenTrial | None:
    return study.best_trial if any(trial.state.name == "COMPLETE" for trial in study.trials) else None
