"""D5, gradient of mirror gaps: does the value that is missing here grow with the duty?

The test of Fisman and Wei (2004) on a member's own mirror flows: slope of the gap in value per kg on the duty
rate, over flows, jackknifed by heading as in D3. What a partner's records have in common is taken out
first. For a chapter, and for all chapters together: it names goods, never a firm or a person.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._arrays import numbers
from ml.integrity.indicators.d2 import median_polish
from ml.integrity.indicators.d3 import clustered_slopes
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table

EVERYTHING = "all chapters"
_FLOWS = """
select
    hs6, partner_code, avg(duty_rate_pct) / 100 as rate, sum(own_cif_value_usd) as own_value_usd,
    ln(sum(partner_fob_value_usd) / sum(partner_net_kg)) - ln(sum(own_cif_value_usd) / sum(own_net_kg)) as gap
from integrity_mirror_flows
group by classification_code, hs6, partner_code
having
    least(sum(own_cif_value_usd), sum(partner_fob_value_usd)) >= {least_usd}
    and sum(own_net_kg) > 0 and sum(partner_net_kg) > 0 and avg(duty_rate_pct) is not null
order by hs6, partner_code
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return chapters, and all of them together, with the slope of the gap on the duty rate."""
    found = inputs.query(_FLOWS.format(least_usd=entry.options["value_minimum_usd"]))
    if not found.num_rows:
        return no_rows()
    hs6 = np.asarray(found["hs6"].to_pylist(), dtype=str)
    _, partner = np.unique(np.asarray(found["partner_code"].to_pylist(), dtype=str), return_inverse=True)
    chapters, chapter = np.unique(hs6.astype("<U2"), return_inverse=True)
    _, heading = np.unique(hs6.astype("<U4"), return_inverse=True)
    _, goods = np.unique(hs6, return_inverse=True)
    rate, gap, value = (numbers(found, name) for name in ("rate", "gap", "own_value_usd"))
    # Each flow speaks for its chapter and for everything.
    size = chapters.size + 1
    unit = np.concatenate([chapter.reshape(-1), np.full(hs6.size, chapters.size)])
    rates, values = np.tile(rate, 2), np.tile(value, 2)
    everywhere = np.zeros(hs6.size, dtype=np.int64)
    residual = gap - median_polish(gap, partner.reshape(-1), everywhere)
    slopes = clustered_slopes(
        unit, np.tile(heading.reshape(-1), 2), rates, np.tile(residual, 2), np.ones(unit.size), size
    )
    pairs = np.unique(unit * (int(goods.max()) + 1) + np.tile(goods.reshape(-1), 2)) // (int(goods.max()) + 1)
    support = np.bincount(pairs, minlength=size).astype(np.float64)
    has_support = (support >= entry.support_minimum) & np.isfinite(slopes.p_value)
    has_support &= slopes.clusters >= entry.options["headings_minimum"]
    half = stats.t.ppf(0.975, np.maximum(slopes.clusters - 1, 1)) * slopes.error
    exposed = np.bincount(unit, values * rates**2, minlength=size)
    stake = [np.maximum(slopes.slope + edge, 0) * exposed for edge in (0, -half, half)]
    return raw_table(
        {
            "unit_kind": ["chapter"] * chapters.size + ["member"],
            "unit_id": [*chapters.tolist(), EVERYTHING],
            "observed": slopes.slope,
            "expected": np.zeros(size),
            "observed_unit": entry.effect_unit,
            "effect_name": "slope of the gap in value per kg on the duty rate",
            "effect_size": slopes.slope,
            "effect_low": slopes.slope - half,
            "effect_high": slopes.slope + half,
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
