"""Exact tails against enumeration, against SciPy, and under the null."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml.integrity.exact import SMALLEST, hypergeometric_sum_tails, poisson_binomial_tails


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_sum_of_unequal_coins_is_what_enumeration_says(probabilities: list[float], observed: int) -> None:
    observed = min(observed, len(probabilities))
    exact = np.zeros(len(probabilities) + 1)
    for outcome in product((0, 1), repeat=len(probabilities)):
        chance = np.prod([p if hit else 1 - p for p, hit in zip(probabilities, outcome, strict=True)])
        exact[sum(outcome)] += chance
    group = np.zeros(len(probabilities), dtype=np.int64)
    upper, lower = poisson_binomial_tails(group, np.array(probabilities), np.array([observed]))
    np.testing.assert_allclose(upper, max(exact[observed:].sum(), SMALLEST), atol=1e-12)
    np.testing.assert_allclose(lower, max(exact[: observed + 1].sum(), SMALLEST), atol=1e-12)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_sum_over_shifts_is_the_convolution_of_its_shifts(data: st.DataObject) -> None:
    shifts = []
    for _ in range(data.draw(st.integers(1, 5))):
        population = data.draw(st.integers(2, 12))
        marked = data.draw(st.integers(0, population))
        shifts.append((population, marked, data.draw(st.integers(0, population))))
    times = data.draw(st.integers(1, 3))
    mass = np.ones(1)
    for population, marked, drawn in shifts * times:
        values = np.arange(drawn + 1)
        mass = np.convolve(mass, stats.hypergeom.pmf(values, population, marked, drawn))
    observed = data.draw(st.integers(0, mass.size - 1))
    columns = np.array(shifts, dtype=np.int64).T
    upper, lower = hypergeometric_sum_tails(
        np.zeros(len(shifts), dtype=np.int64),
        *columns,
        np.full(len(shifts), float(times)),
        np.array([observed]),
    )
    np.testing.assert_allclose(upper, max(mass[observed:].sum(), SMALLEST), atol=1e-12)
    np.testing.assert_allclose(lower, max(mass[: observed + 1].sum(), SMALLEST), atol=1e-12)


def test_large_sums_agree_with_the_binomial_far_in_the_tail() -> None:
    trials, chance = 20_000, 0.01
    observed = np.array([150, 200, 260, 285])
    group = np.arange(4)
    upper, lower = poisson_binomial_tails(group, np.full(4, chance), observed, np.full(4, float(trials)))
    np.testing.assert_allclose(upper, stats.binom.sf(observed - 1, trials, chance), rtol=1e-3, atol=1e-13)
    np.testing.assert_allclose(lower, stats.binom.cdf(observed, trials, chance), rtol=1e-3, atol=1e-13)


def test_what_lies_beyond_reach_is_smallest_and_certainty_is_one() -> None:
    group = np.array([0, 1])
    upper, lower = poisson_binomial_tails(
        group, np.array([0.5, 1.0]), np.array([40, 1]), np.array([40.0, 1.0])
    )
    np.testing.assert_allclose(upper[0], 0.5**40, atol=1e-14)
    np.testing.assert_allclose([lower[0], upper[1], lower[1]], 1.0)
    upper, _ = poisson_binomial_tails(group[:1], np.array([0.5]), np.array([60]), np.array([60.0]))
    assert upper[0] == SMALLEST


def test_p_values_are_uniform_or_larger_under_an_even_draw() -> None:
    """2,000 pairs; false alarm of this test: below 1e-6 (binomial, each of three levels)."""
    random = np.random.default_rng(20240101)
    pairs, shifts = 2_000, 60
    population = random.integers(4, 30, (pairs, shifts))
    marked = np.maximum(1, population // random.integers(3, 6, (pairs, shifts)))
    drawn = random.integers(1, 4, (pairs, shifts))
    observed = random.hypergeometric(marked, population - marked, drawn).sum(axis=1)
    group = np.repeat(np.arange(pairs), shifts)
    upper, _ = hypergeometric_sum_tails(
        group, population.ravel(), marked.ravel(), drawn.ravel(), np.ones(group.size), observed
    )
    for level in (0.01, 0.05, 0.2):
        hits = int((upper <= level).sum())
        assert stats.binom.sf(hits - 1, pairs, level) > 1e-6
        assert hits > 0.5 * level * pairs  # exact, so discrete, yet not blunt
