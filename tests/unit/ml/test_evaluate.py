from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluate import at_share, calibration_figures, evaluate, expected_calibration_error, inspected

_ROW = st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 9))
_PROBABILITIES = st.lists(st.tuples(st.floats(0, 1, allow_nan=False), st.booleans()), min_size=1, max_size=40)


@settings(deadline=None, max_examples=60)
@given(st.lists(_ROW, min_size=1, max_size=6), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_figures_at_a_share_are_the_mean_over_all_orders_of_tied_items(
    rows: list[tuple[int, bool, int]], share: float
) -> None:
    score = np.asarray([row[0] for row in rows], dtype=float)
    truth = np.asarray([row[1] for row in rows])
    money = np.asarray([row[2] for row in rows], dtype=float)
    size = math.ceil(len(rows) * share)
    found, revenue = [], []
    for order in permutations(range(len(rows))):
        top = sorted(order, key=lambda item: -score[item])[:size]
        found.append(sum(truth[item] for item in top))
        revenue.append(sum(money[item] for item in top))
    figures = at_share(score, truth, money, share)
    suffix = f"at_{round(share * 100):02d}"
    assert figures[f"precision_{suffix}"] == pytest.approx(np.mean(found) / size)
    if truth.any():
        assert figures[f"recall_{suffix}"] == pytest.approx(np.mean(found) / truth.sum())
        oracle = min(size, truth.sum())
        assert figures[f"precision_normalised_{suffix}"] == pytest.approx(np.mean(found) / oracle)
    if money.sum():
        assert figures[f"revenue_{suffix}"] == pytest.approx(np.mean(revenue) / money.sum())
        oracle = sum(sorted(money, reverse=True)[:size])
        assert figures[f"revenue_normalised_{suffix}"] == pytest.approx(np.mean(revenue) / oracle)


@settings(deadline=None)
@given(st.lists(_ROW, min_size=2, max_size=40), st.randoms())
def test_row_order_does_not_matter(rows: list[tuple[int, bool, int]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def figures(chosen: list[tuple[int, bool, int]]) -> dict[str, float]:
        score, truth, money = (np.asarray(column) for column in zip(*chosen, strict=True))
        return evaluate(score.astype(float), truth, money.astype(float), (0.05, 0.5)).flat()

    assert figures(rows) == pytest.approx(figures(shuffled))


def test_the_oracle_reaches_one_and_chance_the_base_rate() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(1000) < 0.2
    money = truth * rng.random(1000)
    oracle = evaluate(money, truth, money, (0.05, 0.5)).figures
    assert oracle["revenue_normalised_at_05"] == pytest.approx(1)
    assert oracle["precision_normalised_at_50"] == pytest.approx(1)
    chance = evaluate(np.zeros(1000), truth, money, (0.05,)).figures
    assert chance["precision_at_05"] == pytest.approx(truth.mean())
    assert chance["recall_at_05"] == pytest.approx(0.05)
    assert chance["auc"] == pytest.approx(0.5)


@settings(deadline=None)
@given(_PROBABILITIES)
def test_calibration_error_and_brier_against_brute_force(rows: list[tuple[float, bool]]) -> None:
    probability = np.asarray([row[0] for row in rows])
    truth = np.asarray([row[1] for row in rows])
    error = 0.0
    for low in range(10):
        inside = [row for row in rows if min(int(row[0] * 10), 9) == low]
        if inside:
            gap = np.mean([row[0] for row in inside]) - np.mean([row[1] for row in inside])
            error += abs(gap) * len(inside) / len(rows)
    assert expected_calibration_error(probability, truth) == pytest.approx(error, abs=1e-12)
    brier = sum((p - y) ** 2 for p, y in rows) / len(rows)
    assert calibration_figures(probability, truth)["brier"] == pytest.approx(brier, abs=1e-12)


def test_a_calibrated_probability_has_slope_one_and_no_intercept() -> None:
    rng = np.random.default_rng(1)
    probability = rng.beta(1, 3, 40_000)
    truth = rng.random(40_000) < probability
    figures = calibration_figures(probability, truth)
    assert figures["calibration_slope"] == pytest.approx(1, abs=0.04)
    assert figures["calibration_intercept"] == pytest.approx(0, abs=0.06)
    assert figures["calibration_error"] < 0.01


def test_undefined_figures_are_absent_rather_than_nan() -> None:
    figures = evaluate(np.ones(3), np.zeros(3, dtype=bool), np.full(3, np.nan), (0.1,)).figures
    assert "auc" not in figures
    assert "recall_at_10" not in figures
    assert "revenue_at_10" not in figures
    assert figures["precision_at_10"] == 0


def test_novel_and_repeated_lines_are_judged_apart() -> None:
    novel = np.asarray([True, True, False, False])
    truth = np.asarray([True, False, True, False])
    found = evaluate(np.asarray([0.0, 1.0, 1.0, 0.0]), truth, np.zeros(4), (0.5,), None, novel).flat()
    assert found["novel/auc"] == 0
    assert found["repeated/auc"] == 1
    assert found["novel/n"] == found["repeated/n"] == 2


def test_inspected_rounds_up_without_a_float_surprise() -> None:
    assert [inspected(100, share) for share in (0.05, 0.07, 0.001)] == [5, 7, 1]
