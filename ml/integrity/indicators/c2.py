"""C2, bunching: are there more consignments just under a threshold than a smooth distribution has?

Counts by logarithmic value around the threshold; a cubic Poisson regression on the bins outside the
window gives the count that would be there (Chetty et al. 2011; Kleven 2016). The excess is judged against
worlds drawn from the smooth curve and fitted again, with the spread that the bins outside show, so that
round prices widen the null; an excess that a placebo threshold matches is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml.integrity.catalogue import Entry
from ml.integrity.inputs import Inputs
from ml.integrity.signals import raw_table

Floats = NDArray[np.float64]

DEGREE = 3
_STEPS = 25
_ENOUGH_HITS, _FIRST_DRAWS, _GROWTH, _CHUNK = 10, 99, 5, 4_000


@dataclass(frozen=True)
class Bins:
    """A grid of bins of equal width in ln(value / threshold).

    Attributes:
        width: In ln value.
        half: Bins on either side of the threshold.
        window: Bins just below the threshold whose excess is looked for; as many above are left out of
            the fit, because that is where the missing ones would have been.
    """

    width: float = 0.05
    half: int = 28
    window: int = 2

    @property
    def centres(self) -> Floats:
        """Centres in ln(value / threshold)."""
        return np.asarray((np.arange(-self.half, self.half) + 0.5) * self.width, dtype=np.float64)

    def below(self, shift: int = 0) -> NDArray[np.bool_]:
        """Bins of the window under the threshold moved by `shift` bins."""
        place = np.arange(-self.half, self.half) - shift
        return np.asarray((place >= -self.window) & (place < 0))

    def left_out(self, shift: int = 0) -> NDArray[np.bool_]:
        """Bins that the fit does not see."""
        place = np.arange(-self.half, self.half) - shift
        return np.asarray((place >= -self.window) & (place < self.window))

    def placebos(self) -> list[int]:
        """Shifts whose windows neither touch the true one nor the ends."""
        step, reach = 2 * self.window, self.half - 2 * self.window
        return [shift for shift in range(-reach, reach + 1, step) if abs(shift) >= 2 * self.window]


@dataclass(frozen=True)
class Excess:
    """What is found under the threshold, by unit.

    Attributes:
        observed, expected: Consignments in the window, and those of the smooth curve.
        spread: Standard error of observed minus expected.
        dispersion: Pearson's chi-square per degree of freedom outside the window, at least 1.
        p_value: One-sided, simulated; at least 1 / (draws + 1).
    """

    observed: Floats
    expected: Floats
    spread: Floats
    dispersion: Floats
    p_value: Floats


def bunching(counts: Floats, random: np.random.Generator, bins: Bins = Bins(), draws: int = 999) -> Excess:
    """Judge the excess just below the threshold for each row of `counts` (units x bins)."""
    own = _statistic(counts, bins, bins.below(), bins.left_out())
    smooth, _ = _fit(counts, bins, np.zeros(counts.shape[1], dtype=bool))
    p_value = np.ones(len(counts))
    for unit in range(len(counts)):  # units with support, a few hundred at most
        hits, made = 0, 0
        # Few draws where the excess is common, more where it is rare (Besag and Clifford 1991).
        while hits < _ENOUGH_HITS and made < draws:
            size = min(max(_FIRST_DRAWS, _GROWTH * made), _CHUNK, draws - made)
            hits += _hits(smooth[unit], own.dispersion[unit], own.score[unit], random, bins, size)
            made += size
        p_value[unit] = (1 + hits) / (1 + made)
    placebos = bins.placebos()
    matched = sum(
        _statistic(counts, bins, bins.below(shift), bins.left_out(shift)).score >= own.score
        for shift in placebos
    )
    placebo_p = np.where(np.asarray(matched) > 0, (1 + np.asarray(matched)) / (1 + len(placebos)), 0.0)
    return Excess(own.observed, own.expected, own.spread, own.dispersion, np.maximum(p_value, placebo_p))


@dataclass(frozen=True)
class _Scored:
    observed: Floats
    expected: Floats
    spread: Floats
    dispersion: Floats
    score: Floats


def _statistic(counts: Floats, bins: Bins, below: NDArray[np.bool_], left_out: NDArray[np.bool_]) -> _Scored:
    """Excess in the window over its standard error, that of the prediction included."""
    fitted, covariance = _fit(counts, bins, left_out)
    design = _design(bins)
    kept = ~left_out
    pearson = ((counts[:, kept] - fitted[:, kept]) ** 2 / np.maximum(fitted[:, kept], 1e-9)).sum(axis=1)
    dispersion = np.maximum(pearson / (kept.sum() - DEGREE - 1), 1.0)
    expected = fitted[:, below].sum(axis=1)
    gradient = fitted[:, below] @ design[below]
    of_prediction = np.einsum("ui,uij,uj->u", gradient, covariance, gradient)
    spread = np.sqrt(dispersion * (expected + of_prediction))
    observed = counts[:, below].sum(axis=1)
    return _Scored(observed, expected, spread, dispersion, (observed - expected) / np.maximum(spread, 1e-9))


def _hits(
    smooth: Floats, dispersion: float, score: float, random: np.random.Generator, bins: Bins, draws: int
) -> int:
    """Count drawn worlds whose excess is at least that of the unit."""
    # Multiples of the dispersion have the variance of the quasi-Poisson model.
    drawn = dispersion * random.poisson(smooth / dispersion, (draws, smooth.size)).astype(np.float64)
    return int((_statistic(drawn, bins, bins.below(), bins.left_out()).score >= score).sum())


def _design(bins: Bins) -> Floats:
    # Legendre polynomials: a cubic in raw powers is badly conditioned.
    scaled = bins.centres / (bins.half * bins.width)
    return np.asarray(np.polynomial.legendre.legvander(scaled, DEGREE), dtype=np.float64)


def _fit(counts: Floats, bins: Bins, left_out: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Fit the Poisson regression of every row at once by iterated weighted least squares.

    Returns fitted counts of all bins and the covariance of the coefficients.
    """
    design = _design(bins)
    inside, observed = design[~left_out], counts[:, ~left_out]
    products = (inside[:, :, None] * inside[:, None, :]).reshape(len(inside), -1)
    start = np.log(np.maximum(observed, 0.5))
    coefficients = start @ np.linalg.pinv(inside).T
    ridge = 1e-8 * np.eye(DEGREE + 1)
    for _ in range(_STEPS):
        mean = np.exp(np.clip(coefficients @ inside.T, -30, 30))
        working = coefficients @ inside.T + (observed - mean) / mean
        information = (mean @ products).reshape(-1, DEGREE + 1, DEGREE + 1) + ridge
        score = (mean * working) @ inside
        following = np.linalg.solve(information, score[..., None])[..., 0]
        settled = np.abs(following - coefficients).max() < 1e-7
        coefficients = following
        if settled:
            break
    mean = np.exp(np.clip(coefficients @ inside.T, -30, 30))
    information = (mean @ products).reshape(-1, DEGREE + 1, DEGREE + 1) + ridge
    return np.exp(np.clip(coefficients @ design.T, -30, 30)), np.linalg.inv(information)


