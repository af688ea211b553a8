"""What B1 to B5 and A6 have in common: a unit's files with an outcome, within strata of comparable files.

Within a stratum the files with the outcome are a hypergeometric number under the null; the sum over strata is
tested exactly. The marts that hold such counts come from the dbt macro `counts_within_strata`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.exact import SMALLEST, hypergeometric_sum_tails
from ml.integrity.indicators._arrays import integers, numbers
from ml.integrity.indicators._stakes import stakes, usual_recovery
from ml.integrity.inputs import Inputs
from ml.integrity.intervals import limited_shrinkage, poisson_interval

Floats = NDArray[np.float64]
Tail = Literal["high", "low", "both"]
_KEYS = ("office_code", "unit_kind", "unit_id", "counterpart_id")
# Inspectors who deviate this clearly are nobody's measure; of this level, over the inspectors tested.
_DEVIANT_LEVEL = 0.01
_FEWEST_FOR_MEDIAN = 10

# One row per unit and stratum; what deviant inspectors had is taken out of the strata of all others.
_STRATA = """
    with removed as (
        select stratum_key, sum(drawn_n) as drawn_n, sum(observed_n) as observed_n
        from {table}
        where {where} and unit_kind = 'inspector' and unit_id in (select unit_id from deviants)
        group by stratum_key
    ),

    counts as (
        select
            deviant.unit_id is not null as is_deviant,
            counts.office_code, counts.unit_kind, counts.unit_id, counts.counterpart_id,
            counts.drawn_n, counts.observed_n,
            counts.population_n - coalesce(removed.drawn_n - if(is_deviant, counts.drawn_n, 0), 0)
                as population_n,
            counts.marked_n - coalesce(removed.observed_n - if(is_deviant, counts.observed_n, 0), 0)
                as marked_n
        from {table} as counts
        left join removed on counts.stratum_key = removed.stratum_key and counts.unit_kind = 'inspector'
        left join (select distinct unit_id from deviants) as deviant
            on counts.unit_id = deviant.unit_id and counts.unit_kind = 'inspector'
        where {where}
    )

    select
        dense_rank() over (order by office_code, unit_kind, unit_id, counterpart_id) - 1 as number, *
    from (
        select
            office_code, unit_kind, unit_id, counterpart_id, population_n, marked_n, drawn_n,
            count(*) as strata_n, sum(observed_n) as observed_n
        from counts
        group by all
    )
    order by number, population_n, marked_n, drawn_n
