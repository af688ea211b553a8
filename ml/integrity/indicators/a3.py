"""A3: files that are given from one inspector to another more often than elsewhere, or always to the same."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.exact import SMALLEST, poisson_binomial_tails
from ml.integrity.indicators._arrays import integers, numbers
from ml.integrity.inputs import Inputs
from ml.integrity.intervals import poisson_interval
from ml.integrity.signals import no_rows, raw_table

Floats = NDArray[np.float64]

_UNITS = """
    select *, row_number() over (order by office_code, unit_kind, unit_id) - 1 as number
    from (
        select
            office_code, unit_kind, unit_id,
            sum(files_n) as files, sum(reassigned_n) as reassigned, sum(files_n * chance) as expected
        from integrity_reassignments where (chance >= 0) = {with_chance}
        group by all
    )
    order by number
"""
_CHANCES = """
    select units.number, chance, sum(files_n) as files_n
    from integrity_reassignments inner join units using (office_code, unit_kind, unit_id) group by all
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per inspector giving, inspector taking over, and broker."""
    tables = [_given(inputs, entry), _taken_over(inputs, entry)]
    return pa.concat_tables([table for table in tables if table.num_rows] or [no_rows()])


def beta_binomial_upper(hits: Floats, trials: Floats, group: NDArray[np.object_]) -> tuple[Floats, Floats]:
    """Return P(X >= hits) and the expected hits of each unit, against the other units of its group.

    Rates of honest units differ, so the null is beta-binomial: mean and spread by moments over the group
    (Kleinman, 1973), the unit itself left out of both. Few files of others tell their rate badly: its own
    error comes on top of the spread.
    """
    p_value, expected = np.full(hits.size, np.nan), np.full(hits.size, np.nan)
    for name in sorted(set(group)):
        rows = np.flatnonzero(group == name)
        if rows.size < 3:
            continue
        others = trials[rows].sum() - trials[rows]
        mean = (hits[rows].sum() - hits[rows] + 0.5) / (others + 1)
        spread = _spread_of_others(hits[rows], trials[rows], mean)
        expected[rows] = mean * trials[rows]
        scale = 1 / np.minimum(spread + 1 / (others + 2), 0.5) - 1
        tail = stats.betabinom.sf(hits[rows] - 1, trials[rows], mean * scale, (1 - mean) * scale)
        p_value[rows] = np.clip(tail, SMALLEST, 1.0)
    return p_value, expected


def _spread_of_others(hits: Floats, trials: Floats, mean: Floats) -> Floats:
    """Return the intra-class correlation among the other units, for each unit; at least one in a million."""
    errors = (hits[None, :] - trials[None, :] * mean[:, None]) ** 2
    binomial = trials[None, :] * (mean * (1 - mean))[:, None]
    np.fill_diagonal(errors, 0.0)
    np.fill_diagonal(binomial, 0.0)
    beyond = (binomial * np.maximum(trials[None, :] - 1, 0)).sum(axis=1)
    spread: Floats = (errors.sum(axis=1) - binomial.sum(axis=1)) / np.maximum(beyond, 1e-9)
    return np.clip(spread, 1e-6, 0.5)


def _given(inputs: Inputs, entry: Entry) -> pa.Table:
    units = inputs.query(_UNITS.format(with_chance="false"))
    if not units.num_rows:
        return no_rows()
    files, reassigned = numbers(units, "files"), numbers(units, "reassigned")
    names = zip(units["office_code"].to_pylist(), units["unit_kind"].to_pylist(), strict=True)
    group = np.array([f"{office}\n{kind}" for office, kind in names], dtype=object)
    has_support = files >= entry.support_minimum
    # The small ones are peers as well: an office can have one broker with many files, and fifty with few.
    p_value, expected = beta_binomial_upper(reassigned, files, group)
    has_support &= np.isfinite(p_value)  # with fewer than three units there are no peers
    p_value[~has_support] = np.nan
    words = {
        "test_name": "beta-binomial against the other units of the office",
        "observed_unit": "files given away",
    }
    return _table(units, entry, files, reassigned, expected, p_value, has_support, words)


def _taken_over(inputs: Inputs, entry: Entry) -> pa.Table:
    units = inputs.query(_UNITS.format(with_chance="true"))
    if not units.num_rows:
        return no_rows()
    chances = inputs.query_with("units", units, _CHANCES)
    files, reassigned, expected = (numbers(units, name) for name in ("files", "reassigned", "expected"))
    upper, _ = poisson_binomial_tails(
        integers(chances, "number"),
        numbers(chances, "chance"),
        reassigned.astype(np.int64),
        numbers(chances, "files_n"),
    )
    has_support = expected >= entry.options["expected_minimum"]
    words = {"test_name": "Poisson-binomial among those on duty, exact", "observed_unit": "files taken over"}
    return _table(units, entry, files, reassigned, expected, upper, has_support, words)


def _table(
    units: pa.Table,
    entry: Entry,
    files: Floats,
    reassigned: Floats,
    expected: Floats,
    p_value: Floats,
    has_support: NDArray[np.bool_],
    words: dict[str, str],
) -> pa.Table:
    low, high = poisson_interval(reassigned)
    return raw_table(
        {
            "unit_kind": units["unit_kind"],
            "unit_id": units["unit_id"],
            "office_id": units["office_code"],
            "observed": reassigned,
            "expected": expected,
            "effect_name": "excess share of files",
            "effect_size": (reassigned - expected) / files,
            "effect_low": (low - expected) / files,
            "effect_high": (high - expected) / files,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "p_value": p_value,
            "support": files,
            "has_support": has_support,
        }
        | words
    )
