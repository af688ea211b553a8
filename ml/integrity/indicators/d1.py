"""D1, first digits: do an entity's declared values have the digits that many-sized amounts have?

Mean absolute deviation (MAD) of first-digit shares from Benford's law (Nigrini 2012), with a p-value
simulated at the entity's own number of values, because the usual bands ignore it: perfect data give a mean
MAD of about 0.235 / sqrt(n). An entity must also differ from the member's own digits, since a
member whose values as a whole leave the law says nothing of anybody (Cerioli et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml.integrity.catalogue import Entry
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table

Floats = NDArray[np.float64]

BENFORD: Floats = np.log10(1 + 1 / np.arange(1, 10))
EXPECTED_MAD_ROOT_N = 0.235
_GRID_PER_DECADE = 6


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
    counts: Floats, pooled: Floats, random: np.random.Generator, draws: int = 9_999
) -> Digits:
    """Judge rows of nine digit counts, against Benford's law and against the pooled shares."""
    n = counts.sum(axis=1)
    shares = counts / np.maximum(n, 1)[:, None]
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
        size = int(round(10 ** (one / _GRID_PER_DECADE)))
        drawn = random.multinomial(size, shares, draws) / size
        null = np.sort(np.abs(drawn - shares).mean(axis=1) * np.sqrt(size))
        own = place == one
        hits = draws - np.searchsorted(null, mad[own] * np.sqrt(n[own]) - 1e-12, side="left")
        p_value[own] = (1 + hits) / (1 + draws)
    return p_value


def mad_interval(counts: Floats, random: np.random.Generator, draws: int = 999) -> tuple[Floats, Floats]:
    """Return the 95 % interval of the MAD of each row, resampled; drawn worlds add noise, which is taken off."""
    n = np.maximum(counts.sum(axis=1), 1)
    shares = counts / n[:, None]
    low, high = np.zeros(len(counts)), np.zeros(len(counts))
    for unit in range(len(counts)):
        drawn = random.multinomial(int(n[unit]), shares[unit], draws) / n[unit]
        mad = np.abs(drawn - BENFORD).mean(axis=1)
        own = np.abs(shares[unit] - BENFORD).mean()
        # Basic bootstrap: what resampling adds to the MAD, sampling has added to it already.
        low[unit], high[unit] = 2 * own - np.quantile(mad, [0.975, 0.025])
    return np.maximum(low, 0), np.maximum(high, 0)


_DIGITS = """
with magnitudes as (
    select unit_kind, unit_id, magnitude, sum(values_n) as values_n
    from integrity_first_digits
    group by all
),
orders as (
    select unit_kind, unit_id, count(*) as orders
    from (
        select *, sum(values_n) over (partition by unit_kind, unit_id) as all_n from magnitudes
    )
    where values_n >= 0.005 * all_n
    group by all
)
select
    unit_kind, unit_id, any_value(orders) as orders, max(subheadings_n) as subheadings,
    sum(values_n)::double as values_n, sum(repeated_values_n)::double as repeated,
    {digits}
from integrity_first_digits inner join orders using (unit_kind, unit_id)
group by unit_kind, unit_id
order by unit_kind, unit_id
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return importers, brokers and inspectors with the first digits of their values."""
    columns = ", ".join(
        f"coalesce(sum(values_n) filter (where first_digit = {digit}), 0)::double as digit_{digit}"
        for digit in range(1, 10)
    )
    found = inputs.query(_DIGITS.format(digits=columns))
    if not found.num_rows:
        return no_rows()
    counts = np.column_stack([found[f"digit_{digit}"].to_numpy() for digit in range(1, 10)])
    n, options = counts.sum(axis=1), entry.options
    # What a price list repeats, and what spans few sizes or goods, need not follow the law (Cerioli et al. 2019).
    meets = found["orders"].to_numpy() >= options["orders_minimum"]
    meets &= found["subheadings"].to_numpy() >= options["subheadings_minimum"]
    meets &= found["repeated"].to_numpy() <= options["repeated_maximum"] * n
    has_support = meets & (n >= entry.support_minimum)
    judged = first_digits(counts, counts.sum(axis=0), random, int(options["draws"]))
    low, high = mad_interval(counts, random)
    usual = EXPECTED_MAD_ROOT_N / np.sqrt(n)
    return raw_table(
        {
            "unit_kind": found["unit_kind"],
            "unit_id": found["unit_id"],
            "observed": judged.mad,
            "expected": usual,
            "observed_unit": "mean absolute deviation of first-digit shares",
            "effect_name": "deviation from Benford's law beyond that of chance",
            "effect_size": judged.mad - usual,
            "effect_low": low - usual,
            "effect_high": high - usual,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "simulated at the number of values, against the law and against the member's digits",
            "p_value": judged.p_value,
            "support": np.where(meets, n, 0.0),
            "has_support": has_support,
        }
    )
