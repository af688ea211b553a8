"""Exact tail probabilities of sums of independent discrete numbers, many at once.

A sum's characteristic function is the product of its parts', so its distribution is one inverse Fourier
transform away (Hong, 2013, "On computing the distribution function for the Poisson binomial distribution",
Computational Statistics and Data Analysis 59). With as many points as the sum can take values that is exact
up to rounding, about 1e-14 in absolute terms: smaller probabilities are given as `SMALLEST`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SMALLEST = 1e-13
_FEWEST_POINTS = 16
# Beyond mean + 12 standard deviations + 40 a sum of independent 0-1 numbers has less than 1e-15.
_DEVIATIONS, _SLACK = 12.0, 40.0
_MOST_CELLS = 4_000_000  # of the matrix of sums by frequencies, so that memory stays bounded


def poisson_binomial_tails(
    group: Ints, probability: Floats, observed: Ints, count: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return P(X >= observed) and P(X <= observed) for sums of independent 0-1 numbers.

    Args:
        group: Which sum each number belongs to, 0 to the number of sums less one.
        probability: Of each number being one.
        observed: Of each sum.
        count: How often each number occurs; once where left out.
    """
    ones = np.ones(group.size, dtype=np.int64)
    return hypergeometric_sum_tails(
        group, ones, probability, ones, count if count is not None else np.ones(group.size), observed
    )


def hypergeometric_sum_tails(
    group: Ints, population: Ints, marked: NDArray[np.number], drawn: Ints, count: Floats, observed: Ints
) -> tuple[Floats, Floats]:
    """Return P(X >= observed) and P(X <= observed) for sums of independent hypergeometric numbers.

    Args:
        group: Which sum each number belongs to, 0 to the number of sums less one.
        population: Size of the population that is drawn from.
        marked: How many of it are marked. With a population of one, the probability of being marked.
        drawn: How many are drawn without putting back; the number is how many marked ones are among them.
        count: How often such a number occurs in the sum.
        observed: Of each sum.
    """
    kinds, kind = _kinds(population, marked, drawn)
    sums = observed.size
    matrix = sparse.csr_matrix((count, (group, kind)), shape=(sums, len(kinds)))
    mean = kinds[:, 2] * kinds[:, 1] / kinds[:, 0]
    mass = _masses(kinds)
    variance = mass @ np.arange(mass.shape[1]) ** 2 - mean**2
    highest = matrix @ np.minimum(np.ceil(kinds[:, 1]), kinds[:, 2])
    reach = matrix @ mean + _DEVIATIONS * np.sqrt(np.maximum(matrix @ variance, 0)) + _SLACK
    needed = np.maximum(np.minimum(highest, reach), np.minimum(observed, highest)) + 2
    points = np.maximum(2 ** np.ceil(np.log2(needed)).astype(np.int64), _FEWEST_POINTS)
    upper, lower = np.empty(sums), np.empty(sums)
    for size in np.unique(points):
        rows = np.flatnonzero(points == size)
        step = max(1, _MOST_CELLS // int(size))
        for start in range(0, rows.size, step):
            some = rows[start : start + step]
            upper[some], lower[some] = _tails(matrix[some], mass, int(size), observed[some])
    return upper, lower


def _kinds(population: Ints, marked: NDArray[np.number], drawn: Ints) -> tuple[Floats, Ints]:
    """Return the different numbers that occur, one row each, and which of them each row is."""
    if (population == 1).all():
        keys: NDArray[np.number] = marked
    else:
        # Three counts in one integer: sorting rows of three takes ten times as long.
        keys = population.astype(np.int64) << 42 | marked.astype(np.int64) << 21 | drawn.astype(np.int64)
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    columns = (population[first], marked[first], drawn[first])
    return np.column_stack(columns).astype(np.float64), kind.reshape(-1)


def _masses(kinds: Floats) -> Floats:
    """Return the probability masses of each kind of number, one row each, zeros beyond its support."""
    values = np.arange(int(np.minimum(np.ceil(kinds[:, 1]), kinds[:, 2]).max(initial=0)) + 1)
    is_single = kinds[:, 0] == 1
    whole = np.where(is_single[:, None], 1, kinds).astype(np.int64)
    mass: Floats = stats.hypergeom.pmf(
        values[None, :], whole[:, 0, None], whole[:, 1, None], whole[:, 2, None]
    )
    mass[is_single] = 0.0
    mass[is_single, 0] = 1 - kinds[is_single, 1]
    if mass.shape[1] > 1:
        mass[is_single, 1] = kinds[is_single, 1]
    return mass


def _tails(matrix: sparse.csr_matrix, mass: Floats, points: int, observed: Ints) -> tuple[Floats, Floats]:
    used = np.unique(matrix.indices)
    frequencies = np.arange(points // 2 + 1) * (2 * np.pi / points)
    waves = np.exp(-1j * np.outer(np.arange(mass.shape[1]), frequencies))
    transformed = mass[used] @ waves
    # A logarithm of zero times a count is still the zero that the product has there.
    modulus = np.log(np.maximum(np.abs(transformed), 1e-300))
    narrow = matrix[:, used]
    product = np.exp(narrow @ modulus + 1j * (narrow @ np.angle(transformed)))
    distribution = np.clip(np.fft.irfft(product, n=points, axis=1), 0.0, None)
    distribution /= distribution.sum(axis=1, keepdims=True)
    place = np.arange(points)[None, :]
    at = observed[:, None]
    upper = np.where(place >= at, distribution, 0.0).sum(axis=1)
    lower = np.where(place <= at, distribution, 0.0).sum(axis=1)
    return np.clip(upper, SMALLEST, 1.0), np.clip(lower, SMALLEST, 1.0)
