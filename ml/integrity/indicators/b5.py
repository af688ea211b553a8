"""B5: inspectors whose conform files are contradicted by randomly drawn audits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._strata import at_stake, columns, outcomes
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per unit of the mart."""
    found = outcomes(inputs, entry, "integrity_audit_contradictions")
    if found is None:
        return no_rows()
    return raw_table(
        columns(found, entry, "high", is_shrunk=True)
        | {"observed_unit": "files contradicted by audit"}
        | at_stake(inputs, found, "high")
    )
