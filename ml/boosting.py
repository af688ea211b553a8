"""Fitting the two boosted models, the calibration and the lane thresholds. No files, no registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.bundle import Bundle, Link, Recovery
from ml.calibration import fit_calibrator
from ml.config import ModelConfig
from ml.data import Floats, LabelledItems, Vocabularies
from ml.relevance import relevance_groups
from ml.splits import Split
from ml.weights import fitting_weight, selection_weight

if TYPE_CHECKING:
    import xgboost

_LOG = logging.getLogger(__name__)
_SMEARING_MINIMUM_N = 30
_NOT_XGBOOST = ("objective", "max_rounds", "early_stopping_rounds", "monotone", "min_child_scale", "refit")

Callbacks = Sequence[Any]


@dataclass(frozen=True)
class Fitted:
    """A fitted bundle and what fitting it showed.

    Attributes:
        bundle: Ready to score.
        rounds: Rounds kept after early stopping.
        gain: Share of the total gain by feature, largest first.
        calibration_score: Scores of the calibration window, by models that did not learn from those items.
    """

    bundle: Bundle
    rounds: int
    gain: dict[str, float]
    calibration_score: Floats


def fit_bundle(
    items: LabelledItems,
    split: Split,
    config: ModelConfig,
    seed: int,
    threads: int,
    vocabularies: Vocabularies | None = None,
) -> Fitted:
    """Fit on the fit window and stop by the calibration window; then learn again from both, and calibrate.

    The last months hold what is newest, and a model that only stops by them has not learnt it. So with
    `boosting.refit` both models learn again, in as many rounds, from all that is known before the test
    window, which is not touched. Calibrator and thresholds need scores of items that were not learnt from:
    each half of the calibration window is scored by a model that learnt from everything but that half.
    Without `refit` the first fit stands, and scores the calibration window itself.
    """
    fit, later = items.take(split.fit), items.take(split.calibration)
    known = dict(vocabularies or {})
    parameters = xgboost_parameters(config, items.features, seed, threads)
    booster, link = fit_booster(fit, later, config, parameters, known)
    recovery = _fit_recovery(fit, later, config, parameters, known)
    unseen = Bundle(
        features=items.features,
        probability=booster,
        calibrator=fit_calibrator(np.zeros(0), np.zeros(0, dtype=bool), config.calibration),
        recovery=recovery,
        lane_thresholds={},
        link=link,
        vocabularies=known,
    )
    if not config.boosting.refit:
        bundle, raw = unseen, unseen.score(later.matrix)
    else:
        learn = partial(_learn_again, unseen, config=config, parameters=parameters)
        raw = _halves_scored_by_others(items, split, learn)
        train = items.take(split.train)
        bundle = replace(learn(train), recovery=_recovery_again(recovery, train, config, parameters, known))
    weight = selection_weight(later, config.weights)
    final = replace(
        bundle,
        calibrator=fit_calibrator(raw, later.is_irregular, config.calibration, weight),
        lane_thresholds=lane_thresholds(raw, config),
    )
    return Fitted(final, booster.num_boosted_rounds(), _gain_shares(final.probability), raw)


def _learn_again(
    first: Bundle, train: LabelledItems, config: ModelConfig, parameters: dict[str, Any]
) -> Bundle:
    """Return the bundle with its ordering model learnt from `train`, in as many rounds as were kept."""
    import xgboost

    objective, data = _learning_task(train, config)
    booster = xgboost.train(
        {**parameters, **objective, "min_child_weight": _min_child_weight(train, config)},
        data(train, None, first.vocabularies),
        num_boost_round=first.probability.num_boosted_rounds(),
        verbose_eval=False,
    )
    booster.set_param({"device": "cpu"})
    return replace(first, probability=booster, link=_link(booster, train, objective))


def _halves_scored_by_others(
    items: LabelledItems, split: Split, learn: Callable[[LabelledItems], Bundle]
) -> Floats:
    """Return scores of the calibration window, each half by a model that did not learn from it."""
    day = items.registered_day
    middle = np.quantile(day[split.calibration].astype(np.int64), 0.5)
    is_first = day.astype(np.int64) < middle
    score = np.zeros(len(items))
    for half in (split.calibration & is_first, split.calibration & ~is_first):
        if half.any():
            score[half] = learn(items.take(split.train & ~half)).score(items.matrix[half])
    return score[split.calibration]


def _recovery_again(
    first: Recovery,
    train: LabelledItems,
    config: ModelConfig,
    parameters: dict[str, Any],
    vocabularies: Vocabularies,
) -> Recovery:
    again = _fit_recovery(train, None, config, parameters, vocabularies)
    # The ratio of sums was seen on items not learnt from; here it would be of items learnt from.
    is_model = again.kind == first.kind == "model"
    return replace(again, smearing=first.smearing) if is_model else again


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


def xgboost_parameters(
    config: ModelConfig, features: tuple[str, ...], seed: int, threads: int
) -> dict[str, Any]:
    """Return the library's parameters for a configuration, without an objective."""
    chosen = config.boosting.model_dump(exclude=set(_NOT_XGBOOST))
    monotone = {name: sign for name, sign in config.boosting.monotone.items() if name in features}
    return {
        **chosen,
        "tree_method": "hist",
        "seed": seed,
        "nthread": threads,
        **({"monotone_constraints": monotone} if monotone else {}),
    }


