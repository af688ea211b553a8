"""Exact tail probabilities of sums of independent discrete numbers, many at once.

A sum's characteristic function is the product of its parts', so its distribution is one inverse Fourier
transform away (Hong, 2013, "On computing the distribution function for the Poisson binomial distribution",
Computational Statistics and Data Analysis 59). With as many points as the sum can take values that is exact
up to rounding, about 1e-14 in absolute terms: smaller probabilities are given as `SMALLEST`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

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
    variance = _variance(kinds, mean)
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
            upper[some], lower[some] = _tails(matrix[some], kinds, int(size), observed[some])
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


def _variance(kinds: Floats, mean: Floats) -> Floats:
    """Return the variance of each kind of number."""
    population, marked, drawn = kinds.T
    left = np.where(population > 1, (population - drawn) / np.maximum(population - 1, 1), 1.0)
    found: Floats = mean * (1 - marked / population) * left
    return found


def _masses(kinds: Floats, points: int) -> Floats:
    """Return the probability masses of each kind of number at 0 to `points` less one, one row each.

    From the likeliest value outwards by the ratio of neighbours: no factorial of a large population is ever
    subtracted from another. What lies farther out than `_DEVIATIONS` and `_SLACK` is left out.
    """
    population, marked, drawn = kinds.T
    mass = np.zeros((len(kinds), points))
    is_single = population == 1
    mass[is_single, 0], mass[is_single, 1] = 1 - marked[is_single], marked[is_single]
    many = np.flatnonzero(~is_single)
    if not many.size:
        return mass
    population, marked, drawn = population[many], marked[many], drawn[many]
    least, most = np.maximum(0, drawn + marked - population), np.minimum(marked, drawn)
    mode = np.clip(np.floor((marked + 1) * (drawn + 1) / (population + 2)), least, most)
    spread = np.sqrt(_variance(kinds[many], drawn * marked / population))
    reach = np.ceil(_DEVIATIONS * spread + _SLACK)
    # Like with like: rows are as wide as the widest of their chunk.
    width = np.maximum(np.minimum(most - mode, reach), np.minimum(mode - least, reach)).astype(np.int64)
    order = np.argsort(width, kind="stable")
    for chunk in np.array_split(order, max(1, min(order.size, 8))):
        steps = np.arange(int(width[chunk].max(initial=0)))[None, :]
        n, m, d, middle = (one[chunk, None] for one in (population, marked, drawn, mode))
        above, below = middle + steps, middle - steps
        up = (m - above) * (d - above) / ((above + 1) * (n - m - d + above + 1))
        down = below * (n - m - d + below) / ((m - below + 1) * (d - below + 1))
        up[above >= most[chunk, None]] = 0.0
        down[below <= least[chunk, None]] = 0.0
        row = np.concatenate(
            [np.cumprod(down, axis=1)[:, ::-1], np.ones((chunk.size, 1)), np.cumprod(up, axis=1)], axis=1
        )
        row /= row.sum(axis=1, keepdims=True)
        place = (middle - steps.shape[1]).astype(np.int64) + np.arange(row.shape[1])
        inside = (place >= 0) & (place < points)
        mass[np.broadcast_to(many[chunk, None], place.shape)[inside], place[inside]] = row[inside]
    return mass


def _tails(matrix: sparse.csr_matrix, kinds: Floats, points: int, observed: Ints) -> tuple[Floats, Floats]:
    used = np.unique(matrix.indices)
    narrow = matrix[:, used]
    modulus, angle = np.empty((2, used.size, points // 2 + 1))
    step = max(1, _MOST_CELLS // points)
    for start in range(0, used.size, step):
        some = slice(start, start + step)
        transformed = np.fft.rfft(_masses(kinds[used[some]], points), axis=1)
        # A logarithm of zero times a count is still the zero that the product has there.
        modulus[some] = np.log(np.maximum(np.abs(transformed), 1e-300))
        angle[some] = np.angle(transformed)
    product = np.exp(narrow @ modulus + 1j * (narrow @ angle))
    distribution = np.clip(np.fft.irfft(product, n=points, axis=1), 0.0, None)
    distribution /= distribution.sum(axis=1, keepdims=True)
    place = np.arange(points)[None, :]
    at = observed[:, None]
    upper = np.where(place >= at, distribution, 0.0).sum(axis=1)
    lower = np.where(place <= at, distribution, 0.0).sum(axis=1)
    return np.clip(upper, SMALLEST, 1.0), np.clip(lower, SMALLEST, 1.0)
