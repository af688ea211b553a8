"""A6: whether the random draw takes as many as configured, whoever lodges, and at whatever hour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.exact import hypergeometric_sum_tails
from ml.integrity.indicators._arrays import integers, numbers
from ml.integrity.indicators._stakes import stakes, usual_recovery
from ml.integrity.inputs import Inputs
from ml.integrity.intervals import poisson_interval, share_interval
from ml.integrity.signals import no_rows, raw_table

_UNITS = """
    select *, row_number() over (order by office_code, unit_id) - 1 as number
    from (
        select
            office_code, unit_id,
            sum(drawn_n) as declarations, sum(observed_n) as observed, sum(expected_n) as expected
        from integrity_random_draws where unit_kind = '{kind}'
        group by all
    )
    order by number
"""
_MONTHS = """
    select units.number, population_n, marked_n, drawn_n
    from integrity_random_draws inner join units using (office_code, unit_id)
    where unit_kind = '{kind}'
"""
_DRAWS, _ENOUGH_HITS = (199, 49_999), 20


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per office against the configured share, per broker, and per office over its hours."""
    tables = [_offices(inputs, entry), _brokers(inputs, entry), _hours(inputs, entry, random)]
    return pa.concat_tables([table for table in tables if table.num_rows] or [no_rows()])


def _offices(inputs: Inputs, entry: Entry) -> pa.Table:
    units = inputs.query(_UNITS.format(kind="office"))
    share = inputs.parameters["random_red_share"]
    size, drawn = numbers(units, "declarations"), numbers(units, "observed")
    has_support = size >= entry.support_minimum
    lower, upper = stats.binom.cdf(drawn, size, share), stats.binom.sf(drawn - 1, size, share)
    low, high = share_interval(drawn, size)
    return raw_table(
        _words(units, entry, size, has_support)
        | {
            "unit_kind": "office",
            "observed": drawn,
            "expected": size * share,
            "effect_size": drawn / size - share,
            "effect_low": low - share,
            "effect_high": high - share,
            "tail": np.where(drawn >= size * share, "high", "low").tolist(),
            "test_name": "binomial against the configured share, exact",
            "p_value": np.minimum(2 * np.minimum(lower, upper), 1.0),
        }
    )


def _brokers(inputs: Inputs, entry: Entry) -> pa.Table:
    """Test that a broker is drawn no less than others of the office, whatever share the office draws."""
    units = inputs.query(_UNITS.format(kind="broker"))
    if not units.num_rows:
        return no_rows()
    months = inputs.query_with("units", units, _MONTHS.format(kind="broker"))
    size, drawn, expected = (numbers(units, name) for name in ("declarations", "observed", "expected"))
    _, lower = hypergeometric_sum_tails(
        integers(months, "number"),
        integers(months, "population_n"),
        integers(months, "marked_n"),
        integers(months, "drawn_n"),
        np.ones(months.num_rows),
        drawn.astype(np.int64),
    )
    low, high = poisson_interval(drawn)
    return raw_table(
        _words(units, entry, size, expected >= entry.options["broker_expected_minimum"])
        | {
            "unit_kind": "broker",
            "observed": drawn,
            "expected": expected,
            "effect_size": (drawn - expected) / size,
            "effect_low": (low - expected) / size,
            "effect_high": (high - expected) / size,
            "tail": "low",
            "test_name": "sum of hypergeometric numbers over months, exact",
            "p_value": lower,
        }
        | stakes(usual_recovery(inputs, "file"), expected - drawn, expected - high, expected - low)
    )


def _hours(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Test by office that no hour is spared, given how many were drawn in all."""
    hours = inputs.query(_UNITS.format(kind="hour"))
    office = np.asarray(hours["office_code"].to_pylist(), dtype=object)
    size, drawn = numbers(hours, "declarations"), numbers(hours, "observed")
    rows = []
    for code in sorted(set(office)):
        chosen = office == code
        if chosen.sum() > 1 and drawn[chosen].sum() > 0:
            counted = float(size[chosen].sum())
            rows.append((code, int(chosen.sum()), counted, *even_draw(size[chosen], drawn[chosen], random)))
    if not rows:
        return no_rows()
    codes = [row[0] for row in rows]
    groups, total, statistic, p_value = np.array([row[1:] for row in rows]).T
    offices = pa.table({"office_code": codes, "unit_id": codes})
    return raw_table(
        _words(offices, entry, total, total >= entry.support_minimum)
        | {
            "unit_kind": "office by hour",
            "observed": statistic,
            "expected": groups - 1.0,
            "observed_unit": "chi-squared",
            "effect_name": "unevenness over hours (Cramér's V)",
            "effect_size": np.sqrt(statistic / total),
            "tail": "high",
            "test_name": "chi-squared over hours, simulated given the number drawn",
            "p_value": p_value,
        }
    )


def even_draw(size: np.ndarray, drawn: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    """Return Pearson's statistic that all groups are drawn with one share, and its simulated p-value.

    The drawn are spread anew over the groups, without putting back. The many draws that a small p-value takes
    are made only where the first few leave it open.
    """
    colours, total = size.astype(np.int64), int(drawn.sum())
    share = total / colours.sum()
    scale = np.maximum(colours * share * (1 - share), 1e-12)

    def statistic(counts: np.ndarray) -> np.ndarray:
        found: np.ndarray = ((counts - colours * share) ** 2 / scale).sum(axis=-1)
        return found

    observed = float(statistic(drawn))
    hits = 0
    for draws in _DRAWS:
        drawn_anew = random.multivariate_hypergeometric(colours, total, draws, method="marginals")
        hits = int((statistic(drawn_anew) >= observed * (1 - 1e-12)).sum())
        if hits >= _ENOUGH_HITS:
            break
    return observed, (1 + hits) / (1 + draws)


def _words(units: pa.Table, entry: Entry, size: np.ndarray, has_support: np.ndarray) -> dict[str, Any]:
    return {
        "unit_id": units["unit_id"],
        "office_id": units["office_code"],
        "observed_unit": "declarations drawn",
        "effect_name": "difference in the share drawn",
        "effect_unit": entry.effect_unit,
        "support": size,
        "has_support": has_support,
    }
