from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import recording, train
from ml.choices import FeatureChoice
from ml.comparison import compare
from ml.config import ModelConfig
from ml.registry import show
from ml.tracking import experiment_id, open_client
from ml.train import TRAINING_MODULES, TrainedModel, train_member, training_key
from ml.versions import TRAINING_KEY, all_versions, load_version, resolve
from tidewaiter.errors import TidewaiterError, UsageProblem
from tidewaiter.settings import PROJECT_ROOT, Settings

NAME = "irregularity-xa"


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, small_config: ModelConfig) -> ModelConfig:
    """A configuration that trains in a blink, and no pictures."""
    monkeypatch.setattr(recording, "_draw", lambda *_: [])
    boosting = small_config.boosting.model_copy(update={"max_rounds": 5, "max_depth": 2})
    features = FeatureChoice(include=("price__*", "tax__*", "profile__product_line_*"))
    return small_config.model_copy(update={"boosting": boosting, "features": features})


def _train(settings: Settings, config: ModelConfig, data_version: str = "data-1") -> TrainedModel:
    return train_member(settings, "XA", config, data_version, "features-1")


def test_the_record_has_what_a_data_scientist_looks_for(trained: Any) -> None:
    client = open_client(trained.settings)
    run = client.get_run(trained.model.mlflow_run_id)
    assert client.get_experiment(run.info.experiment_id).name == "tidewaiter/xa"
    assert run.info.status == "FINISHED"
    assert run.data.tags["data_version"] == "data-1"
    assert run.data.tags["feature_version"] == "features-1"
    assert run.data.tags["git_commit"]
    assert len(run.data.tags["code_version"]) == 64
    assert run.data.params["boosting.max_depth"] == "3"
    for share in ("01", "02", "05", "10"):
        assert f"precision_at_{share}" in run.data.metrics
        for baseline in ("random_expected", "declared_duty", "risk_profile", "logistic_regression"):
            assert f"{baseline}/revenue_at_{share}" in run.data.metrics
    assert run.inputs.dataset_inputs[0].dataset.digest == "data-1"
    plots = {Path(found.path).name for found in client.list_artifacts(run.info.run_id, "plots")}
    assert plots >= {
        "precision_recall.png",
        "revenue_curve.png",
        "reliability.png",
        "feature_importance.png",
        "slices.png",
        "over_time.png",
        "shap_importance.png",
        "shap_interactions.png",
        "shap_dependence_1.png",
    }
    for metric in ("auc", "precision_at_05", "calibration_error"):
        low, high = run.data.metrics[f"low/{metric}"], run.data.metrics[f"high/{metric}"]
        assert low <= run.data.metrics[metric] <= high or metric == "calibration_error"
    files = {found.path for found in client.list_artifacts(run.info.run_id)}
    assert files >= {
        "evaluation.json",
        "fairness.json",
        "model_card.md",
        "reference.json",
        "understanding.json",
    }
    assert trained.model.metrics["auc"] > 0.75
    assert trained.model.metrics["auc"] > trained.model.metrics["risk_profile/auc"]


def test_nothing_is_pickled_and_no_identifier_is_stored(trained: Any) -> None:
    files = [path for path in trained.settings.paths.mlflow.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"probability.ubj", "recovery.ubj", "calibration.json", "features.json"} <= names
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib", ".cloudpickle")]
    for path in files:
        if path.suffix != ".db":
            assert not path.read_bytes().startswith(b"\x80\x04"), path
    examples = [path for path in files if path.name == "input_example.json"]
    assert examples
    assert not any("declaration_id" in path.read_text() or "D00" in path.read_text() for path in examples)