def fit_booster(
    fit: LabelledItems,
    later: LabelledItems,
    config: ModelConfig,
    parameters: dict[str, Any],
    vocabularies: Vocabularies,
    callbacks: Callbacks = (),
) -> tuple[xgboost.Booster, Link | None]:
    """Fit the model that orders items, stopped early on `later`; return it with its link to (0, 1)."""
    import xgboost

    objective, data = _learning_task(fit, config)
    learned, watched = data(fit, None, vocabularies), None
    watched = data(later, learned, vocabularies)
    booster = xgboost.train(
        {**parameters, **objective, "min_child_weight": _min_child_weight(fit, config)},
        learned,
        num_boost_round=config.boosting.max_rounds,
        evals=[(watched, "calibration")],
        early_stopping_rounds=config.boosting.early_stopping_rounds,
        verbose_eval=False,
        callbacks=list(callbacks),
    )
    booster = booster[: booster.best_iteration + 1]
    # Scoring reads rows from the main memory, wherever the trees were grown.
    booster.set_param({"device": "cpu"})
    return booster, _link(booster, fit, objective)


def _link(booster: xgboost.Booster, fit: LabelledItems, objective: dict[str, Any]) -> Link | None:
    if objective["objective"] == "binary:logistic":
        return None
    margin = np.asarray(booster.inplace_predict(fit.matrix, predict_type="margin"), dtype=np.float64)
    return Link(float(margin.mean()), float(margin.std()) or 1.0)


_DataOf = Callable[[LabelledItems, Any, Vocabularies], Any]


def _learning_task(fit: LabelledItems, config: ModelConfig) -> tuple[dict[str, Any], _DataOf]:
    """Return the objective of the model that orders items, and how its matrix is made."""
    cap = _winsorised_at(fit, config)
    newest = fit.registered_day.max()

    def weight_of(items: LabelledItems) -> Floats:
        return fitting_weight(items, config.weights, newest)

    def ranked(items: LabelledItems, ref: Any, vocabularies: Vocabularies) -> Any:
        order, group, grade = relevance_groups(items, fit)
        return _quantile_matrix(items.take(order), grade, vocabularies, ref, qid=group)

    def revenue(items: LabelledItems, ref: Any, vocabularies: Vocabularies) -> Any:
        usd = np.nan_to_num(items.recovered_usd, nan=0.0)
        return _quantile_matrix(items, _log_usd(usd, cap), vocabularies, ref, weight=weight_of(items))

    def irregular(items: LabelledItems, ref: Any, vocabularies: Vocabularies) -> Any:
        return _quantile_matrix(items, items.is_irregular, vocabularies, ref, weight=weight_of(items))

    if config.boosting.objective == "ranking":
        return {"objective": "rank:ndcg", "eval_metric": "ndcg", "ndcg_exp_gain": False}, ranked
    if config.target == "recovered_revenue":
        return {"objective": "reg:squarederror", "eval_metric": "rmse"}, revenue
    return {"objective": "binary:logistic", "eval_metric": "logloss"}, irregular


