"""D4: the exact tail against enumeration, the level, an importer who moves when all others stay."""

from __future__ import annotations

from datetime import date
from math import comb
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.indicators.d4 import Lines, peers_odds_ratio, switching
from ml.integrity.periods import Period


def _lines(*numbers: int) -> Lines:
    return Lines(*(np.array([number]) for number in numbers))


def test_p_value_is_that_of_all_tables_with_the_same_margins() -> None:
    own, peers = _lines(3, 12, 8, 10), _lines(40, 100, 60, 100)
    odds = float(peers_odds_ratio(peers)[0])
    weight = {x: comb(10, x) * comb(12, 11 - x) * odds**x for x in range(11)}
    expected = sum(weight[x] for x in weight if x >= 8) / sum(weight.values())
    assert np.isclose(switching(own, peers).p_value[0], expected)


def test_without_a_move_of_the_others_it_is_fishers_test() -> None:
    own, peers = _lines(3, 12, 8, 10), _lines(50, 100, 50, 100)
    expected = stats.fisher_exact([[8, 2], [3, 9]], alternative="greater").pvalue
    assert np.isclose(switching(own, peers).p_value[0], expected)


def test_importers_who_move_as_all_do_are_called_odd_no_more_often_than_the_level() -> None:
    random = np.random.default_rng(1)
    before, after, low = (
        random.integers(10, 60, 600),
        random.integers(10, 60, 600),
        random.uniform(0.2, 0.6, 600),
    )
    odds = 2 * low / (1 - low)
    own = Lines(random.binomial(before, low), before, random.binomial(after, odds / (1 + odds)), after)
    n = np.full(600, 100_000)
    peers = Lines((0.4 * n).astype(int), n, (n * (4 / 3) / (7 / 3)).astype(int), n)
    p = switching(own, peers).p_value
    assert (p <= 0.1).sum() <= stats.binom.isf(1e-6, 600, 0.1)


def test_the_importer_who_moved_is_found_and_the_heading_that_did_not_part_is_not_looked_at(
    marts: Any, compute: Any
) -> None:
    rows = []
    for month in range(1, 13):
        for heading, rates in {
            "6101": (10.0, 10.0 if month < 7 else 20.0),
            "6102": (10.0, 20.0 if month < 7 else 10.0),
        }.items():
            for who, low in {"moves": 2 if month < 7 else 9, "stays": 2, "other": 3}.items():
                for hs6, rate, lines in (
                    (f"{heading}10", rates[0], low),
                    (f"{heading}20", rates[1], 10 - low),
                ):
                    rows.append(
                        {
                            "member_iso2": "XA",
                            "month": date(2024, month, 1),
                            "importer_id": who,
                            "heading_code": heading,
                            "hs6": hs6,
                            "lines_n": lines,
                            "cif_value_usd": 1000.0 * lines,
                            "general_rate_pct": rate,
                        }
                    )
    marts.write("integrity_subheading_lines", rows)
    found = {row["unit_id"]: row for row in compute("D4", Period(date(2024, 1, 1), date(2024, 12, 31)))}
    assert {row["counterpart_id"] for row in found.values()} == {"6101"}
    assert found["moves"]["p_value"] < 1e-6
    assert found["moves"]["observed"] == 54
    assert found["moves"]["effect_size"] > 0.5
    assert np.isclose(found["moves"]["revenue_at_stake_usd"], found["moves"]["effect_size"] * 60_000 * 0.1)
    assert found["stays"]["p_value"] > 0.5
