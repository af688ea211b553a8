"""D1, first digits: do an entity's declared values have the digits that many-sized amounts have?

Mean absolute deviation (MAD) of first-digit shares from Benford's law (Nigrini 2012), with a p-value
simulated at the entity's own number of values, because the usual bands ignore it: perfect data give a
mean MAD of about 0.235 / sqrt(n). Values of one client or heading are alike in size, so the number is
divided by the design effect that clusters have. An entity must also differ from the member's own digits,
since a member whose values as a whole leave the law says nothing of anybody (Cerioli et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._arrays import numbers
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table

Floats = NDArray[np.float64]

BENFORD: Floats = np.log10(1 + 1 / np.arange(1, 10))
EXPECTED_MAD_ROOT_N = 0.235
_GRID_PER_DECADE = 6
_ALL_OTHERS = ""  # units with too few values in all, which are a part of everybody's digits
_ENOUGH_HITS, _FIRST_DRAWS, _SECOND_DRAWS = 10, 1_999, 19_999


@dataclass(frozen=True)
class Digits:
    """First digits of units.

    Attributes:
        mad: Mean absolute deviation from Benford's law.
        mad_peers: The same from the digits of everybody.
        p_value: That chance makes a MAD as large: the larger of both simulated ones.
    """

    mad: Floats
    mad_peers: Floats
    p_value: Floats


def first_digits(
    counts: Floats, effective_n: Floats, pooled: Floats, random: np.random.Generator, draws: int = 9_999
) -> Digits:
    """Judge rows of nine digit counts, against Benford's law and against the pooled shares.

    Args:
        counts: Units by first digit.
        effective_n: As many independent values would be as exact: their number over the design effect.
        pooled: Digit counts of everybody.
        random: Seeded.
        draws: The least p-value is 1 / (draws + 1).
    """
    n = effective_n
    shares = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    peers = pooled / pooled.sum()
    mad, mad_peers = np.abs(shares - BENFORD).mean(axis=1), np.abs(shares - peers).mean(axis=1)
    p_value = np.maximum(
        mad_p_values(mad, n, BENFORD, random, draws), mad_p_values(mad_peers, n, peers, random, draws)
    )
    return Digits(mad, mad_peers, p_value)


def mad_p_values(
    mad: Floats, n: Floats, shares: Floats, random: np.random.Generator, draws: int = 9_999
) -> Floats:
    """Return P(MAD of n values drawn by `shares` is at least `mad`), simulated.

    sqrt(n) * MAD hardly depends on n, so that worlds of the nearest n of a grid serve.
    """
    p_value = np.ones(len(mad))
    place = np.round(_GRID_PER_DECADE * np.log10(np.maximum(n, 1))).astype(np.int64)
    for one in np.unique(place):
        size = round(float(10 ** (one / _GRID_PER_DECADE)))
        own = place == one
        scaled = mad[own] * np.sqrt(n[own]) - 1e-12
        # More draws where some unit is rare, all of them only where one is rarer than that.
        for planned, enough in ((_FIRST_DRAWS, _ENOUGH_HITS), (_SECOND_DRAWS, 1), (draws, 0)):
            made = min(planned, draws)
            hits = _hits(scaled, size, shares, random, made)
            if made == draws or hits.min() >= enough:
                break
        p_value[own] = (1 + hits) / (1 + made)
    return p_value


def _hits(
    scaled: Floats, size: int, shares: Floats, random: np.random.Generator, draws: int
) -> NDArray[np.int64]:
    """Count drawn worlds of `size` values whose scaled MAD is at least so large."""
    drawn = random.multinomial(size, shares, draws) / size
    null = np.sort(np.abs(drawn - shares).mean(axis=1) * np.sqrt(size))
    hits: NDArray[np.int64] = draws - np.searchsorted(null, scaled, side="left")
    return hits


def mad_interval(
    counts: Floats, effective_n: Floats, random: np.random.Generator, draws: int = 999
) -> tuple[Floats, Floats]:
    """Return the 95 % interval of the MAD of each row, by the basic bootstrap at the effective number.

    Shares drawn anew are normal with the covariance of a multinomial, from the same deviates for all rows: at
    the numbers that have support nothing else shows in an interval, and it takes a twentieth of the time.
    """
    shares = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    low, high = np.zeros(len(counts)), np.zeros(len(counts))
    deviates = random.standard_normal((draws, len(BENFORD)))
    for unit in range(len(counts)):
        root = np.sqrt(shares[unit])
        beside = deviates * root - np.outer(deviates @ root, shares[unit])
        drawn = shares[unit] + beside / np.sqrt(max(effective_n[unit], 1.0))
        mad = np.abs(drawn - BENFORD).mean(axis=1)
        own = np.abs(shares[unit] - BENFORD).mean()
        # What resampling adds to the MAD, sampling has added to it already.
        low[unit], high[unit] = 2 * own - np.quantile(mad, [0.975, 0.025])
    return np.maximum(low, 0), np.maximum(high, 0)


_DIGITS = """
-- Pseudonyms are long and meet in many rows: hashes stand for them in grouping.
with clusters as (
    select
        hash(unit_kind, unit_id) as unit_key, hash(cluster_id) as cluster_key,
        sum(values_n) as n, {cluster_sums}
    from integrity_first_digits
    group by unit_key, cluster_key
),
-- Variance of a digit's count between clusters under the law, over that of independent values.
effects as (
    select
        unit_key, count(*) as clusters, sum(n) ** 2 / sum(n ** 2) as effective_clusters,
        ({between}) / 9 as design_effect
    from clusters
    group by unit_key
),
units as (
    select
        hash(unit_kind, unit_id) as unit_key,
        any_value(unit_kind) as unit_kind, any_value(unit_id) as unit_id,
        sum(values_n)::double as n, sum(repeated_values_n)::double as repeated,
        sum(effective_subheadings * values_n) / sum(values_n) as subheadings,
        sqrt(greatest(
            sum(log_value_squares_sum) / sum(values_n) - (sum(log_value_sum) / sum(values_n)) ** 2, 0
        )) as spread,
        {unit_sums}
    from integrity_first_digits
    group by unit_key
)
select * from units inner join effects using (unit_key) order by unit_kind, unit_id
"""


def _sql() -> str:
    digits = range(1, 10)
    return _DIGITS.format(
        cluster_sums=", ".join(f"sum(digit_{digit}_n) as d{digit}" for digit in digits),
        unit_sums=", ".join(f"sum(digit_{digit}_n)::double as d{digit}" for digit in digits),
        between=" + ".join(
            f"sum((d{digit} - {share} * n) ** 2) / sum(n) / {share * (1 - share)}"
            for digit, share in zip(digits, BENFORD.tolist(), strict=True)
        ),
    )


def _counts(found: pa.Table) -> Floats:
    return np.column_stack([numbers(found, f"d{digit}") for digit in range(1, 10)])


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return importers, brokers and inspectors with the first digits of their values."""
    found = inputs.query(_sql())
    if not found.num_rows:
        return no_rows()
    pooled = _counts(found).sum(axis=0)
    found = found.filter(pc.not_equal(found["unit_id"], _ALL_OTHERS))
    counts = _counts(found)
    n, options = counts.sum(axis=1), entry.options
    # What a price list repeats, and what spans few sizes or goods, need not follow the law (Cerioli et al.).
    meets = numbers(found, "spread") >= options["log10_spread_minimum"]
    meets &= numbers(found, "subheadings") >= options["subheadings_minimum"]
    meets &= numbers(found, "effective_clusters") >= options["clusters_minimum"]
    meets &= numbers(found, "repeated") <= options["repeated_maximum"] * n
    effective = n / np.maximum(numbers(found, "design_effect"), 1.0)
    has_support = meets & (n >= entry.support_minimum)
    columns = {name: np.full(n.size, np.nan) for name in ("mad", "p_value", "low", "high")}
    if has_support.any():
        tested, size = counts[has_support], effective[has_support]
        judged = first_digits(tested, size, pooled, random, int(options["draws"]))
        low, high = mad_interval(tested, size, random)
        for name, part in (("mad", judged.mad), ("p_value", judged.p_value), ("low", low), ("high", high)):
            columns[name][has_support] = part
    usual = EXPECTED_MAD_ROOT_N / np.sqrt(effective)
    return raw_table(
        {
            "unit_kind": found["unit_kind"],
            "unit_id": found["unit_id"],
            "observed": columns["mad"],
            "expected": usual,
            "observed_unit": "mean absolute deviation of first-digit shares",
            "effect_name": "deviation from Benford's law beyond that of chance",
            "effect_size": columns["mad"] - usual,
            "effect_low": columns["low"] - usual,
            "effect_high": columns["high"] - usual,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "simulated at the number of values, against the law and against the member's digits",
            "p_value": columns["p_value"],
            "support": np.where(meets, n, 0.0),
            "has_support": has_support,
        }
    )