_COUNTS = """
with near as (
    select
        office_code, declarant_id, chapter_code, general_rate_pct,
        floor(ln(value_usd / {threshold}) / {width})::int + {half} as bin
    from integrity_small_consignments
),
units as (
    from near select 'office' as unit_kind, office_code as unit_id, bin, general_rate_pct
    union all
    from near select 'broker', declarant_id, bin, general_rate_pct where declarant_id is not null
    union all
    from near select 'chapter', chapter_code, bin, general_rate_pct
)
select unit_kind, unit_id, bin, count(*) as consignments, avg(general_rate_pct) as rate_pct
from units
where bin between 0 and {last}
group by all
order by unit_kind, unit_id, bin
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return offices, brokers and chapters with their excess just under the de minimis value."""
    bins, threshold = Bins(), float(inputs.parameters["de_minimis_usd"])
    size = 2 * bins.half
    found = inputs.query(_COUNTS.format(threshold=threshold, width=bins.width, half=bins.half, last=size - 1))
    units, place = np.unique(
        np.stack(
            [found[name].to_numpy(zero_copy_only=False).astype(str) for name in ("unit_kind", "unit_id")]
        ),
        axis=1,
        return_inverse=True,
    )
    counts, weighted = np.zeros((2, units.shape[1], size))
    at = (place.reshape(-1), found["bin"].to_numpy())
    counts[at] = found["consignments"].to_numpy()
    weighted[at] = np.nan_to_num(found["rate_pct"].to_numpy()) * counts[at]
    support = counts.sum(axis=1)
    has_support = support >= entry.support_minimum
    full = np.full(support.size, np.nan)
    columns = {name: full.copy() for name in ("observed", "expected", "spread", "p_value")}
    if has_support.any():
        excess = bunching(counts[has_support], random, bins, int(entry.options["draws"]))
        for name, column in columns.items():
            column[has_support] = getattr(excess, name)
    observed, expected, spread = columns["observed"], columns["expected"], columns["spread"]
    rate = weighted.sum(axis=1) / np.maximum(support, 1) / 100
    beyond = observed - expected
    low, high = beyond - 1.96 * spread, beyond + 1.96 * spread
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = [value / expected for value in (beyond, low, high)]
    return raw_table(
        {
            "unit_kind": units[0].tolist(),
            "unit_id": units[1].tolist(),
            "observed": observed,
            "expected": expected,
            "observed_unit": "consignments just under the threshold",
            "effect_name": "excess over the smooth curve",
            "effect_size": effect[0],
            "effect_low": effect[1],
            "effect_high": effect[2],
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "simulated, with placebo thresholds",
            "p_value": columns["p_value"],
            "support": support,
            "has_support": has_support,
            "revenue_at_stake_usd": np.maximum(beyond, 0) * threshold * rate,
            "revenue_low_usd": np.maximum(low, 0) * threshold * rate,
            "revenue_high_usd": np.maximum(high, 0) * threshold * rate,
        }
    )
