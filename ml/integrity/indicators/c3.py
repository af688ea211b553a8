"""C3, splitting: do a consignee's small consignments come in bursts that chance would not make?

Scan over all windows of 72 hours: pairs of consignments under the threshold that lie within one window.
The null draws as many instants from those at which everybody's small consignments came, so that sales
days, opening hours and seasons are in it and a consignee's own number is kept (a conditional scan test,
Naus 1982, with the inhomogeneous null of Kulldorff 1997). It draws from the consignee's own days on record
alone: who comes in the last month of a quarter does not burst by not having been there before.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table
from ml.plots import wilson

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CELLS = 4_000_000
_MOST_SIMULATED = 100
_ENOUGH_HITS, _FIRST_DRAWS = 10, 999


def pairs_within(unit: Integers, at: Floats, window: float) -> Integers:
    """Return for each event how many later ones of its unit follow within `window` of it.

    `unit` ascending, `at` ascending within the unit. The sum over a unit is its number of close pairs; the
    largest value plus one is its fullest window.
    """
    if not at.size:
        return np.zeros(0, dtype=np.int64)
    # One axis for all units: so far apart that no window reaches the next one.
    reach = float(np.ptp(at)) + 2 * window
    line = (at - at.min()) + unit * reach
    following: Integers = np.searchsorted(line, line + window, side="right") - np.arange(at.size) - 1
    return following


def burst_p_values(
    events: Integers,
    pairs: Integers,
    pool: Floats,
    window: float,
    random: np.random.Generator,
    draws: int,
    days: tuple[Floats, Floats] | None = None,
) -> Floats:
    """Return the one-sided p-value of each unit's number of close pairs.

    Args:
        events: Events of each unit.
        pairs: Its pairs of events within the window.
        pool: Instants of everybody's events, ascending: the null draws from it.
        window: In the unit of `pool`.
        random: Seeded.
        draws: Worlds per number of events; the least p-value is 1 / (draws + 1).
        days: First and last instant that each unit was there; all of the pool where left out.
    """
    p_value = np.ones(len(events))
    first, last = _places(pool, len(events), days)
    # Units with the same number and days share their null.
    nulls, place = np.unique(np.stack([events, first, last]), axis=1, return_inverse=True)
    for null, (number, start, end) in enumerate(nulls.T.tolist()):
        own = place.reshape(-1) == null
        if number < 2:
            continue
        near = pool[start:end]
        if number > _MOST_SIMULATED:
            p_value[own] = _large(number, pairs[own], near, window)
            continue
        made = min(_FIRST_DRAWS, draws)
        hits = _hits(number, pairs[own], near, window, random, made)
        if made < draws and hits.min() < _ENOUGH_HITS:
            made = draws
            hits = _hits(number, pairs[own], near, window, random, made)
        p_value[own] = (1 + hits) / (1 + made)
    return p_value


def expected_pairs(
    events: Integers, pool: Floats, window: float, days: tuple[Floats, Floats] | None = None
) -> Floats:
    """Return the mean number of close pairs under the null."""
    spans, place = np.unique(np.stack(_places(pool, len(events), days)), axis=1, return_inverse=True)
    chance = np.array([_chance_of_a_pair(pool[start:end], window)[0] for start, end in spans.T.tolist()])
    mean: Floats = events * (events - 1) / 2 * chance[place.reshape(-1)]
    return mean


def _places(pool: Floats, units: int, days: tuple[Floats, Floats] | None) -> tuple[Integers, Integers]:
    """Return where in the pool each unit's days begin and end."""
    if days is None:
        return np.zeros(units, dtype=np.int64), np.full(units, pool.size)
    return np.searchsorted(pool, days[0], side="left"), np.searchsorted(pool, days[1], side="right")


def _hits(
    number: int, pairs: Integers, pool: Floats, window: float, random: np.random.Generator, draws: int
) -> Integers:
    """Count drawn worlds with at least so many close pairs."""
    null = np.sort(_null_pairs(number, pool, window, random, draws))
    hits: Integers = draws - np.searchsorted(null, pairs, side="left")
    return hits