"""


@dataclass(frozen=True)
class Outcomes:
    """Units with their counts, one row each, in the order of their keys.

    Attributes:
        units: office_code, unit_kind, unit_id, counterpart_id.
        files: The unit's files in strata that tell something.
        observed, expected: Files with the outcome.
        variance: Of the observed under the null.
        has_support: Whether there are enough files and enough expected outcomes.
        upper, lower: P(X >= observed) and P(X <= observed), NaN without support.
    """

    units: pa.Table
    files: Floats
    observed: Floats
    expected: Floats
    variance: Floats
    has_support: NDArray[np.bool_]
    upper: Floats
    lower: Floats


def outcomes(
    inputs: Inputs, entry: Entry, table: str, where: str = "true", *, with_deviants: bool = False
) -> Outcomes | None:
    """Return counts and exact tails of every unit of a mart, or None where the period has none.

    One who deviates much would make colleagues of the same strata look as if they deviated the other way. So
    inspectors who clearly do, on either side, are found first, and are then no part of the others' strata.

    Args:
        inputs: The member's tables, cut to the period.
        entry: Gives the support minimum, and `expected_minimum` among its options.
        table: A mart of `counts_within_strata`.
        where: Condition on its rows, of our own words.
        with_deviants: Leave everybody in, for a joint test.
    """
    sql = _STRATA.format(table=table, where=where)
    deviants = pa.table({"unit_id": pa.array([], pa.string())})
    found = _tested(inputs.query_with("deviants", deviants, sql), entry)
    if found is None or with_deviants:
        return found
    is_inspector = np.asarray(found.units["unit_kind"].to_pylist()) == "inspector"
    both = np.where(is_inspector & found.has_support, two_sided(found.upper, found.lower), 1.0)
    is_deviant = both * max(int((is_inspector & found.has_support).sum()), 1) <= _DEVIANT_LEVEL
    if not is_deviant.any():
        return found
    deviants = found.units.filter(pa.array(is_deviant)).select(["unit_id"])
    return _tested(inputs.query_with("deviants", deviants, sql), entry)


def _tested(strata: pa.Table, entry: Entry) -> Outcomes | None:
    if not strata.num_rows:
        return None
    number = integers(strata, "number")
    first = np.flatnonzero(np.diff(number, prepend=-1))
    size, marked, drawn, count = (
        numbers(strata, name) for name in ("population_n", "marked_n", "drawn_n", "strata_n")
    )
    share = marked / size
    spread = drawn * share * (1 - share) * (size - drawn) / np.maximum(size - 1, 1)
    files, observed, expected, variance = (
        np.bincount(number, column).astype(np.float64)
        for column in (count * drawn, numbers(strata, "observed_n"), count * drawn * share, count * spread)
    )
    has_support = files >= entry.support_minimum
    has_support &= expected >= entry.options.get("expected_minimum", 0.0) - 1e-9
    upper, lower = np.full((2, observed.size), np.nan)
    tested = has_support[number]
    if tested.any():
        place = np.cumsum(has_support) - 1
        upper[has_support], lower[has_support] = hypergeometric_sum_tails(
            place[number[tested]],
            size[tested].astype(np.int64),
            marked[tested].astype(np.int64),
            drawn[tested].astype(np.int64),
            count[tested],
            observed[has_support].astype(np.int64),
        )
    units = strata.select(list(_KEYS)).take(pa.array(first))
    return Outcomes(units, files, observed, expected, variance, has_support, upper, lower)


def allow_for_clusters(found: Outcomes) -> Outcomes:
    """Return the counts with tails drawn in by how much inspectors differ for innocent reasons.

    Files of one inspector can share their fate, such as a week of leave, and are then fewer than they look.
    The factor is the median of squared deviates over that of chi-squared, by kind of unit and at least one:
    what most units show is innocent, and a few deviants do not move a median (Devlin, Roeder, 1999, "Genomic
    control for association studies", Biometrics 55).
    """
    upper, lower = found.upper.copy(), found.lower.copy()
    kinds = np.asarray(found.units["unit_kind"].to_pylist(), dtype=object)
    for kind in sorted(set(kinds)):
        rows = np.flatnonzero((kinds == kind) & found.has_support)
        if rows.size < _FEWEST_FOR_MEDIAN:
            continue
        point = np.clip(upper[rows] + lower[rows] - 1, 0, 1)
        deviate = stats.norm.isf(np.clip(upper[rows] - point / 2, SMALLEST, 1 - SMALLEST))
        factor = max(1.0, float(np.median(deviate**2) / stats.chi2.median(1)))
        if factor > 1:
            away = (found.observed - found.expected)[rows] / np.sqrt(found.variance[rows])
            upper[rows] = _drawn_in(upper[rows], away, factor)
            lower[rows] = _drawn_in(lower[rows], -away, factor)
    return replace(found, upper=upper, lower=lower)


def _drawn_in(tail: Floats, away: Floats, factor: float) -> Floats:
    """Return the tail at the deviate over the factor's root; too small to tell, at `away`."""
    deviate = np.where(tail > SMALLEST, stats.norm.isf(np.clip(tail, SMALLEST, 1)), away)
    wider: Floats = np.maximum(tail, stats.norm.sf(deviate / factor**0.5))
    return wider


def at_stake(inputs: Inputs, found: Outcomes, tail: Literal["high", "low"]) -> dict[str, Floats | None]:
    """Return the revenue of outcomes beyond, or short of, what was expected: each as a finding brings."""
    low, high = poisson_interval(found.observed)
    usual = usual_recovery(inputs, "finding")
    if tail == "high":
        return stakes(usual, found.observed - found.expected, low - found.expected, high - found.expected)
    return stakes(usual, found.expected - found.observed, found.expected - high, found.expected - low)


def two_sided(upper: Floats, lower: Floats) -> Floats:
    """Return twice the smaller tail, at most one."""
    doubled: Floats = np.minimum(2 * np.minimum(upper, lower), 1.0)
    return doubled


def columns(found: Outcomes, entry: Entry, tail: Tail, is_shrunk: bool = False) -> dict[str, Any]:
    """Return the columns of a signal for each unit.

    Of a two-sided test `tail` says on which side the unit lies: high or low.

    Args:
        found: The counts.
        entry: Names the effect's unit.
        tail: Which tail is tested.
        is_shrunk: Draw the effect towards that of the peers, by no more than its standard error.
    """
    p_value = {"high": found.upper, "low": found.lower, "both": two_sided(found.upper, found.lower)}[tail]
    low, high = poisson_interval(found.observed)
    effect = (found.observed - found.expected) / found.files
    if is_shrunk:
        error = np.sqrt(np.maximum(found.variance, 1e-12)) / found.files
        effect = limited_shrinkage(effect, error, found.has_support)
    side = np.where(found.observed >= found.expected, "high", "low")
    return {
        "unit_kind": found.units["unit_kind"],
        "unit_id": found.units["unit_id"],
        "counterpart_id": found.units["counterpart_id"],
        "office_id": found.units["office_code"],
        "observed": found.observed,
        "expected": found.expected,
        "effect_name": "difference from comparable files",
        "effect_size": effect,
        "effect_low": (low - found.expected) / found.files,
        "effect_high": (high - found.expected) / found.files,
        "effect_unit": entry.effect_unit,
        "tail": side.tolist() if tail == "both" else tail,
        "test_name": "sum of hypergeometric numbers over strata, exact",
        "p_value": p_value,
        "support": found.files,
        "has_support": found.has_support,
    }