def test_the_registered_model_loads_elsewhere_and_predicts_the_same(trained: Any, tmp_path: Path) -> None:
    """In a process of its own, as a notebook would, with unpickling forbidden."""
    script = tmp_path / "load.py"
    script.write_text(
        "import sys, mlflow, numpy, pandas\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.pyfunc.load_model('models:/irregularity-xa@champion')\n"
        "names = model.metadata.get_input_schema().input_names()\n"
        "frame = pandas.DataFrame(numpy.linspace(-1, 1, 2 * len(names)).reshape(2, -1), columns=names)\n"
        "sys.stdout.write(model.predict(frame).to_json())\n"
    )
    found = subprocess.run(
        [sys.executable, str(script), trained.settings.tracking_uri],
        env={
            "PYTHONPATH": str(PROJECT_ROOT),
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    import json

    predicted = json.loads(found.stdout)
    bundle = load_version(resolve(open_client(trained.settings), NAME), threads=1)
    n = len(bundle.features)
    matrix = np.linspace(-1, 1, 2 * n).reshape(2, n).astype(np.float32)
    score = bundle.score(matrix)
    assert list(predicted["score"].values()) == pytest.approx(score.tolist())
    assert list(predicted["probability"].values()) == pytest.approx(bundle.calibrator.apply(score).tolist())


def test_asking_again_trains_nothing_and_returns_the_same_version(
    fresh: Settings, quick: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _train(fresh, quick)
    assert (first.version, first.aliases, first.was_trained) == ("1", ("champion",), True)
    monkeypatch.setattr(train, "_learn", lambda *_: pytest.fail("trained again"))
    again = _train(fresh, quick)
    assert again.was_trained is False
    assert again.mlflow_run_id == first.mlflow_run_id
    assert again.metrics == first.metrics
    assert again.windows == first.windows
    assert [version.version for version in show(fresh, NAME)] == ["1"]


def test_other_data_is_another_version_and_a_challenger(fresh: Settings, quick: ModelConfig) -> None:
    _train(fresh, quick)
    second = _train(fresh, quick, "data-2")
    assert (second.version, second.aliases) == ("2", ("challenger",))
    assert [one.aliases for one in show(fresh, NAME)] == [("champion",), ("challenger",)]


@pytest.mark.parametrize(
    "step", ["create_run", "log_inputs", "set_tag", "create_model_version", "set_registered_model_alias"]
)
def test_a_kill_at_any_step_ends_in_the_same_version_and_alias(
    fresh: Settings, quick: ModelConfig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    import mlflow

    original = getattr(mlflow.MlflowClient, step)
    terminated = mlflow.MlflowClient.set_terminated

    def die(*arguments: Any, **named: Any) -> None:
        # A killed process also never closes its run.
        monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", lambda *_, **__: None)
        raise Killed(step)

    monkeypatch.setattr(mlflow.MlflowClient, step, die)
    with pytest.raises(Killed):
        _train(fresh, quick)
    monkeypatch.setattr(mlflow.MlflowClient, step, original)
    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", terminated)
    repaired = _train(fresh, quick)
    assert (repaired.version, repaired.aliases) == ("1", ("champion",))
    assert [(one.version, one.aliases) for one in show(fresh, NAME)] == [("1", ("champion",))]
    client = open_client(fresh)
    runs = client.search_runs([experiment_id(fresh, client, "XA")])
    finished = [run for run in runs if run.info.status == "FINISHED"]
    assert [run.info.run_id for run in finished] == [repaired.mlflow_run_id]
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED", "FAILED"}
    survived = step in ("create_model_version", "set_registered_model_alias")
    assert repaired.was_trained is not survived


def test_a_run_that_is_still_running_is_never_used(fresh: Settings, quick: ModelConfig) -> None:
    client = open_client(fresh)
    key = training_key(fresh, quick, "XA", "data-1", "features-1")
    half = client.create_run(
        experiment_id(fresh, client, "XA"), tags={TRAINING_KEY: key, "model_id": "m-nothing"}
    )
    model = _train(fresh, quick)
    assert model.mlflow_run_id != half.info.run_id
    assert client.get_run(half.info.run_id).info.status == "KILLED"


def test_training_twice_gives_the_same_model(
    fresh: Settings, quick: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train(fresh, quick)
    _train(fresh, quick, "data-2")
    client = open_client(fresh)
    one, two = (load_version(version, threads=1) for version in all_versions(client, NAME))
    assert one.probability.save_raw("ubj") == two.probability.save_raw("ubj")
    assert one.calibrator == two.calibrator
    found = compare(fresh, [f"{NAME}/1", f"{NAME}@challenger"])
    (over,) = found.over_first.values()
    assert {one.value for one in over.values()} == {0.0}
    assert {one.high for one in over.values()} == {0.0}


def test_the_training_key_follows_its_inputs(
    fresh: Settings, quick: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(
        member: str | None = "XA", config: ModelConfig = quick, data: str = "d", features: str = "f"
    ) -> str:
        return training_key(fresh, config, member, data, features)

    other = quick.model_copy(update={"seed": 99})
    keys = [key(), key(None), key(config=other), key(data="e"), key(features="g")]
    monkeypatch.setattr(train, "code_version", lambda: "other code")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_the_modules_in_the_key_exist() -> None:
    assert all((PROJECT_ROOT / "ml" / name).is_file() for name in TRAINING_MODULES)


def test_a_member_with_too_few_labels_trains_nothing_and_leaves_no_version(
    fresh: Settings, quick: ModelConfig
) -> None:
    with pytest.raises(TidewaiterError, match="member XB: too few labels"):
        train_member(fresh, "XB", quick, "data-1", "features-1")
    assert show(fresh) == []


def test_the_pooled_model_has_its_own_name_and_experiment(fresh: Settings, quick: ModelConfig) -> None:
    model = train_member(fresh, None, quick, "data-1", "features-1")
    assert model.model_name == "irregularity-pooled"
    assert list(model.windows) == ["XA"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("irregularity-xx", r"unknown model 'irregularity-xx' \(did you mean 'irregularity-xa'\?\)"),
        ("irregularity-xa/7", "unknown version"),
        ("irregularity-xa@challenger", "unknown version"),
        ("x' or name like '%", "unknown model"),
    ],
)
def test_unknown_references_say_what_there_is(trained: Any, reference: str, message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        compare(trained.settings, [reference])
