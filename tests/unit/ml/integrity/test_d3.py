"""D3: slopes and their error against leaving clusters out one by one, the level, an office that is found."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.indicators.d3 import clustered_slopes
from ml.integrity.periods import Period


def _reference(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    design = np.column_stack([np.ones_like(x), x]) * np.sqrt(w)[:, None]
    return float(np.linalg.lstsq(design, y * np.sqrt(w), rcond=None)[0][1])


def test_slope_and_error_are_those_of_least_squares_without_each_cluster() -> None:
    random = np.random.default_rng(1)
    unit, cluster = np.repeat([0, 1], 60), np.tile(np.repeat(np.arange(12), 5), 2)
    x, y, w = random.uniform(0, 0.35, 120), random.normal(size=120), random.uniform(1, 9, 120)
    found = clustered_slopes(unit, cluster, x, y, w, 2)
    for one in (0, 1):
        own = unit == one
        whole = _reference(x[own], y[own], w[own])
        parts = [
            _reference(x[own & (cluster != c)], y[own & (cluster != c)], w[own & (cluster != c)])
            for c in range(12)
        ]
        error = np.sqrt(11 / 12 * ((np.array(parts) - whole) ** 2).sum())
        assert np.allclose([found.slope[one], found.error[one]], [whole, error])
        away = w[own] * (x[own] - np.average(x[own], weights=w[own])) ** 2
        spread = np.bincount(cluster[own], away)
        freedom = spread.sum() ** 2 / (spread**2).sum() - 1
        assert 1 < freedom < 11  # fewer than headings: not all weigh the same
        assert np.isclose(found.p_value[one], stats.t.sf(whole / error, freedom))


def test_headings_that_move_together_raise_no_more_slopes_than_the_level() -> None:
    random = np.random.default_rng(2)
    units, goods = 400, 60
    unit, hs6 = np.repeat(np.arange(units), goods), np.tile(np.arange(goods), units)
    cluster = hs6 // 4
    rate = np.array([0, 0.05, 0.1, 0.2, 0.35])[cluster * 7 % 5]
    y = random.normal(0, 0.2, (units, 15))[unit, cluster] + random.normal(0, 0.2, unit.size)
    p = clustered_slopes(unit, cluster, rate, y, random.uniform(1, 9, unit.size), units).p_value
    assert (p <= 0.1).sum() <= stats.binom.isf(1e-6, units, 0.1)


def test_a_few_large_headings_raise_no_more_slopes_than_the_level() -> None:
    random = np.random.default_rng(4)
    units, headings = 2000, 40
    unit, cluster = np.repeat(np.arange(units), headings), np.tile(np.arange(headings), units)
    rate = np.array([0, 0.05, 0.1, 0.2, 0.35])[cluster * 7 % 5]
    weight = 1000.0 / (1 + cluster)  # Zipf: three headings have nearly half of it
    y = random.normal(0, 0.2, unit.size)
    p = clustered_slopes(unit, cluster, rate, y, weight, units).p_value
    assert (p <= 0.001).sum() <= stats.binom.isf(1e-3, units, 0.001)


def test_a_unit_without_two_rates_or_clusters_has_no_slope() -> None:
    found = clustered_slopes(
        np.array([0, 0, 1, 1]),
        np.array([0, 1, 0, 0]),
        np.array([0.1, 0.1, 0.1, 0.2]),
        np.ones(4),
        np.ones(4),
        2,
    )
    assert np.isnan(found.slope).all()
    assert np.isnan(found.p_value).all()


def test_an_office_whose_prices_fall_as_duty_rises_is_found(marts: Any, compute: Any) -> None:
    random = np.random.default_rng(3)
    rows = []
    for office in ("P", "Q", "R", "S"):
        for number in range(60):
            rate = (0.0, 5.0, 10.0, 20.0, 35.0)[number // 4 % 5]
            price = 2.0 - (1.0 * rate / 100 if office == "Q" else 0) + random.normal(0, 0.02)
            rows.append(
                {
                    "member_iso2": "XA",
                    "month": date(2024, 1, 1),
                    "unit_kind": "office",
                    "unit_id": office,
                    "heading_code": f"{6100 + number // 4}",
                    "hs6": f"{610000 + number}",
                    "preference_code": "",
                    "tax_rate_pct": rate,
                    "items_n": 20,
                    "ln_unit_value_sum": 20 * price,
                    "cif_value_usd": 1e4,
                }
            )
    marts.write("integrity_price_cells", rows)
    found = {row["unit_id"]: row for row in compute("D3", Period(date(2024, 1, 1), date(2024, 12, 31)))}
    assert found["Q"]["p_value"] < 1e-6
    assert abs(found["Q"]["effect_size"] - 1) < 0.1
    assert found["Q"]["support"] == 60
    assert min(found[office]["p_value"] for office in "PRS") > 0.05
