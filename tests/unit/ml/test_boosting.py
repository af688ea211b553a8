from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ml.baselines import logistic_baseline, simple_baselines
from ml.boosting import Fitted, fit_bundle
from ml.bundle import load_bundle
from ml.calibration import Calibrator, fit_calibrator, log_odds
from ml.choices import CalibrationChoice
from ml.config import ModelConfig, choose_features
from ml.data import LabelledItems, feature_mart_columns, read_labelled
from ml.explain import contributions
from ml.splits import Split, split_items
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import Settings


@pytest.fixture(scope="module")
def items(marts: Path, small_config: ModelConfig) -> LabelledItems:
    home = Settings(home=marts)
    return read_labelled(home, small_config, "XA", choose_features(feature_mart_columns(home), small_config))


@pytest.fixture(scope="module")
def split(items: LabelledItems, small_config: ModelConfig) -> Split:
    return split_items(items, small_config)


@pytest.fixture(scope="module")
def fitted(items: LabelledItems, split: Split, small_config: ModelConfig) -> Fitted:
    return fit_bundle(items, split, small_config, seed=7, threads=1)


def test_it_learns_what_was_planted(items: LabelledItems, split: Split, fitted: Fitted) -> None:
    test = items.take(split.test)
    assert roc_auc_score(test.is_irregular, fitted.bundle.score(test.matrix)) > 0.75
    assert "price__ln_ratio_to_reference" in list(fitted.gain)[:3]


def test_permuted_labels_teach_nothing(items: LabelledItems, split: Split, small_config: ModelConfig) -> None:
    """Under the null, AUC has mean 1/2 and variance (n0 + n1 + 1)/(12 n0 n1) (Mann and Whitney 1947)."""
    shuffled = items.is_irregular.copy()
    np.random.default_rng(2).shuffle(shuffled)
    null = replace(items, is_irregular=shuffled)
    test = null.take(split.test)
    score = fit_bundle(null, split, small_config, seed=7, threads=1).bundle.score(test.matrix)
    positive, negative = int(test.is_irregular.sum()), int((~test.is_irregular).sum())
    deviation = np.sqrt((positive + negative + 1) / (12 * positive * negative))
    assert abs(roc_auc_score(test.is_irregular, score) - 0.5) < 4 * deviation


def test_the_test_window_has_no_influence(
    items: LabelledItems, split: Split, small_config: ModelConfig, fitted: Fitted
) -> None:
    matrix, truth = items.matrix.copy(), items.is_irregular.copy()
    matrix[split.test] = 99
    truth[split.test] = ~truth[split.test]
    again = fit_bundle(
        replace(items, matrix=matrix, is_irregular=truth), split, small_config, seed=7, threads=1
    )
    np.testing.assert_array_equal(again.bundle.score(items.matrix), fitted.bundle.score(items.matrix))
    assert again.bundle.calibrator == fitted.bundle.calibrator
    assert again.bundle.lane_thresholds == fitted.bundle.lane_thresholds


def test_a_refit_learns_the_newest_months(
    items: LabelledItems, split: Split, small_config: ModelConfig
) -> None:
    """A pattern that begins with the calibration window is in the final model; its calibration is not."""
    place = items.features.index("price__ln_ratio_to_reference")
    matrix, truth = items.matrix.copy(), items.is_irregular.copy()
    new = np.random.default_rng(3).random(len(items)) < 0.1
    matrix[new, place] = 77
    truth[new & ~split.fit] = True
    changed = replace(items, matrix=matrix, is_irregular=truth)
    fitted = fit_bundle(changed, split, small_config, seed=7, threads=1)
    boosting = small_config.boosting.model_copy(update={"refit": False})
    once = fit_bundle(
        changed, split, small_config.model_copy(update={"boosting": boosting}), seed=7, threads=1
    )
    rows = matrix[new & split.test]
    assert fitted.bundle.score(rows).mean() > once.bundle.score(rows).mean() + 0.1
    assert fitted.rounds == once.rounds == fitted.bundle.probability.num_boosted_rounds()
    assert fitted.bundle.recovery.smearing == once.bundle.recovery.smearing


def test_a_refit_is_calibrated_on_items_it_did_not_learn_from(
    items: LabelledItems, split: Split, small_config: ModelConfig
) -> None:
    """Truth at random in the calibration window: scores of what was learnt would know it, these do not."""
    truth = items.is_irregular.copy()
    truth[split.calibration] = np.random.default_rng(4).random(int(split.calibration.sum())) < 0.3
    changed = replace(items, is_irregular=truth)
    fitted = fit_bundle(changed, split, small_config, seed=7, threads=1)
    later = changed.take(split.calibration)
    positive, negative = int(later.is_irregular.sum()), int((~later.is_irregular).sum())
    deviation = np.sqrt((positive + negative + 1) / (12 * positive * negative))
    assert abs(roc_auc_score(later.is_irregular, fitted.calibration_score) - 0.5) < 4 * deviation
    assert fitted.bundle.lane_thresholds["RED"] == np.quantile(
        fitted.calibration_score, 0.95, method="higher"
    )


def test_contributions_sum_to_the_margin(items: LabelledItems, fitted: Fitted) -> None:
    rows = items.matrix[:200]
    total = contributions(fitted.bundle, rows).sum(axis=1)
    np.testing.assert_allclose(total, log_odds(fitted.bundle.score(rows)), atol=1e-4)


