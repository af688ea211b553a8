"""C3: pairs against counting, the level, bursts, a consignee who splits."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml.integrity.indicators.c3 import burst_p_values, bursts, expected_pairs, pairs_within
from ml.integrity.periods import Period


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 300)), max_size=40))
def test_pairs_are_those_of_counting_one_by_one(events: list[tuple[int, int]]) -> None:
    events = sorted(events)
    unit = np.array([one[0] for one in events], dtype=np.int64)
    at = np.array([one[1] for one in events], dtype=np.float64)
    found = pairs_within(unit, at, 72.0)
    expected = [
        sum(other[0] == one[0] and 0 <= other[1] - one[1] <= 72 for other in events[place + 1 :])
        for place, one in enumerate(events)
    ]
    assert found.tolist() == expected


def test_chance_makes_as_many_bursts_as_the_level_on_sales_days_too() -> None:
    random = np.random.default_rng(1)
    # Half of everybody's consignments come within four days.
    pool = np.sort(np.r_[random.uniform(0, 2160, 1500), random.uniform(500, 596, 1500)])
    for size in (5, 25, 230):  # 230 is beyond what is simulated
        events = np.full(300, size)
        at = np.sort(random.choice(pool, (300, size)), axis=1).ravel()
        unit = np.repeat(np.arange(300), size)
        pairs = np.bincount(unit, pairs_within(unit, at, 72.0)).astype(np.int64)
        p = burst_p_values(events, pairs, pool, 72.0, random, 499)
        assert (p <= 0.1).sum() <= stats.binom.isf(1e-6, 300, 0.1), size
        mean = expected_pairs(events, pool, 72.0)[0]
        assert abs(pairs.mean() - mean) < 5 * pairs.std() / np.sqrt(300)


def test_who_came_late_did_not_burst_by_not_having_been_there_before() -> None:
    random = np.random.default_rng(3)
    pool = np.sort(random.uniform(0, 2160, 3000))
    came, left = np.r_[np.full(150, 1440.0), np.zeros(150)], np.r_[np.full(150, 2160.0), np.full(150, 720.0)]
    events = np.full(300, 8)
    at = np.sort(came[:, None] + random.uniform(0, 720, (300, 8)), axis=1).ravel()
    pairs = np.bincount(np.repeat(np.arange(300), 8), pairs_within(np.repeat(np.arange(300), 8), at, 72.0))
    own = burst_p_values(events, pairs, pool, 72.0, random, 499, (came, left))
    whole = burst_p_values(events, pairs, pool, 72.0, random, 499)
    assert (own <= 0.1).sum() <= stats.binom.isf(1e-6, 300, 0.1) < (whole <= 0.1).sum()
    mean = expected_pairs(events, pool, 72.0, (came, left))
    assert abs(pairs.mean() - mean.mean()) < 5 * pairs.std() / np.sqrt(300)


def test_a_burst_passes_the_threshold_together() -> None:
    unit = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    at = np.array([0, 10, 20, 500, 0, 10, 20, 0, 10.0])
    value = np.array([60, 60, 60, 60, 20, 20, 20, 100, 100.0])
    assert bursts(unit, at, value, 72.0, 150.0).tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_a_consignee_who_splits_is_found_among_steady_ones(marts: Any, compute: Any) -> None:
    random = np.random.default_rng(2)
    start = datetime(2024, 1, 2)
    hours = {f"steady {number}": random.uniform(0, 2100, 12) for number in range(40)}
    hours["splits"] = np.concatenate([base + np.array([0, 9, 21, 40]) for base in (100, 900, 1700)])
    marts.write(
        "integrity_small_consignments",
        [
            {
                "member_iso2": "XA",
                "month": (start + timedelta(hours=float(hour))).date().replace(day=1),
                "declaration_id": f"{who} {place}",
                "office_code": "P",
                "importer_id": who,
                "declarant_id": None,
                "chapter_code": "61",
                "value_usd": 120.0,
                "registered_at": start + timedelta(hours=float(hour)),
                "importer_since_at": start + timedelta(hours=float(min(times))),
                "general_rate_pct": 10.0,
            }
            for who, times in hours.items()
            for place, hour in enumerate(times)
        ],
    )
    rows = {
        row["unit_id"]: row
        for row in compute("C3", Period(date(2024, 1, 1), date(2024, 3, 31)), de_minimis_usd=150)
    }
    assert rows["splits"]["p_value"] < 1e-3
    assert rows["splits"]["observed"] == 18  # six pairs in each of three bursts
    assert rows["splits"]["effect_size"] == 1.0
    assert rows["splits"]["revenue_high_usd"] == 12 * 120 * 0.1
    assert min(row["p_value"] for who, row in rows.items() if who != "splits") > 1e-3
