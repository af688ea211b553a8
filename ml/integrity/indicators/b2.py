"""B2: inspectors who raise declared values more or less often than their peers at the same goods."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._strata import at_stake, columns, outcomes
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return one row per unit of the mart."""
    found = outcomes(inputs, entry, "integrity_uplifts")
    if found is None:
        return no_rows()
    return raw_table(
        columns(found, entry, "both", is_shrunk=True)
        | {"observed_unit": "items raised in value"}
        | at_stake(inputs, found, "low")
    )
