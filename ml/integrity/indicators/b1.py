"""B1: inspectors in whose files less is found than in comparable files of their colleagues."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._strata import Outcomes, at_stake, columns, outcomes
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per inspector, and one per office: whether its inspectors differ at all."""
    found = outcomes(inputs, entry, "integrity_findings")
    everybody = outcomes(inputs, entry, "integrity_findings", with_deviants=True)
    if found is None or everybody is None:
        return no_rows()
    inspectors = raw_table(
        columns(found, entry, "low", is_shrunk=True)
        | {"observed_unit": "files with a finding"}
        | at_stake(inputs, found, "low")
    )
    return pa.concat_tables([inspectors, _joint(everybody, entry)])


def _joint(found: Outcomes, entry: Entry) -> pa.Table:
    """Test by office that all its inspectors find as much: the sum of squares of k differences.

    Differences of an office sum to zero, so each square is taken by (k - 1) / k and the sum has k - 1 degrees
    of freedom, as in the extended Mantel-Haenszel test (Landis, Heyman, Koch, 1978).
    """
    rows = []
    offices = np.asarray(found.units["office_code"].to_pylist(), dtype=object)
    for office in sorted(set(offices)):
        chosen = (offices == office) & found.has_support & (found.variance > 0)
        size = int(chosen.sum())
        if size < 2:
            continue
        squares = (found.observed - found.expected)[chosen] ** 2 / found.variance[chosen]
        statistic = float(squares.sum()) * (size - 1) / size
        rows.append(
            (office, size, statistic, float(stats.chi2.sf(statistic, size - 1)), found.files[chosen].sum())
        )
    if not rows:
        return no_rows()
    names = [row[0] for row in rows]
    sizes, statistics, p_values, files = np.array([row[1:] for row in rows]).T
    freedom = sizes - 1
    excess = statistics / freedom - 1
    return raw_table(
        {
            "unit_kind": "office",
            "unit_id": names,
            "office_id": names,
            "observed": statistics,
            "expected": freedom,
            "observed_unit": "sum of squares",
            "effect_name": "dispersion between inspectors beyond chance",
            "effect_size": excess,
            "effect_low": statistics / stats.chi2.ppf(0.975, freedom) - 1,
            "effect_high": statistics / stats.chi2.ppf(0.025, freedom) - 1,
            "effect_unit": "times that of chance",
            "tail": "high",
            "test_name": "chi-squared, joint over inspectors, approximate",
            "p_value": p_values,
            "support": files,
            "has_support": True,
        }
    )
