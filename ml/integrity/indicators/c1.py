"""C1, concentration: does an entity's work go to fewer counterparts than in the year before?

Herfindahl index of counterparts, now against the twelve months before. Files of one week come together
(one ship, one tender), so pairs within a week are left out of the index and whole weeks are permuted:
under the null, any of the weeks could as well have been those of now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml.integrity.catalogue import Entry
from ml.integrity.indicators._arrays import numbers
from ml.integrity.inputs import Inputs
from ml.integrity.periods import month_start, plus_months
from ml.integrity.signals import raw_table

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MONTHS_NOW = 3
_ENOUGH_HITS = 10
_FIRST_DRAWS = 39
_GROWTH, _CHUNK = 5, 20_000


@dataclass(frozen=True)
class Weeks:
    """One unit's weeks.

    Attributes:
        products: Gram matrix of the weekly counts by counterpart: what any choice of weeks needs to know.
        files: Files by week.
    """

    products: Floats
    files: Floats

    @classmethod
    def of(cls, counts: Floats) -> Weeks:
        """Return the weeks of counts by week and counterpart."""
        return cls(counts @ counts.T, counts.sum(axis=1))

    def indices(self, now: Floats) -> tuple[Floats, Floats]:
        """Return the Herfindahl index of each choice of weeks (rows of 0 and 1), and of all others.

        Probability that two files of different weeks have the same counterpart; NaN where there is no pair.
        """
        # Files, squares of files and products of a week with itself, at once.
        of_weeks = np.column_stack([self.files, self.files**2, np.diag(self.products)])
        files, squares, own = (now @ of_weeks).T
        within = np.einsum("dw,dw->d", now @ self.products, now)
        # Pairs within now and pairs across; what is left of all pairs is among the others.
        across = now @ self.products.sum(axis=1) - within
        all_files, all_squares, all_own = of_weeks.sum(axis=0)
        beyond = self.products.sum() - within - 2 * across
        return (
            _share(within - own, files**2 - squares),
            _share(beyond - (all_own - own), (all_files - files) ** 2 - (all_squares - squares)),
        )

    def rise(self, now: Floats) -> Floats:
        """Return the index of the weeks of now less that of the others, for each choice."""
        inside, outside = self.indices(now)
        return inside - outside


def _share(same: Floats, pairs: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(pairs > 0, same / pairs, np.nan)
    return found


def permuted(now: Mask, draws: int, random: np.random.Generator) -> Floats:
    """Return choices of as many weeks as `now` has, one a row."""
    order = np.argsort(random.random((draws, now.size)), axis=1)
    return np.asarray(order < int(now.sum()), dtype=np.float64)


def p_value_of_rise(
    weeks: Weeks, now: Mask, first: Floats, random: np.random.Generator, draws: int
) -> tuple[float, float]:
    """Return the one-sided p-value of the rise, and the standard deviation of rises under the null.

    Few draws where the rise is common; more, up to `draws`, where it is rare (Besag and Clifford 1991).

    Args:
        weeks: The unit's.
        now: Which weeks are now.
        first: Choices to begin with, shared by all units.
        random: Seeded.
        draws: The most; the least p-value is 1 / (draws + 1).
    """
    own = weeks.rise(now[None, :].astype(np.float64))[0]
    null = weeks.rise(first)
    spread = float(np.nanstd(null))
    hits, made = int((null >= own - 1e-12).sum()), len(first)
    while hits < _ENOUGH_HITS and made < draws:
        more = weeks.rise(permuted(now, min(_GROWTH * made, _CHUNK, draws - made), random))
        hits, made = hits + int((more >= own - 1e-12).sum()), made + len(more)
    return (1 + hits) / (1 + made), spread


_UNITS = """
select
    unit_kind, unit_id,
    sum(files_n) filter (where month >= date '{now}')::double as files,
    sum(files_n) filter (where month < date '{now}')::double as files_before,
    count(distinct week_date) filter (where month >= date '{now}')::double as weeks,
    count(distinct week_date) filter (where month < date '{now}')::double as weeks_before
