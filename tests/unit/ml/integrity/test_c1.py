"""C1: the index against counting pairs, the null, a rise that is found."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.indicators.c1 import Weeks, p_value_of_rise, permuted
from ml.integrity.periods import Period


def test_index_is_the_share_of_pairs_of_different_weeks_with_one_counterpart() -> None:
    counts = np.random.default_rng(1).poisson(1.5, (6, 4)).astype(float)
    files = [(week, who) for week, who in np.ndindex(6, 4) for _ in range(int(counts[week, who]))]
    chosen = np.array([1, 0, 1, 1, 0, 1])
    pairs = [(a, b) for a, b in combinations([f for f in files if chosen[f[0]]], 2) if a[0] != b[0]]
    expected = np.mean([a[1] == b[1] for a, b in pairs])
    assert np.isclose(Weeks.of(counts).indices(chosen[None, :].astype(float))[0][0], expected)


def test_a_rise_is_as_rare_as_its_p_value_says_whatever_the_shares() -> None:
    """Level 10 % over 400 units: a right test fails this with probability 1e-6 at most."""
    random = np.random.default_rng(2)
    now = np.arange(40) >= 30
    first = permuted(now, 199, random)
    p = []
    for _ in range(400):
        shares = random.dirichlet(np.full(random.integers(2, 30), 0.5))
        # Files come in lots of one counterpart: a test that takes them for independent fails here.
        counts = 3.0 * random.multinomial(1, shares, 40) * random.poisson(1.5, (40, 1))
        if counts[now].sum() == 0:
            continue
        p.append(p_value_of_rise(Weeks.of(counts), now, first, random, 199)[0])
    assert (np.array(p) <= 0.1).sum() <= stats.binom.isf(1e-6, len(p), 0.1)


def test_a_broker_that_falls_to_one_client_is_found_and_a_steady_one_is_not(marts: Any, compute: Any) -> None:
    random = np.random.default_rng(3)
    rows = []
    for week in range(65):
        monday = date(2024, 1, 1) + timedelta(days=7 * week)
        for broker in ("steady", "fallen"):
            is_one = broker == "fallen" and week >= 52
            for client in random.integers(0, 1 if is_one else 6, 6):
                rows.append((broker, f"client {client}", monday))
    marts.write(
        "integrity_counterparts",
        [
            {
                "member_iso2": "XA",
                "month": monday.replace(day=1),
                "unit_kind": "broker",
                "unit_id": broker,
                "counterpart_id": client,
                "week_date": monday,
                "files_n": rows.count((broker, client, monday)),
            }
            for broker, client, monday in sorted(set(rows))
        ],
    )
    found = {row["unit_id"]: row for row in compute("C1", Period(date(2024, 1, 1), date(2025, 3, 31)))}
    assert found["fallen"]["p_value"] < 1e-3
    assert found["fallen"]["observed"] > 0.9
    assert found["steady"]["p_value"] > 0.01
    assert found["fallen"]["has_support"]
    assert found["steady"]["has_support"]
