"""One training as a run of MLflow: parameters, metrics, files, pictures, model, card.

What is learned and how it is judged is decided elsewhere; nothing here changes a figure.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import plots
from ml.assessment import EVALUATION_FILE, Assessment, Scored
from ml.baselines import Baseline
from ml.boosting import Fitted
from ml.card import CARD_FILE, model_card
from ml.config import ModelConfig
from ml.data import LabelledItems
from ml.drift import REFERENCE_FILE, Reference
from ml.fairness import FAIRNESS_FILE, FairnessReport
from ml.judging import flat_metrics
from ml.splits import Split
from ml.tracking import scratch_folder
from ml.understanding import understand
from ml.versions import MODEL_ID, TRAINING_KEY

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities import Run

# MLflow refuses more than a thousand in one request.
_METRICS_AT_ONCE = 500


@dataclass(frozen=True)
class Learned:
    """A fitted model and everything its record is made of.

    Attributes:
        fitted: The bundle, its rounds and gains.
        split: The windows.
        scored: The test items and what the model says of them.
        baselines: On the same items.
        assessment: Figures with intervals.
        fairness: The audit.
        example: A few rows, for the model's signature.
        reference: How features and scores lay when the model was fitted, for drift.
    """

    fitted: Fitted
    split: Split
    scored: Scored
    baselines: list[Baseline]
    assessment: Assessment
    fairness: FairnessReport
    example: LabelledItems
    reference: Reference


def record_run(
    experiment: str,
    model_name: str,
    config: ModelConfig,
    learned: Learned,
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
        metrics = list(flat_metrics(learned.assessment).items())
        for first in range(0, len(metrics), _METRICS_AT_ONCE):
            mlflow.log_metrics(dict(metrics[first : first + _METRICS_AT_ONCE]))
        mlflow.log_dict(config.model_dump(mode="json"), "config.json")
        mlflow.log_dict(windows, "windows.json")
        mlflow.log_dict(learned.fitted.gain, "feature_importance.json")
        mlflow.log_dict(learned.assessment.as_json(), EVALUATION_FILE)
        mlflow.log_dict(learned.fairness.as_json(), FAIRNESS_FILE)
        mlflow.log_dict(learned.reference.as_json(), REFERENCE_FILE)
        mlflow.log_text(
            model_card(
                model_name, config, windows, learned.assessment, learned.fairness, tags, counts(learned)
            ),
            CARD_FILE,
        )
        source = json.dumps({"mart": "features/declaration_item_features"})
        dataset = Dataset(f"features-{tags['member'].lower()}", data_version[:36], "local", source)
        client.log_inputs(run_id, [DatasetInput(dataset)])
        for path in _draw(folder, model_name, learned, windows):
            mlflow.log_artifact(str(path), "plots")
        client.set_tag(run_id, MODEL_ID, _log_model(folder, learned))
    return client.get_run(run_id)


def counts(learned: Learned) -> dict[str, int]:
    """Return how many items served for what."""
    split = learned.split
    return {name: int(getattr(split, name).sum()) for name in ("fit", "calibration", "test")}


def _log_model(folder: Path, learned: Learned) -> str:
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


def _draw(folder: Path, model_name: str, learned: Learned, windows: dict[str, dict[str, str]]) -> list[Path]:
    """Write the pictures of a run into a folder; they are the ones that a comparison shows."""
    import mlflow

    first = min(window["test_from"] for window in windows.values())
    last = max(window["test_to"] for window in windows.values())
    title = f"{model_name}, test window {first} to {last}"
    understanding, figures = understand(learned.fitted.bundle, learned.scored, title, seed=0)
    mlflow.log_dict(asdict(understanding), "understanding.json")
    return [
        plots.write_png(figure, folder / f"{name}.png")
        for name, figure in {**figures_of(title, learned), **figures}.items()
    ]


def figures_of(title: str, learned: Learned) -> dict[str, Figure]:
    """Return the pictures of one model beside its baselines."""
    scored, truth = learned.scored, learned.scored.items.is_irregular
    recovered = np.nan_to_num(scored.items.recovered_usd, nan=0.0)
    compared = plots.baseline_series({one.name: one.score for one in learned.baselines})
    model = plots.Series(
        "model", scored.score, plots.MODEL_COLOURS[0], scored.probability, is_emphasised=True
    )
    by_recovery = plots.Series(
        "model, by expected recovery", scored.expected_recovery_usd, "#d55e00", is_emphasised=True
    )
    figures = {
        "precision_recall": plots.precision_recall(title, truth, [*compared, model]),
        "revenue_curve": plots.revenue_curve(title, recovered, [*compared, model, by_recovery]),
        "reliability": plots.reliability(title, truth, [model]),
        "feature_importance": plots.importance(
            title,
            {name: 100 * share for name, share in learned.fitted.gain.items()},
            "The features that reduced the loss most, % of total gain",
            "Share of total gain, %",
        ),
    }
    slices = learned.assessment.slices
    if len(slices) > 1:
        rows = {
            f"{dimension}: {name}": {"model": part.figures}
            for dimension, parts in slices.items()
            if dimension != "month"
            for name, part in parts.items()
        }
        subtitle = "Average precision by slice, 95 % intervals from resampled weeks"
        figures["slices"] = plots.forest(title, subtitle, "Average precision", rows, "average_precision")
    if months := slices.get("month"):
        by_month = {name: {"model": part.figures} for name, part in months.items()}
        figures["over_time"] = plots.over_time(title, "Average precision", by_month, "average_precision")
    return figures


def _parameters(config: ModelConfig, learned: Learned) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json", exclude={"search", "drift", "gates"}).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": chosen for inner, chosen in value.items()}
        else:
            flat[name] = value
    return {
        **flat,
        "rounds": learned.fitted.rounds,
        "feature_count": len(learned.fitted.bundle.features),
        **{f"items.{name}": n for name, n in counts(learned).items()},
    }