def _min_child_weight(fit: LabelledItems, config: ModelConfig) -> float:
    """Return the least information in a leaf: fixed, or growing with the square root of all there is.

    A leaf fixed in size is too coarse for a member with five hundred labels or too fine for one with
    half a million. The information of an item is p(1-p) for the probability, 1 for a sum.
    """
    chosen = config.boosting
    rate = float(fit.is_irregular.mean())
    is_sum = config.target == "recovered_revenue"
    information = len(fit) * (1.0 if is_sum else rate * (1 - rate))
    if chosen.objective == "ranking":
        return chosen.min_child_weight
    return max(chosen.min_child_weight, chosen.min_child_scale * float(np.sqrt(information)))


def _fit_recovery(
    fit: LabelledItems,
    later: LabelledItems | None,
    config: ModelConfig,
    parameters: dict[str, Any],
    vocabularies: Vocabularies,
) -> Recovery:
    """Regress log1p of the winsorised recovery on the features, among irregular items.

    Too few recoveries: their mean; none: the declared tax. Either way the bundle says so. The way back
    from the logarithm is measured on `later` where it has enough.
    """
    import xgboost

    learnable = fit.take(fit.is_irregular & (fit.recovered_usd > 0))
    if len(learnable) == 0:
        _LOG.warning("no recovery is known: expected recovery falls back on the declared tax")
        return Recovery("declared_tax")
    cap = _winsorised_at(fit, config)
    if len(learnable) < config.recovery.minimum_irregular:
        mean = float(np.minimum(learnable.recovered_usd, cap).mean())
        _LOG.warning("only %d recoveries are known: expected recovery is their mean", len(learnable))
        return Recovery("constant", cap_usd=cap, constant_usd=mean)
    known = fit.take(fit.is_irregular & (fit.recovered_usd >= 0))
    booster = xgboost.train(
        {
            **parameters,
            "objective": "reg:squarederror",
            "num_parallel_tree": 1,
            "reg_lambda": config.recovery.reg_lambda,
        },
        _quantile_matrix(known, _log_usd(known.recovered_usd, cap), vocabularies),
        num_boost_round=config.recovery.max_rounds,
        verbose_eval=False,
    )
    booster.set_param({"device": "cpu"})
    unseen = known if later is None else later.take(later.is_irregular & (later.recovered_usd >= 0))
    judged = unseen if len(unseen) >= _SMEARING_MINIMUM_N else known
    # A ratio of sums, not Duan's mean of exponential residuals: that takes residuals to be independent of
    # the prediction, but leaves that are shrunk predict large recoveries too small, and sums fall short.
    recovered = float(np.exp(_log_usd(judged.recovered_usd, cap)).sum())
    predicted = float(np.exp(booster.inplace_predict(judged.matrix).astype(np.float64)).sum())
    return Recovery("model", booster, smearing=recovered / predicted, cap_usd=cap)


def _winsorised_at(fit: LabelledItems, config: ModelConfig) -> float:
    recovered = fit.recovered_usd[fit.is_irregular & (fit.recovered_usd > 0)]
    return float(np.quantile(recovered, config.recovery.winsorise_quantile)) if len(recovered) else 0.0


def _quantile_matrix(
    items: LabelledItems,
    label: Any,
    vocabularies: Vocabularies,
    ref: xgboost.QuantileDMatrix | None = None,
    weight: Floats | None = None,
    qid: Any = None,
) -> xgboost.QuantileDMatrix:
    import xgboost

    return xgboost.QuantileDMatrix(
        items.matrix,
        label=label,
        weight=weight,
        qid=qid,
        feature_names=list(items.features),
        feature_types=feature_types(items.features, vocabularies),
        enable_categorical=bool(vocabularies),
        ref=ref,
    )


def feature_types(features: tuple[str, ...], vocabularies: Vocabularies) -> list[str]:
    """Return XGBoost's type of every feature: `c` for a native category, `q` for a quantity."""
    return ["c" if name in vocabularies else "q" for name in features]


def _log_usd(recovered_usd: Floats, cap_usd: float) -> Floats:
    return np.asarray(np.log1p(np.clip(recovered_usd, 0.0, cap_usd)))


def _gain_shares(booster: xgboost.Booster) -> dict[str, float]:
    gain = {name: float(value) for name, value in booster.get_score(importance_type="total_gain").items()}
    total = sum(gain.values()) or 1.0
    return {name: gain[name] / total for name in sorted(gain, key=lambda name: (-gain[name], name))}
