"""D2: medians against NumPy, the level with heavy tails, hubs, value and mass apart."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.indicators.d2 import _group_medians, judge_gaps, median_polish, tail_degrees
from ml.integrity.periods import Period


def test_group_medians_are_numpys() -> None:
    random = np.random.default_rng(1)
    value, group = random.normal(size=200), random.integers(0, 15, 200)
    found = _group_medians(value, group)
    assert all(np.isclose(found[one], np.median(value[group == one])) for one in np.unique(group))


def test_polish_takes_out_what_rows_and_columns_have_in_common() -> None:
    random = np.random.default_rng(2)
    rows, columns = (axis.ravel() for axis in np.meshgrid(np.arange(20), np.arange(15), indexing="ij"))
    effect = random.normal(size=20)[rows] + random.normal(size=15)[columns]
    noise = random.normal(0, 0.01, effect.size)
    assert np.abs(median_polish(effect + noise, rows, columns) - effect).max() < 0.05


def test_tails_of_t_are_told_from_normal_ones() -> None:
    random = np.random.default_rng(3)
    assert 2 <= tail_degrees(random.standard_t(3, 20_000)) < 5
    assert tail_degrees(random.normal(size=20_000)) > 20


def test_gaps_are_called_odd_about_as_often_as_the_level_with_heavy_tails() -> None:
    """Quantiles are estimated, so the level is met within a factor: 5 % to 8 %, 1 % to 2 %."""
    random = np.random.default_rng(4)
    rows, columns = (axis.ravel() for axis in np.meshgrid(np.arange(30), np.arange(40), indexing="ij"))
    p = np.concatenate(
        [
            judge_gaps(
                random.normal(0, 0.3, 30)[rows] + random.standard_t(3, rows.size) * 0.1,
                rows,
                columns,
                random.lognormal(size=rows.size),
            ).p_value
            for _ in range(10)
        ]
    )
    assert (p <= 0.05).mean() < 0.08
    assert (p <= 0.01).mean() < 0.02
    assert stats.kstest(p, "uniform").statistic < 0.05


def flow(
    hs6: str, partner: str, own: tuple[float, float] | None, sent: tuple[float, float] | None
) -> dict[str, Any]:
    return {
        "member_iso2": "XA",
        "month": date(2024, 1, 1),
        "classification_code": "H5",
        "hs6": hs6,
        "partner_code": partner,
        "own_cif_value_usd": own and own[0],
        "own_fob_value_usd": own and own[0] / 1.1,
        "own_net_kg": own and own[1],
        "partner_fob_value_usd": sent and sent[0],
        "partner_net_kg": sent and sent[1],
        "duty_rate_pct": 20.0,
    }


def test_undervaluation_is_in_the_value_and_a_hub_is_not_tested(marts: Any, compute: Any) -> None:
    random = np.random.default_rng(5)
    rows = []
    for partner in ("CN", "DE", "IN", "TH", "AE"):
        for number in range(40):
            hs6 = f"{61 + number % 5}{number:04d}"
            value, kg = 1e6 * random.lognormal(), 1e5 * random.lognormal()
            factor = 4.0 if partner == "AE" else 1.0  # goods of all origins stand in the hub's record
            noise = np.exp(random.normal(0, 0.08, 2))
            rows.append(
                flow(hs6, partner, (value * 1.1, kg), (value * factor * noise[0], kg * factor * noise[1]))
            )
    rows.append(flow("610099", "CN", (0.4e6, 1e5), (1e6, 1e5)))  # under value, whole in mass
    rows.append(flow("610098", "DE", (1.1e6, 1e5), (3e6, 3e5)))  # both short
    rows.append(flow("610097", "IN", None, (5e5, 1e4)))
    rows.append(flow("610096", "IN", (7e5, 1e4), None))
    marts.write("integrity_mirror_flows", rows)
    found = {
        (row["unit_kind"], row["unit_id"]): row
        for row in compute("D2", Period(date(2024, 1, 1), date(2024, 12, 31)))
    }
    value, mass = "flow: value per kg", "flow: mass"
    assert found[value, "610099 from CN"]["p_value"] < 1e-4
    assert found[mass, "610099 from CN"]["p_value"] > 0.01
    assert found[mass, "610098 from DE"]["p_value"] < 0.01
    assert found[value, "610098 from DE"]["p_value"] > 0.01
    assert not any(row["has_support"] for (_, unit), row in found.items() if unit.endswith("from AE"))
    assert np.isclose(found["partner: lost records", "IN"]["observed"], 5e5 * 1.1)
    assert found["partner: orphaned records", "IN"]["observed"] == 7e5
    assert found["partner: orphaned records", "IN"]["p_value"] is None
    assert "not tested" in found["partner: orphaned records", "IN"]["reason"]
