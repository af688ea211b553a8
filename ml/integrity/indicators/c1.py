"""C1, concentration: does an entity's work go to fewer counterparts than in the year before?

Herfindahl index of counterparts, now against the twelve months before. Files of one week come
together (one ship, one tender), so pairs within a week are left out of the index and its variance is that
of weeks, after the linearisation of a sum of squares; where shares are even the linear term vanishes, and
the variance of a sum of squared multinomial shares (second order) remains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.inputs import Inputs
from ml.integrity.periods import month_start, plus_months
from ml.integrity.signals import raw_table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """The Herfindahl index of units in one window.

    Attributes:
        index: Between 0 and 1; 1 is one counterpart alone.
        variance: Of the index, between weeks (linear term).
        files: Files of the unit.
        weeks: Weeks in which it had any.
    """

    index: Floats
    variance: Floats
    files: Floats
    weeks: Floats

    def total_variance(self) -> Floats:
        """Variance between weeks, and what a sum of squares varies by where shares are even."""
        # Half a pair of files beside those seen keeps certainty from being claimed of an index of 0 or 1.
        pairs = self.files * (self.files - 1) / 2
        smoothed = (np.clip(self.index, 0, 1) * pairs + 0.5) / (pairs + 1)
        second: Floats = smoothed * (1 - smoothed) / np.maximum(pairs, 1)
        return self.variance + second


def concentration_change(now: Window, before: Window) -> tuple[Floats, Floats, Floats]:
    """Return the rise of the index, its standard error, and the one-sided p-value.

    Student's t with Welch and Satterthwaite's degrees of freedom, from the weeks of both windows.
    """
    rise = now.index - before.index
    parts = [now.total_variance(), before.total_variance()]
    variance = parts[0] + parts[1]
    freedom = variance**2 / sum(
        part**2 / np.maximum(window.weeks - 1, 1) for part, window in zip(parts, (now, before), strict=True)
    )
    error = np.sqrt(variance)
    return rise, error, np.asarray(stats.t.sf(rise / error, freedom))


_MONTHS_NOW = 3
_WINDOWS = """
with cells as (
    select unit_kind, unit_id, month >= date '{now}' as is_now, counterpart_id, week_date, sum(files_n) as files
    from integrity_counterparts
    group by all
),
counterparts as (
    select unit_kind, unit_id, is_now, counterpart_id, sum(files) as of_counterpart, sum(files * files) as same_week
    from cells
    group by all
),
units as (
    select
        unit_kind, unit_id, is_now, count(*) as counterparts, sum(of_counterpart)::double as n,
        sum(of_counterpart * of_counterpart) as squares, sum(same_week) as same_week
    from counterparts
    group by all
),
weeks as (
    select
        unit_kind, unit_id, is_now, week_date, sum(files)::double as week_n,
        sum(files * of_counterpart)::double as week_products
    from cells inner join counterparts using (unit_kind, unit_id, is_now, counterpart_id)
    group by all
)
select
    unit_kind, unit_id, is_now, any_value(n) as files, count(*)::double as weeks,
    (any_value(squares) - any_value(same_week))::double / nullif(any_value(n) ** 2 - sum(week_n ** 2), 0) as index,
    4 * sum((week_products / n - squares / n ** 2 * week_n) ** 2) / any_value(n) ** 2
        * count(*) / greatest(count(*) - 1, 1) as variance
from weeks inner join units using (unit_kind, unit_id, is_now)
group by unit_kind, unit_id, is_now
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return importers, brokers and inspectors with the rise of their concentration."""
    now = plus_months(month_start(inputs.period.end), 1 - _MONTHS_NOW)
    found = inputs.query(
        "select now.*, before.files as files_before, before.weeks as weeks_before,"
        " before.index as index_before, before.variance as variance_before"
        f" from (from ({_WINDOWS.format(now=now)}) where is_now) as now"
        f" inner join (from ({_WINDOWS.format(now=now)}) where not is_now) as before using (unit_kind, unit_id)"
        " where now.index is not null and before.index is not null order by unit_kind, unit_id"
    )
    column = {name: found[name].to_numpy() for name in found.column_names if name not in ("unit_kind", "unit_id")}
    present = Window(*(column[name] for name in ("index", "variance", "files", "weeks")))
    former = Window(*(column[f"{name}_before"] for name in ("index", "variance", "files", "weeks")))
    rise, error, p_value = concentration_change(present, former)
    support = np.minimum(present.files, former.files)
    return raw_table(
        {
            "unit_kind": found["unit_kind"],
            "unit_id": found["unit_id"],
            "observed": present.index,
            "expected": former.index,
            "observed_unit": "Herfindahl index of counterparts",
            "effect_name": "rise of the Herfindahl index",
            "effect_size": rise,
            "effect_low": rise - 1.96 * error,
            "effect_high": rise + 1.96 * error,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "t-test between weeks",
            "p_value": p_value,
            "support": support,
            "has_support": (support >= entry.support_minimum)
            & (np.minimum(present.weeks, former.weeks) >= entry.options["weeks_minimum"]),
        }
    )
