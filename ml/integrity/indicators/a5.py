"""A5: brokers who cancel reds and register the same consignment anew, more than they do of other lanes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.exact import SMALLEST
from ml.integrity.indicators._arrays import numbers
from ml.integrity.indicators._stakes import stakes, usual_recovery
from ml.integrity.inputs import Inputs
from ml.integrity.intervals import share_interval
from ml.integrity.periods import month_start, plus_months
from ml.integrity.signals import no_rows, raw_table

Floats = NDArray[np.float64]

_BROKERS = """
    select
        declarant_id, sum(red_n) as red,
        coalesce(sum(red_n) filter (where month >= date '{recent}'), 0) as recent_red,
        coalesce(sum(red_shopped_n) filter (where month >= date '{recent}'), 0) as shopped,
        sum(other_n) as other, sum(other_shopped_n) as other_shopped
    from integrity_lane_shopping group by all having recent_red > 0 order by all
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per broker with reds in the last months of the period."""
    months = int(entry.options["tested_months"])
    recent = plus_months(month_start(inputs.period.end), 1 - months)
    brokers = inputs.query(_BROKERS.format(recent=recent))
    if not brokers.num_rows:
        return no_rows()
    red, tested, shopped, other, other_shopped = (
        numbers(brokers, name) for name in ("red", "recent_red", "shopped", "other", "other_shopped")
    )
    p_value, expected = predictive_upper(shopped, tested, other_shopped, other)
    low, high = share_interval(shopped, tested)
    share = expected / tested
    return raw_table(
        {
            "unit_kind": "broker",
            "unit_id": brokers["declarant_id"],
            "observed": shopped,
            "expected": expected,
            "observed_unit": "reds cancelled and registered anew",
            "effect_name": "share among reds less share among others",
            "effect_size": shopped / tested - share,
            "effect_low": low - share,
            "effect_high": high - share,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "beta-binomial given the broker's other lanes",
            "p_value": p_value,
            "support": red,
            "has_support": red >= entry.support_minimum,
        }
        | stakes(
            usual_recovery(inputs, "file"),
            shopped - expected,
            low * tested - expected,
            high * tested - expected,
        )
    )


def predictive_upper(
    hits: Floats, trials: Floats, known_hits: Floats, known: Floats
) -> tuple[Floats, Floats]:
    """Return P(X >= hits) in `trials`, given each unit's other trials, and the expected hits.

    A unit's rate is known as far as its other trials tell; beyond that it is like those of all units, whose
    mean and spread are taken by moments. The hits are beta-binomial then.
    """
    mean = (known_hits.sum() + 0.5) / (known.sum() + 1)
    binomial = known * mean * (1 - mean)
    beyond = float((binomial * np.maximum(known - 1, 0)).sum())
    spread = float(((known_hits - known * mean) ** 2 - binomial).sum()) / max(beyond, 1e-9)
    weight = 1 / np.clip(spread, 5e-4, 0.02) - 1  # how many trials the others are worth: 50 to 2,000
    first = weight * mean + known_hits
    second = weight * (1 - mean) + known - known_hits
    tail = stats.betabinom.sf(hits - 1, trials, first, second)
    return np.clip(tail, SMALLEST, 1.0), trials * first / (first + second)
