"""Fitting the two boosted models, the calibration and the lane thresholds. No files, no registry."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.bundle import Bundle, Recovery
from ml.calibration import fit_calibrator
from ml.config import ModelConfig
from ml.data import Floats, LabelledItems
from ml.splits import Split

if TYPE_CHECKING:
    import xgboost

_LOG = logging.getLogger(__name__)
_SMEARING_MINIMUM_N = 30


@dataclass(frozen=True)
class Fitted:
    """A fitted bundle and what fitting it showed.

    Attributes:
        bundle: Ready to score.
        rounds: Trees kept after early stopping.
        gain: Share of the total gain by feature, largest first.
    """

    bundle: Bundle
    rounds: int
    gain: dict[str, float]


def fit_bundle(items: LabelledItems, split: Split, config: ModelConfig, seed: int, threads: int) -> Fitted:
    """Fit on the fit window; stop, calibrate and set thresholds on the calibration window.

    The test window is not touched.
    """
    fit, later = items.take(split.fit), items.take(split.calibration)
    parameters = _parameters(config, items.features, seed, threads)
    booster = _fit_probability(fit, later, config, parameters)
    raw = np.asarray(booster.inplace_predict(later.matrix), dtype=np.float64)
    bundle = Bundle(
        features=items.features,
        probability=booster,
        calibrator=fit_calibrator(raw, later.is_irregular, config.calibration),
        recovery=_fit_recovery(fit, later, config, parameters),
        lane_thresholds=lane_thresholds(raw, config),
    )
    return Fitted(bundle, booster.num_boosted_rounds(), _gain_shares(booster))


def lane_thresholds(score: Floats, config: ModelConfig) -> dict[str, float]:
    """Return the lowest score of each lane, so that the calibration window meets the lane shares.

    A threshold, not a share of each batch: an item's lane must not depend on what else was scored
    with it (ASYCUDA's "expected rate" works the same way).
    """
    thresholds: dict[str, float] = {}
    share = 0.0
    for lane in ("RED", "YELLOW", "BLUE"):
        share += config.scoring.lane_shares.get(lane, 0.0)
        thresholds[lane] = float(np.quantile(score, 1 - share, method="higher"))
    return thresholds


def _parameters(config: ModelConfig, features: tuple[str, ...], seed: int, threads: int) -> dict[str, Any]:
    chosen = config.boosting.model_dump(exclude={"max_rounds", "early_stopping_rounds", "monotone"})
    monotone = {name: sign for name, sign in config.boosting.monotone.items() if name in features}
    return {
        **chosen,
        "tree_method": "hist",
        "seed": seed,
        "nthread": threads,
        **({"monotone_constraints": monotone} if monotone else {}),
    }


def _fit_probability(
    fit: LabelledItems, later: LabelledItems, config: ModelConfig, parameters: dict[str, Any]
) -> xgboost.Booster:
    import xgboost

    learned = _quantile_matrix(fit.matrix, fit.is_irregular, fit.features)
    booster = xgboost.train(
        {**parameters, "objective": "binary:logistic", "eval_metric": "logloss"},
        learned,
        num_boost_round=config.boosting.max_rounds,
        evals=[(_quantile_matrix(later.matrix, later.is_irregular, later.features, learned), "calibration")],
        early_stopping_rounds=config.boosting.early_stopping_rounds,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1]


def _fit_recovery(
    fit: LabelledItems, later: LabelledItems, config: ModelConfig, parameters: dict[str, Any]
) -> Recovery:
    """Regress log1p of the winsorised recovery on the features, among irregular items.

    Too few recoveries: their mean; none: the declared tax. Either way the bundle says so.
    """
    import xgboost

    learnable = fit.take(fit.is_irregular & (fit.recovered_usd > 0))
    if len(learnable) == 0:
        _LOG.warning("no recovery is known: expected recovery falls back on the declared tax")
        return Recovery("declared_tax")
    cap = float(np.quantile(learnable.recovered_usd, config.recovery.winsorise_quantile))
    if len(learnable) < config.recovery.minimum_irregular:
        mean = float(np.minimum(learnable.recovered_usd, cap).mean())
        _LOG.warning("only %d recoveries are known: expected recovery is their mean", len(learnable))
        return Recovery("constant", cap_usd=cap, constant_usd=mean)
    known = fit.take(fit.is_irregular & (fit.recovered_usd >= 0))
    booster = xgboost.train(
        {**parameters, "objective": "reg:squarederror"},
        _quantile_matrix(known.matrix, _log_usd(known.recovered_usd, cap), known.features),
        num_boost_round=config.recovery.max_rounds,
        verbose_eval=False,
    )
    unseen = later.take(later.is_irregular & (later.recovered_usd >= 0))
    judged = unseen if len(unseen) >= _SMEARING_MINIMUM_N else known
    residual = _log_usd(judged.recovered_usd, cap) - booster.inplace_predict(judged.matrix)
    return Recovery("model", booster, smearing=float(np.exp(residual).mean()), cap_usd=cap)


def _quantile_matrix(
    matrix: Any, label: Any, features: tuple[str, ...], ref: xgboost.QuantileDMatrix | None = None
) -> xgboost.QuantileDMatrix:
    import xgboost

    return xgboost.QuantileDMatrix(matrix, label=label, feature_names=list(features), ref=ref)


def _log_usd(recovered_usd: Floats, cap_usd: float) -> Floats:
    return np.asarray(np.log1p(np.minimum(recovered_usd, cap_usd)))


def _gain_shares(booster: xgboost.Booster) -> dict[str, float]:
    gain = {name: float(value) for name, value in booster.get_score(importance_type="total_gain").items()}
    total = sum(gain.values()) or 1.0
    return {name: gain[name] / total for name in sorted(gain, key=lambda name: (-gain[name], name))}