from integrity_counterparts
group by unit_kind, unit_id
having files > 0 and files_before > 0
order by unit_kind, unit_id
"""
# A week in which a month ends is now if its later part is.
_CELLS = """
select
    dense_rank() over (order by unit_kind, unit_id) - 1 as unit,
    dense_rank() over (partition by unit_kind, unit_id order by counterpart_id) - 1 as counterpart,
    (week_date - min(week_date) over ()) // 7 as week, sum(files_n)::double as files
from integrity_counterparts
where (unit_kind, unit_id) in (select (unit_kind, unit_id) from tested)
group by unit_kind, unit_id, counterpart_id, week_date
order by unit
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return importers, brokers and inspectors with the rise of their concentration."""
    now_from = plus_months(month_start(inputs.period.end), 1 - _MONTHS_NOW)
    units = inputs.query(_UNITS.format(now=now_from))
    figure = {name: units[name].to_numpy() for name in units.column_names[2:]}
    support = np.minimum(figure["files"], figure["files_before"])
    has_support = support >= entry.support_minimum
    has_support &= np.minimum(figure["weeks"], figure["weeks_before"]) >= entry.options["weeks_minimum"]
    columns = {name: np.full(support.size, np.nan) for name in ("index", "before", "p_value", "spread")}
    if has_support.any():
        tested = units.filter(pa.array(has_support)).select(["unit_kind", "unit_id"])
        first_week, cells = _cells(inputs, tested)
        found = _judge(cells, first_week, now_from, random, int(entry.options["draws"]))
        for name, column in columns.items():
            column[has_support] = found[name]
    rise, half = columns["index"] - columns["before"], 1.96 * columns["spread"]
    # Within few weeks of now there may be no two files of different weeks.
    has_support &= np.isfinite(rise)
    return raw_table(
        {
            "unit_kind": units["unit_kind"],
            "unit_id": units["unit_id"],
            "observed": columns["index"],
            "expected": columns["before"],
            "observed_unit": "Herfindahl index of counterparts",
            "effect_name": "rise of the Herfindahl index",
            "effect_size": rise,
            "effect_low": rise - half,
            "effect_high": rise + half,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "permutation of weeks",
            "p_value": np.where(has_support, columns["p_value"], np.nan),
            "support": support,
            "has_support": has_support,
        }
    )


def _cells(inputs: Inputs, tested: pa.Table) -> tuple[date, dict[str, NDArray[np.float64]]]:
    """Return the Monday of week 0, and files by unit, week and counterpart, sorted by unit."""
    rows = inputs.query_with("tested", tested, _CELLS)
    first_week = inputs.query("select min(week_date) as first from integrity_counterparts")["first"][
        0
    ].as_py()
    return first_week, {name: numbers(rows, name) for name in ("unit", "counterpart", "week", "files")}


def _judge(
    cells: dict[str, Floats], first_week: date, now_from: date, random: np.random.Generator, draws: int
) -> dict[str, Floats]:
    """Judge unit by unit: each is a small matrix, and what takes time is within it."""
    unit, counterpart, week = (cells[name].astype(np.int64) for name in ("unit", "counterpart", "week"))
    weeks = int(week.max()) + 1
    now = np.asarray([first_week + timedelta(days=7 * one + 6) >= now_from for one in range(weeks)])
    first = permuted(now, _FIRST_DRAWS, random)
    bounds = np.searchsorted(unit, np.arange(int(unit.max()) + 2))
    found = {name: np.full(len(bounds) - 1, np.nan) for name in ("index", "before", "p_value", "spread")}
    for place, (start, end) in enumerate(pairwise(bounds)):
        counts = np.zeros((weeks, int(counterpart[start:end].max()) + 1))
        np.add.at(counts, (week[start:end], counterpart[start:end]), cells["files"][start:end])
        one = Weeks.of(counts)
        chosen = now[None, :].astype(np.float64)
        (found["index"][place],), (found["before"][place],) = one.indices(chosen)
        found["p_value"][place], found["spread"][place] = p_value_of_rise(one, now, first, random, draws)
    return found
