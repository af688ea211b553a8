"""Signals of one entity taken together: Cauchy combination, a band of severity, revenue possibly at stake.

An entity's signals depend on each other (the same files feed them), so their p-values are combined by
Cauchy's distribution, which holds under dependence (Liu and Xie 2020, JASA 115). An indicator with many
rows on an entity (a broker and each inspector) counts once. Entities of a kind are then corrected against
each other (Benjamini and Yekutieli). Sets (E1) are evidence on a group and enter nobody's combination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml.integrity.multiplicity import q_values
from ml.integrity.signals import SEVERITIES

if TYPE_CHECKING:
    import duckdb

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

REVIEW_Q, PRIORITY_Q, NOTE_P = 0.05, 0.001, 0.01
_SMALL, _TINY = 1e-15, 1e-300
# One-sided tests of counts give p-values of one by the hundred. Their score is minus infinity and would
# outweigh any signal, so it is cut off (Gui, Jiang and Wang 2023): what is usual takes nothing back.
_USUAL = 0.99

# The person or firm that a kind of unit is; a pair is both. Offices, chapters, flows and sets are neither.
PERSONS = ("broker", "inspector", "importer", "supervisor")
_MENTIONS = """
create or replace temp view latest as
select * from signals
qualify period_end is null or period_end = max(period_end) over (partition by member_iso2, indicator_id);
create or replace temp view mentions as
with named as (
    select
        *,
        -- `broker-inspector pair` is both; `inspector, files taken over` is an inspector.
        string_split(replace(split_part(unit_kind, ',', 1), ' pair', ''), '-') as kinds
    from latest
    where status != 'not computable'
)
select member_iso2, kinds[1] as entity_kind, unit_id as entity_id, * exclude (member_iso2, kinds)
from named
where kinds[1] in ({persons})
union all by name
select member_iso2, kinds[2] as entity_kind, counterpart_id as entity_id, * exclude (member_iso2, kinds)
from named
where len(kinds) = 2 and kinds[2] in ({persons}) and counterpart_id is not null
"""
_ENTITIES = """
select
    row_number() over (order by member_iso2, entity_kind, entity_id) - 1 as entity_no,
    member_iso2, entity_kind, entity_id,
    list_sort(list_distinct(list(indicator_id) filter (where p_value is not null))) as indicators,
    list_sort(list_distinct(list(indicator_id) filter (where is_flagged))) as indicators_flagged,
    count(p_value) as tests_n,
    min(first_flagged_on) filter (where is_flagged) as first_flagged_on,
    -- Signals rest on the same files: stakes overlap and are not added up. The largest flagged one is shown.
    max(revenue_at_stake_usd) filter (where is_flagged) as revenue_at_stake_usd,
    arg_max(revenue_low_usd, revenue_at_stake_usd) filter (where is_flagged) as revenue_low_usd,
    arg_max(revenue_high_usd, revenue_at_stake_usd) filter (where is_flagged) as revenue_high_usd
from mentions
group by member_iso2, entity_kind, entity_id
order by entity_no
"""
_TESTS = """
select entity_no, dense_rank() over (order by entity_no, indicator_id) - 1 as cell_no, p_value
from mentions inner join entities using (member_iso2, entity_kind, entity_id)
where p_value is not null
"""


def cauchy_combination(p_values: Floats, group: Integers, groups: int) -> Floats:
    """Return the combined p-value of each group, every member weighing the same.

    Args:
        p_values: Between 0 and 1; no NaN.
        group: From 0, for each p-value.
        groups: How many there are; NaN where one has no p-value.
    """
    clipped = np.clip(p_values, _TINY, _USUAL)
    # Near zero the cotangent is 1 / (pi p); by way of the angle all digits would be lost.
    score = np.where(clipped < _SMALL, 1 / (np.pi * clipped), np.tan((0.5 - clipped) * np.pi))
    size = np.bincount(group, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(group, score, minlength=groups) / size
        far = 1 / (np.pi * np.abs(mean))
    combined = np.where(mean > 1 / _SMALL, far, 0.5 - np.arctan(mean) / np.pi)
    return np.where(size > 0, np.clip(combined, 0, 1), np.nan)


def combine_entities(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Return one row per member and person or firm: its latest signals combined, its band, the stake.

    Args:
        connection: With the relation `signals` of `SIGNAL_SCHEMA`. The views `latest` and `mentions` (a row
            per signal and entity in it) are made on it.
    """
    persons = ", ".join(f"'{one}'" for one in PERSONS)
    connection.execute(_MENTIONS.format(persons=persons))
    entities = connection.execute(_ENTITIES).to_arrow_table()
    connection.register("entities", entities)
    tests = connection.execute(_TESTS).to_arrow_table()
    connection.unregister("entities")
    owner, cell = (tests[name].to_numpy().astype(np.int64) for name in ("entity_no", "cell_no"))
    cells = int(cell.max(initial=-1)) + 1
    # Once within an indicator, then over the indicators.
    within = cauchy_combination(tests["p_value"].to_numpy(), cell, cells)
    owner_of_cell = np.zeros(cells, dtype=np.int64)
    owner_of_cell[cell] = owner
    combined = cauchy_combination(within, owner_of_cell, entities.num_rows)
    family = np.asarray(
        [
            f"{code} {kind}"
            for code, kind in zip(
                *(entities[name].to_pylist() for name in ("member_iso2", "entity_kind")), strict=True
            )
        ],
        dtype=str,
    )
    q = np.full(entities.num_rows, np.nan)
    for one in np.unique(family):
        q[family == one] = q_values(combined[family == one], "benjamini-yekutieli")
    flags = np.asarray([len(one or []) for one in entities["indicators_flagged"].to_pylist()], dtype=np.int64)
    known = ~np.isfinite(combined)
    added = {
        "combined_p_value": pa.array(combined, pa.float64(), mask=known),
        "combined_q_value": pa.array(q, pa.float64(), mask=known),
        "severity": pa.array(bands(combined, q, flags), pa.string()),
    }
    for name, column in added.items():
        entities = entities.append_column(name, column)
    return entities.drop_columns(["entity_no"])


def bands(p_value: Floats, q_value: Floats, flags: Integers) -> list[str]:
    """Return how soon somebody should look: none, note, review, priority. Never how much is wrong.

    A flag of any indicator asks for a review; so does the combination alone where it passes its own
    correction. Priority needs both, the combination at a thousandth.
    """
    with np.errstate(invalid="ignore"):
        level = np.where(p_value <= NOTE_P, 1, 0)
        level = np.where((flags > 0) | (q_value <= REVIEW_Q), 2, level)
        level = np.where((flags > 0) & (q_value <= PRIORITY_Q), 3, level)
    return [SEVERITIES[one] for one in level]