def _null_pairs(
    number: int, pool: Floats, window: float, random: np.random.Generator, draws: int
) -> Integers:
    found = []
    for start in range(0, draws, max(1, _CELLS // number)):
        size = min(max(1, _CELLS // number), draws - start)
        at = np.sort(pool[random.integers(0, pool.size, (size, number))], axis=1).ravel()
        world = np.repeat(np.arange(size), number)
        close = pairs_within(world, at, window)
        found.append(close.reshape(size, number).sum(axis=1))
    return np.concatenate(found)


def _chance_of_a_pair(pool: Floats, window: float) -> tuple[float, float]:
    """Return P(two events are close) and the mean of its square given one of them."""
    near = np.searchsorted(pool, pool + window, side="right") - np.searchsorted(
        pool, pool - window, side="left"
    )
    share = (near - 1) / max(pool.size - 1, 1)
    return float(share.mean()), float((share**2).mean())


def _large(number: int, pairs: Integers, pool: Floats, window: float) -> Floats:
    """Normal tail of a U-statistic of order two (Hoeffding 1948): many events make it exact enough."""
    theta, square = _chance_of_a_pair(pool, window)
    all_pairs = number * (number - 1) / 2
    variance = all_pairs * (theta * (1 - theta) + 2 * (number - 2) * max(square - theta**2, 0.0))
    return np.asarray(stats.norm.sf((pairs - 0.5 - all_pairs * theta) / np.sqrt(max(variance, 1e-12))))


_SMALL = """
select
    importer_id, epoch(registered_at) / 3600 as at_h, value_usd,
    coalesce(general_rate_pct, 0) / 100 as rate,
    epoch(importer_since_at) / 3600 as since_h,
    -- Who leaves gives no sign: the consignee is taken to have stayed to the end of the last one's month.
    epoch(max(last_day(month) + interval 1 day) over (partition by importer_id)) / 3600 as until_h
from integrity_small_consignments
where value_usd < {threshold} and importer_id is not null
order by importer_id, at_h, value_usd
"""


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return consignees with their pairs of small consignments within the window."""
    threshold, window = float(inputs.parameters["de_minimis_usd"]), float(entry.options["window_hours"])
    found = inputs.query(_SMALL.format(threshold=threshold))
    if not found.num_rows:
        return no_rows()
    importers = found["importer_id"].combine_chunks().dictionary_encode()
    unit = importers.indices.to_numpy().astype(np.int64)
    at, value, rate, since, until = (
        found[name].to_numpy() for name in ("at_h", "value_usd", "rate", "since_h", "until_h")
    )
    events, first = np.bincount(unit), np.flatnonzero(np.diff(unit, prepend=-1))
    has_support = events >= entry.support_minimum
    pairs = np.bincount(unit, pairs_within(unit, at, window)).astype(np.int64)
    pool = np.sort(at)
    p_value, expected = np.full((2, events.size), np.nan)
    if has_support.any():
        days = since[first][has_support], until[first][has_support]
        tested = events[has_support]
        p_value[has_support] = burst_p_values(
            tested, pairs[has_support], pool, window, random, int(entry.options["draws"]), days
        )
        expected[has_support] = expected_pairs(tested, pool, window, days)
    in_burst = bursts(unit, at, value, window, threshold)
    share = np.bincount(unit, in_burst) / events
    duty = np.bincount(unit, value * rate * in_burst)
    beyond = np.clip(1 - expected / np.maximum(pairs, 1), 0, 1)
    low, high = wilson(share, events.astype(np.float64))
    return raw_table(
        {
            "unit_kind": "importer",
            "unit_id": importers.dictionary,
            "observed": pairs.astype(np.float64),
            "expected": expected,
            "observed_unit": f"pairs of small consignments within {window:g} h",
            "effect_name": "small consignments that are part of a burst",
            "effect_size": share,
            "effect_low": low,
            "effect_high": high,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "scan test, simulated from everybody's instants",
            "p_value": p_value,
            "support": events.astype(np.float64),
            "has_support": has_support,
            "revenue_at_stake_usd": duty * beyond,
            "revenue_low_usd": duty
            * np.clip(1 - (expected + 1.96 * np.sqrt(expected)) / np.maximum(pairs, 1), 0, 1),
            "revenue_high_usd": duty,
        }
    )


def bursts(unit: Integers, at: Floats, value: Floats, window: float, threshold: float) -> Floats:
    """Return 1 for events in a window of three or more whose values pass the threshold together, else 0."""
    found = np.zeros(unit.size)
    if unit.size < 3:
        return found
    is_one = (unit[2:] == unit[:-2]) & (at[2:] - at[:-2] <= window)
    is_one &= value[2:] + value[1:-1] + value[:-2] >= threshold
    for place in range(3):
        found[place : unit.size - 2 + place][is_one] = 1.0
    return found
