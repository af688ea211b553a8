"""A4: reds moved to a softer lane more often than comparable ones, by supervisor, importer and broker."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml.integrity.catalogue import Entry
from ml.integrity.exact import poisson_binomial_tails
from ml.integrity.indicators._arrays import integers, numbers
from ml.integrity.indicators._stakes import stakes, usual_recovery
from ml.integrity.inputs import Inputs
from ml.integrity.intervals import poisson_interval
from ml.integrity.periods import month_start, plus_months
from ml.integrity.signals import no_rows, raw_table

_UNITS = """
    select *, row_number() over (order by unit_kind, unit_id) - 1 as number
    from (
        select
            unit_kind, unit_id, sum(reds_n) as known_reds,
            sum(reds_n) filter (where month >= date '{recent}') as reds,
            sum(softened_n) filter (where month >= date '{recent}') as softened,
            sum(expected_softened_n) filter (where month >= date '{recent}') as expected
        from integrity_lane_overrides
        group by all
        having reds > 0
    )
    order by number
"""
_CELLS = """
    select units.number, softening_rate, sum(reds_n) as reds_n
    from integrity_lane_overrides inner join units using (unit_kind, unit_id)
    where month >= date '{recent}'
    group by all
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per supervisor, importer and broker with reds in the last months of the period.

    What a red counts for (its importer, its broker, the supervisor) rises and falls together, and the numbers
    of two units are never driven apart, so Benjamini-Hochberg holds.
    """
    recent = plus_months(month_start(inputs.period.end), 1 - int(entry.options["tested_months"]))
    units = inputs.query(_UNITS.format(recent=recent))
    if not units.num_rows:
        return no_rows()
    cells = inputs.query_with("units", units, _CELLS.format(recent=recent))
    reds, softened, expected = (numbers(units, name) for name in ("reds", "softened", "expected"))
    known = numbers(units, "known_reds")
    upper, _ = poisson_binomial_tails(
        integers(cells, "number"),
        np.clip(numbers(cells, "softening_rate"), 0.0, 1.0),
        softened.astype(np.int64),
        numbers(cells, "reds_n"),
    )
    low, high = poisson_interval(softened)
    return raw_table(
        {
            "unit_kind": units["unit_kind"],
            "unit_id": units["unit_id"],
            "observed": softened,
            "expected": expected,
            "observed_unit": "reds moved to a softer lane",
            "effect_name": "excess share of reds",
            "effect_size": (softened - expected) / reds,
            "effect_low": (low - expected) / reds,
            "effect_high": (high - expected) / reds,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "Poisson-binomial given the rate of comparable reds, exact",
            "p_value": upper,
            "support": known,
            "has_support": known >= entry.support_minimum,
        }
        | stakes(usual_recovery(inputs, "file"), softened - expected, low - expected, high - expected)
    )