def test_a_saved_bundle_scores_the_same(tmp_path: Path, items: LabelledItems, fitted: Fitted) -> None:
    files = fitted.bundle.save(tmp_path)
    assert set(files) == {"probability.ubj", "recovery.ubj", "calibration.json", "features.json"}
    loaded = load_bundle(tmp_path)
    rows, tax = items.matrix[:50], items.declared_tax_usd[:50]
    np.testing.assert_array_equal(loaded.score(rows), fitted.bundle.score(rows))
    np.testing.assert_array_equal(
        loaded.recovery.if_irregular_usd(rows, tax), fitted.bundle.recovery.if_irregular_usd(rows, tax)
    )
    assert loaded.calibrator == fitted.bundle.calibrator
    (tmp_path / "calibration.json").unlink()
    with pytest.raises(TidewaiterError, match=r"lacks calibration\.json"):
        load_bundle(tmp_path)


def test_expected_recovery_is_of_the_size_of_the_truth(
    items: LabelledItems, split: Split, fitted: Fitted
) -> None:
    test = items.take(split.test & items.is_irregular)
    predicted = fitted.bundle.recovery.if_irregular_usd(test.matrix, test.declared_tax_usd)
    capped = np.minimum(test.recovered_usd, fitted.bundle.recovery.cap_usd)
    assert predicted.mean() == pytest.approx(capped.mean(), rel=0.35)
    assert np.corrcoef(predicted, capped)[0, 1] > 0.4


@pytest.mark.parametrize(("known", "kind"), [(0, "declared_tax"), (20, "constant")])
def test_recovery_falls_back_and_says_so(
    items: LabelledItems, split: Split, small_config: ModelConfig, known: int, kind: str
) -> None:
    recovered = np.full(len(items), np.nan)
    some = np.flatnonzero(split.fit & items.is_irregular)[:known]
    recovered[some] = 250.0
    recovery = fit_bundle(
        replace(items, recovered_usd=recovered), split, small_config, seed=7, threads=1
    ).bundle.recovery
    assert recovery.kind == kind
    usd = recovery.if_irregular_usd(items.matrix[:3], np.asarray([5.0, 6.0, 7.0]))
    assert usd.tolist() == ([5.0, 6.0, 7.0] if known == 0 else [250.0] * 3)


def test_monotone_features_only_rise(items: LabelledItems, split: Split, small_config: ModelConfig) -> None:
    feature = "profile__importer_rate"
    boosting = small_config.boosting.model_copy(update={"monotone": {feature: 1}})
    config = small_config.model_copy(update={"boosting": boosting})
    bundle = fit_bundle(items, split, config, seed=7, threads=1).bundle
    rows = np.repeat(items.matrix[:20], 11, axis=0)
    rows[:, items.features.index(feature)] = np.tile(np.linspace(0, 1, 11), 20)
    steps = np.diff(bundle.score(rows).reshape(20, 11), axis=1)
    assert (steps >= 0).all()
    assert (steps > 0).any()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.integers(5, 400))
def test_calibration_is_monotone_within_bounds_and_survives_json(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    truth = rng.random(n) < score
    choice = CalibrationChoice(isotonic_minimum_n=100, isotonic_minimum_irregular=10)
    found = fit_calibrator(score, truth, choice)
    grid = np.linspace(0, 1, 101)
    probability = found.apply(grid)
    assert (np.diff(probability) >= 0).all()
    assert ((probability >= 0) & (probability <= 1)).all()
    np.testing.assert_array_equal(Calibrator.from_json(found.as_json()).apply(grid), probability)
    if found.kind == "isotonic":
        assert probability.min() >= 1 / (n + 2) - 1e-12


def test_the_calibrator_depends_on_how_much_there_is() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(500)
    truth = rng.random(500) < score
    choice = CalibrationChoice(isotonic_minimum_n=400, isotonic_minimum_irregular=50)
    assert fit_calibrator(score, truth, choice).kind == "isotonic"
    assert fit_calibrator(score[:300], truth[:300], choice).kind == "platt"
    assert fit_calibrator(score, np.zeros(500, dtype=bool), choice).kind == "identity"
    backwards = fit_calibrator(score[:300], score[:300] < 0.5, choice)
    assert backwards.apply(np.asarray([0.1, 0.9])) == pytest.approx([(score[:300] < 0.5).mean()] * 2)


def test_baselines_rank_as_their_names_say(items: LabelledItems, split: Split) -> None:
    test = items.take(split.test)
    found = {one.name: one for one in simple_baselines(test.declared_tax_usd, test.risk_profile, seed=7)}
    np.testing.assert_array_equal(found["declared_duty"].score, test.declared_tax_usd)
    again = simple_baselines(test.declared_tax_usd, test.risk_profile, seed=7)[1]
    np.testing.assert_array_equal(found["random_draw"].score, again.score)
    fitted = logistic_baseline(items.take(split.train), test, seed=7)
    assert roc_auc_score(test.is_irregular, fitted.score) > 0.75


def test_the_risk_profile_is_the_mean_of_the_known_rates(
    items: LabelledItems, small_config: ModelConfig
) -> None:
    rates = [f"profile__{entity}_rate" for entity in small_config.baselines.risk_profile]
    columns = items.matrix[:, [items.features.index(rate) for rate in rates]]
    assert np.isnan(columns).any()
    np.testing.assert_allclose(items.risk_profile, np.nanmean(columns, axis=1), rtol=1e-5)
