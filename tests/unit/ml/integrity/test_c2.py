"""C2: the level on smooth counts, an excess that is found, a placebo that matches it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.indicators.c2 import Bins, bunching
from ml.integrity.periods import Period

BINS = Bins()
SMOOTH = 40 * np.exp(0.4 * BINS.centres - 0.3 * BINS.centres**2)


def test_smooth_counts_are_called_bunched_no_more_often_than_the_level() -> None:
    random = np.random.default_rng(1)
    counts = random.poisson(SMOOTH, (120, SMOOTH.size)).astype(float)
    p = bunching(counts, random, BINS, 199).p_value
    assert (p <= 0.1).sum() <= stats.binom.isf(1e-6, p.size, 0.1)


def test_an_excess_below_the_threshold_is_found_and_measured() -> None:
    random = np.random.default_rng(2)
    counts = random.poisson(SMOOTH, (20, SMOOTH.size)).astype(float)
    counts[:, BINS.below()] += 30
    found = bunching(counts, random, BINS, 199)
    assert (found.p_value <= 0.01).mean() > 0.8
    true = SMOOTH[BINS.below()].sum()
    assert abs(np.mean(found.expected) - true) < 0.15 * true
    assert abs(np.mean(found.observed - found.expected) - 60) < 15


def test_heaps_at_round_values_elsewhere_take_the_signal_away() -> None:
    random = np.random.default_rng(3)
    counts = random.poisson(SMOOTH, (5, SMOOTH.size)).astype(float)
    for shift in (0, *BINS.placebos()[::2]):
        counts[:, BINS.below(shift)] += 30
    assert bunching(counts, random, BINS, 199).p_value.min() > 0.05


def test_the_window_ends_at_the_threshold_of_the_contract(marts: Any, compute: Any) -> None:
    """A value of the threshold itself is above it; a cent less is below."""
    random = np.random.default_rng(4)
    values = [*(150 * np.exp(random.uniform(-1.3, 1.3, 700))), *[149.99] * 60, *[150.0] * 20]
    marts.write(
        "integrity_small_consignments",
        [
            {
                "member_iso2": "XA",
                "month": date(2024, 1, 1),
                "declaration_id": str(number),
                "office_code": "P",
                "importer_id": None,
                "declarant_id": None,
                "chapter_code": "61",
                "value_usd": float(value),
                "registered_at": datetime(2024, 1, 5),
                "importer_since_at": datetime(2024, 1, 5),
                "general_rate_pct": 20.0,
            }
            for number, value in enumerate(values)
        ],
    )
    rows = compute("C2", Period(date(2024, 1, 1), date(2024, 12, 31)), de_minimis_usd=150)
    assert {row["unit_kind"] for row in rows} == {"office", "chapter"}
    office = next(row for row in rows if row["unit_kind"] == "office")
    below = sum(150 * np.exp(-0.1) <= value < 150 for value in values)
    assert (office["observed"], office["support"]) == (below, len(values))
    assert office["p_value"] < 0.01
    stake = (office["observed"] - office["expected"]) * 150 * 0.2
    assert np.isclose(office["revenue_at_stake_usd"], stake)
