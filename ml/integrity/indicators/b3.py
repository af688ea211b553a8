"""B3: inspectors and pairs whose files are released much sooner, or much later, than comparable ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._strata import allow_for_clusters, columns, outcomes
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table

_OUTCOMES = (("fast", "files among the fastest fifth"), ("slow", "files among the slowest fifth"))


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return two rows per unit: too many of the fastest files, and too many of the slowest."""
    tables = []
    for outcome, unit in _OUTCOMES:
        found = outcomes(inputs, entry, "integrity_release_times", f"outcome = '{outcome}'")
        if found is not None:
            words = {"observed_unit": unit, "effect_name": f"excess of {outcome} files"}
            found = allow_for_clusters(found)
            tables.append(raw_table(columns(found, entry, "high") | words | {"tail": _SIDES[outcome]}))
    return pa.concat_tables(tables) if tables else no_rows()


# Seen along the time to release: favours lie at its low end, delays at its high end.
_SIDES = {"fast": "low", "slow": "high"}
