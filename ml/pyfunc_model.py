"""The model as MLflow serves it: "models from code", so that nothing is pickled.

MLflow stores this file with the model and runs it when somebody loads `models:/irregularity-kr@champion`.
Batch scoring reads the same files through `bundle` and does not come here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from ml.bundle import FEATURES_FILE, load_bundle


class IrregularityModel(PythonModel):  # type: ignore[misc]
    """Predicts, for a frame of features, the score, the probability and the recovery if irregular."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle that was logged as artifacts."""
        self._bundle = load_bundle(Path(context.artifacts[FEATURES_FILE]).parent)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row per row of `model_input`.

        `recovery_if_irregular_usd` is empty where the model has no recovery part and scoring falls
        back on the declared tax, which is not a feature.
        """
        bundle = self._bundle
        matrix = model_input[list(bundle.features)].to_numpy(dtype=np.float32)
        score = bundle.score(matrix)
        unknown_tax = np.full(len(matrix), np.nan)
        return pd.DataFrame(
            {
                "score": score,
                "probability": bundle.calibrator.apply(score),
                "recovery_if_irregular_usd": bundle.recovery.if_irregular_usd(matrix, unknown_tax),
            }
        )


set_model(IrregularityModel())
