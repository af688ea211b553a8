"""What one registered model consists of, as files that need no unpickling.

`probability.ubj` and `recovery.ubj` are XGBoost's own format; `calibration.json` and
`features.json` are JSON. Batch scoring reads them here; MLflow's pyfunc does the same through
`pyfunc_model`. Learning belongs in `boosting`, the registry in `registry`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml.calibration import Calibrator
from ml.data import Floats, Matrix
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.files import write_json_atomically

if TYPE_CHECKING:
    import xgboost

PROBABILITY_FILE = "probability.ubj"
RECOVERY_FILE = "recovery.ubj"
CALIBRATION_FILE = "calibration.json"
FEATURES_FILE = "features.json"
LANES = ("RED", "YELLOW", "BLUE", "GREEN")


@dataclass(frozen=True)
class Recovery:
    """USD recovered from an item if it is irregular.

    Attributes:
        kind: `model` (a booster on log1p USD), `constant` (the mean of too few recoveries to learn
            from) or `declared_tax` (no recovery known: the declared tax is what is at stake).
        booster: Of `model`.
        smearing: Factor that makes the sum of predictions that of the recoveries; exp of a mean of
            logarithms is less than the mean (Duan 1983).
        cap_usd: Winsorisation limit of the training recoveries, and of every prediction.
        constant_usd: Of `constant`.
    """

    kind: Literal["model", "constant", "declared_tax"]
    booster: xgboost.Booster | None = None
    smearing: float = 1.0
    cap_usd: float = 0.0
    constant_usd: float = 0.0

    def if_irregular_usd(self, matrix: Matrix, declared_tax_usd: Floats) -> Floats:
        """Return the recovery in USD expected of each item if it is irregular."""
        if self.kind == "declared_tax":
            return np.maximum(declared_tax_usd, 0.0)
        if self.kind == "constant" or self.booster is None:
            return np.full(len(matrix), self.constant_usd)
        predicted = self.booster.inplace_predict(matrix).astype(np.float64)
        usd = self.smearing * np.exp(predicted) - 1.0
        return np.asarray(np.clip(usd, 0.0, self.cap_usd))


@dataclass(frozen=True)
class Link:
    """From a margin on any scale to a score between 0 and 1: logistic((margin - centre) / spread).

    Of boosters that do not predict a probability: a ranking, or the logarithm of a sum. The order is
    theirs; the calibrator makes a probability of it.
    """

    centre: float
    spread: float

    def apply(self, margin: Floats) -> Floats:
        """Return the score of each margin."""
        return np.asarray(1.0 / (1.0 + np.exp(-(margin - self.centre) / self.spread)))


@dataclass(frozen=True)
class Bundle:
    """A fitted model, ready to score.

    Attributes:
        features: Columns of the matrix, in order.
        probability: Booster of P(irregular), trees beyond the best round cut off.
        calibrator: From its score to a probability.
        recovery: USD if irregular.
        lane_thresholds: Lowest score of RED, YELLOW and BLUE; below the last, GREEN.
        link: Of a booster that does not predict a probability itself.
        vocabularies: Codes of each native category, by its position.
    """

    features: tuple[str, ...]
    probability: xgboost.Booster
    calibrator: Calibrator
    recovery: Recovery
    lane_thresholds: dict[str, float]
    link: Link | None = None
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def score(self, matrix: Matrix) -> Floats:
        """Return the raw score of each row, the model's probability before calibration."""
        kind = "value" if self.link is None else "margin"
        predicted = self.probability.inplace_predict(matrix, predict_type=kind)
        predicted = np.asarray(predicted, dtype=np.float64)
        return predicted if self.link is None else self.link.apply(predicted)

    def save(self, folder: Path) -> dict[str, Path]:
        """Write the model's files into an existing folder and return them by name."""
        files = {
            PROBABILITY_FILE: folder / PROBABILITY_FILE,
            CALIBRATION_FILE: folder / CALIBRATION_FILE,
            FEATURES_FILE: folder / FEATURES_FILE,
        }
        self.probability.save_model(files[PROBABILITY_FILE])
        if self.recovery.booster is not None:
            files[RECOVERY_FILE] = folder / RECOVERY_FILE
            self.recovery.booster.save_model(files[RECOVERY_FILE])
        write_json_atomically(files[CALIBRATION_FILE], self.calibrator.as_json())
        write_json_atomically(
            files[FEATURES_FILE],
            {
                "features": list(self.features),
                "lane_thresholds": self.lane_thresholds,
                "link": None if self.link is None else asdict(self.link),
                "vocabularies": {name: list(codes) for name, codes in self.vocabularies.items()},
                "recovery": {
                    "kind": self.recovery.kind,
                    "smearing": self.recovery.smearing,
                    "cap_usd": self.recovery.cap_usd,
                    "constant_usd": self.recovery.constant_usd,
                },
            },
        )
        return files


def load_bundle(folder: Path, threads: int = 1) -> Bundle:
    """Read a model from its files.

    Raises:
        TidewaiterError: A file is missing.
    """
    missing = [
        name for name in (PROBABILITY_FILE, CALIBRATION_FILE, FEATURES_FILE) if not (folder / name).is_file()
    ]
    if missing:
        raise TidewaiterError(
            Problem(
                f"the model lacks {', '.join(missing)}",
                where=str(folder),
                next_step="tidewaiter train registers the model again",
            )
        )
    described = json.loads((folder / FEATURES_FILE).read_text(encoding="utf-8"))
    stored = described["recovery"]
    booster = _read_booster(folder / RECOVERY_FILE, threads) if stored["kind"] == "model" else None
    return Bundle(
        features=tuple(described["features"]),
        probability=_read_booster(folder / PROBABILITY_FILE, threads),
        calibrator=Calibrator.from_json(json.loads((folder / CALIBRATION_FILE).read_text(encoding="utf-8"))),
        recovery=Recovery(booster=booster, **stored),
        lane_thresholds=described["lane_thresholds"],
        link=Link(**described["link"]) if described.get("link") else None,
        vocabularies={name: tuple(codes) for name, codes in described.get("vocabularies", {}).items()},
    )


def _read_booster(path: Path, threads: int) -> xgboost.Booster:
    import xgboost

    return xgboost.Booster(params={"nthread": threads}, model_file=str(path))
