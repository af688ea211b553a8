"""A1: files of a broker that reach one inspector more often than an even draw gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml.integrity.catalogue import Entry
from ml.integrity.exact import hypergeometric_sum_tails
from ml.integrity.indicators._arrays import integers, numbers
from ml.integrity.indicators._stakes import stakes, usual_recovery
from ml.integrity.inputs import Inputs
from ml.integrity.intervals import poisson_interval
from ml.integrity.signals import no_rows, raw_table

# A broker's expectations sum to its files, as every file goes to somebody: support needs no other count.
# Pairs that never met and were not expected to are nobody's business. Pseudonyms are long: a hash stands for
# the pair.
_PAIRS = """
    with pairs as (
        select
            hash(office_code, declarant_id, inspector_id) as pair_key,
            any_value(office_code) as office_code, any_value(declarant_id) as declarant_id,
            any_value(inspector_id) as inspector_id,
            sum(observed_files_n) as observed, sum(expected_files) as expected
        from integrity_pair_assignments
        group by pair_key
    )
    select
        *, sum(expected) over (partition by office_code, declarant_id) as files
    from pairs
    qualify observed > 0 or expected >= {least_expected}
    order by office_code, declarant_id, inspector_id
"""
_SHIFTS = """
    select
        pairs.number, stratum_files_n, inspector_files_n, broker_files_n, sum(strata_n) as strata_n
    from integrity_pair_assignments
    inner join pairs on hash(office_code, declarant_id, inspector_id) = pairs.pair_key
    where office_code = '{office}'
    group by all
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per broker and inspector: files that met, and what an even draw gives."""
    least_expected = entry.options["expected_minimum"]
    pairs = inputs.query(_PAIRS.format(least_expected=least_expected))
    if not pairs.num_rows:
        return no_rows()
    observed, expected, files = (numbers(pairs, name) for name in ("observed", "expected", "files"))
    # A hundredth of rounding in sums of fractions decides nothing.
    has_support = (files >= entry.support_minimum - 0.01) & (expected >= least_expected)
    p_value = np.full(observed.size, np.nan)
    tested = np.flatnonzero(has_support)
    offices = np.asarray(pairs["office_code"].to_pylist(), dtype=object)
    for office in sorted(set(offices[tested])):  # one at a time, so that memory is that of the largest
        rows = tested[offices[tested] == office]
        p_value[rows] = _upper_tails(inputs, pairs.take(pa.array(rows)), office)
    low, high = poisson_interval(observed)
    return raw_table(
        {
            "unit_kind": "broker-inspector pair",
            "unit_id": pairs["declarant_id"],
            "counterpart_id": pairs["inspector_id"],
            "office_id": pairs["office_code"],
            "observed": observed,
            "expected": expected,
            "observed_unit": "files",
            "effect_name": "excess share",
            "effect_size": (observed - expected) / files,
            "effect_low": (low - expected) / files,
            "effect_high": (high - expected) / files,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "sum of hypergeometric numbers over shifts, exact",
            "p_value": p_value,
            "support": files,
            "has_support": has_support,
        }
        | stakes(usual_recovery(inputs, "file"), observed - expected, low - expected, high - expected)
    )


def _upper_tails(inputs: Inputs, pairs: pa.Table, office: str) -> NDArray[np.float64]:
    numbered = pairs.select(["pair_key"]).append_column("number", pa.array(np.arange(pairs.num_rows)))
    shifts = inputs.query_with("pairs", numbered, _SHIFTS.format(office=office.replace("'", "''")))
    upper, _ = hypergeometric_sum_tails(
        integers(shifts, "number"),
        integers(shifts, "stratum_files_n"),
        integers(shifts, "inspector_files_n"),
        integers(shifts, "broker_files_n"),
        numbers(shifts, "strata_n"),
        integers(pairs, "observed"),
    )
    return upper
