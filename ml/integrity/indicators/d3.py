"""D3, tariff gradient: are prices lower than the peers' the more the higher the duty is?

Where evasion pays more, more of it shows (Fisman and Wei 2004). For an office, an inspector or a chapter:
the slope of its price discount against peers on the duty rate, weighted by items, over subheadings.
Prices of a heading move together, so the error is the cluster jackknife by heading (CR3; MacKinnon,
Nielsen and Webb 2023). A few large headings carry most of a slope, so Student's t has the degrees of
freedom of as many equal clusters (Satterthwaite 1946; Carter, Schnepel and Steigerwald 2017), less one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._arrays import codes
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Slopes:
    """Slope by unit; NaN where it cannot be told.

    Attributes:
        slope: Discount in ln per unit of the rate.
        error: Its standard error.
        clusters: Headings behind it.
        freedom: Degrees of freedom of the error: headings of equal weight, less one.
        p_value: One-sided: a slope above zero.
    """

    slope: Floats
    error: Floats
    clusters: Integers
    freedom: Floats
    p_value: Floats


def clustered_slopes(
    unit: Integers, cluster: Integers, x: Floats, y: Floats, weight: Floats, units: int
) -> Slopes:
    """Return the weighted least-squares slope of y on x of each unit, jackknifed over its clusters."""
    kinds = int(cluster.max(initial=0)) + 1
    pairs, place = np.unique(unit * kinds + cluster, return_inverse=True)
    owner = pairs // kinds
    moments = [weight, weight * x, weight * y, weight * x * x, weight * x * y]
    by_cluster = [np.bincount(place, one, minlength=owner.size).astype(np.float64) for one in moments]
    by_unit = [np.bincount(owner, moment, minlength=units).astype(np.float64) for moment in by_cluster]
    slope = _slope(by_unit)
    left_out = _slope([total[owner] - own for total, own in zip(by_unit, by_cluster, strict=True)])
    clusters = np.bincount(owner, minlength=units)
    # Without one cluster the slope may not be defined; then it is not defined at all.
    deviation = left_out - slope[owner]
    variance = (clusters - 1) / np.maximum(clusters, 1) * np.bincount(owner, deviation**2, minlength=units)
    error = np.sqrt(variance)
    freedom = _freedom(owner, by_cluster, by_unit)
    with np.errstate(invalid="ignore", divide="ignore"):
        p_value = stats.t.sf(slope / error, freedom)
    is_told = np.isfinite(slope) & np.isfinite(error) & (error > 0) & (clusters > 2)
    return Slopes(
        np.where(is_told, slope, np.nan),
        np.where(is_told, error, np.nan),
        clusters,
        freedom,
        np.where(is_told, p_value, np.nan),
    )


def _freedom(owner: Integers, by_cluster: list[Floats], by_unit: list[Floats]) -> Floats:
    """Return the number of equal clusters that would spread x as much, less one and at least one."""
    n, x, _, xx, _ = by_cluster
    mean = (by_unit[1] / np.maximum(by_unit[0], 1e-300))[owner]
    spread = np.maximum(xx - 2 * mean * x + mean**2 * n, 0)
    total = np.bincount(owner, spread, minlength=by_unit[0].size)
    squares = np.bincount(owner, spread**2, minlength=by_unit[0].size)
    freedom: Floats = np.maximum(total**2 / np.maximum(squares, 1e-300) - 1, 1.0)
    return freedom


def _slope(moments: list[Floats]) -> Floats:
    n, x, y, xx, xy = moments
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = xx - x * x / n
        slope = (xy - x * y / n) / np.where(spread > 1e-9 * np.maximum(xx, 1e-300), spread, np.nan)
    found: Floats = slope
    return found


_CELLS = """
with cells as (
    select
        unit_kind, unit_id, heading_code, hs6, preference_code, tax_rate_pct,
        sum(items_n)::double as n, sum(ln_unit_value_sum) as ln_price, sum(cif_value_usd) as value_usd
    from integrity_price_cells
    group by all
)
select
    unit_kind, unit_id, heading_code, hs6, tax_rate_pct / 100 as rate, value_usd, n,
    all_n - n as peers_n, (all_ln_price - ln_price) / (all_n - n) - ln_price / n as discount
from (
    select
        *,
        sum(n) over goods as all_n,
        sum(ln_price) over goods as all_ln_price
    from cells
    window goods as (partition by unit_kind, hs6, preference_code, tax_rate_pct)
)
where all_n > n
order by unit_kind, unit_id, hs6, rate
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return offices and inspectors with the slope of their price discount on the duty rate."""
    found = inputs.query(_CELLS)
    if not found.num_rows:
        return no_rows()
    unit_kind, unit_id, heading, goods = (
        codes(found, name) for name in ("unit_kind", "unit_id", "heading_code", "hs6")
    )
    # Rows stand in the order of units.
    is_first = (np.diff(unit_kind, prepend=-1) != 0) | (np.diff(unit_id, prepend=-1) != 0)
    unit, units = np.cumsum(is_first) - 1, found.filter(pa.array(is_first))
    rate, discount, n, peers_n = (found[name].to_numpy() for name in ("rate", "discount", "n", "peers_n"))
    size = units.num_rows
    # The variance of a difference of two means of items that spread alike.
    weight = n * peers_n / (n + peers_n)
    slopes = clustered_slopes(unit, heading, rate, discount, weight, size)
    pairs = np.unique(unit * (goods.max() + 1) + goods) // (goods.max() + 1)
    support = np.bincount(pairs, minlength=size).astype(np.float64)
    has_support = (support >= entry.support_minimum) & np.isfinite(slopes.p_value)
    has_support &= slopes.clusters >= entry.options["headings_minimum"]
    half = stats.t.ppf(0.975, slopes.freedom) * slopes.error
    edges = (slopes.slope, slopes.slope - half, slopes.slope + half)
    exposed = np.bincount(unit, found["value_usd"].to_numpy() * rate * rate, minlength=size)
    stake = [np.maximum(edge, 0) * exposed for edge in edges]
    return raw_table(
        {
            "unit_kind": units["unit_kind"],
            "unit_id": units["unit_id"],
            "observed": edges[0],
            "expected": np.zeros(size),
            "observed_unit": entry.effect_unit,
            "effect_name": "slope of the price discount on the duty rate",
            "effect_size": edges[0],
            "effect_low": edges[1],
            "effect_high": edges[2],
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "t-test of the slope, jackknifed over headings",
            "p_value": slopes.p_value,
            "support": support,
            "has_support": has_support,
            "revenue_at_stake_usd": stake[0],
            "revenue_low_usd": stake[1],
            "revenue_high_usd": stake[2],
        }
    )
