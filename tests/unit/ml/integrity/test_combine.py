"""The Cauchy combination against its definition, bands, and who is mentioned by which signal."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml.integrity.combine import bands, cauchy_combination, combine_entities
from ml.integrity.signals import SIGNAL_SCHEMA


@settings(deadline=None, max_examples=80)
@given(st.lists(st.floats(1e-12, 1 - 1e-9), min_size=1, max_size=20))
def test_combination_is_the_tail_of_the_mean_of_cauchy_variables(p: list[float]) -> None:
    found = cauchy_combination(np.array(p), np.zeros(len(p), dtype=np.int64), 1)[0]
    expected = stats.cauchy.sf(np.mean(stats.cauchy.isf(np.minimum(p, 0.99))))
    assert np.isclose(found, expected, rtol=1e-6, atol=1e-12)


def test_tiny_p_values_keep_their_size() -> None:
    group = np.array([0, 0, 1, 2, 2])
    found = cauchy_combination(np.array([1e-200, 0.5, 1.0, 0.3, 0.3]), group, 4)
    assert np.isclose(found[0], 2e-200, rtol=1e-6)
    assert np.isclose(found[1], 0.99)
    assert np.isclose(found[2], 0.3)
    assert np.isnan(found[3])


def test_many_counts_that_are_usual_do_not_hide_one_that_is_not() -> None:
    p = np.array([1e-6, *[1.0] * 30])
    found = cauchy_combination(p, np.zeros(p.size, dtype=np.int64), 1)[0]
    # No worse than Bonferroni over all that were tested, but for what usual ones may take back.
    assert 1e-6 < found < 1.1 * p.size * 1e-6


def test_discrete_p_values_are_combined_at_their_level() -> None:
    random = np.random.default_rng(2)
    count = random.poisson(0.7, (20_000, 6))
    p = stats.poisson.sf(count - 1, 0.7)
    found = cauchy_combination(p.ravel(), np.repeat(np.arange(20_000), 6), 20_000)
    assert (p == 1.0).mean() > 0.4
    assert (found <= 0.01).mean() < 0.012
    assert (found <= 0.001).mean() < 0.0016


def test_dependent_p_values_are_combined_at_their_level() -> None:
    random = np.random.default_rng(1)
    shared = random.normal(size=(20_000, 1))
    p = stats.norm.sf(0.9 * shared + np.sqrt(1 - 0.81) * random.normal(size=(20_000, 6)))
    found = cauchy_combination(p.ravel(), np.repeat(np.arange(20_000), 6), 20_000)
    # Valid in the tail; a little conservative or liberal elsewhere (Liu and Xie 2020, table 1).
    assert (found <= 0.01).mean() < 0.012
    assert (found <= 0.001).mean() < 0.0016


def test_bands_need_a_flag_or_the_combination() -> None:
    p = np.array([0.5, 0.005, 0.2, 1e-6, 1e-9, np.nan])
    q = np.array([1.0, 0.3, 1.0, 0.01, 1e-6, np.nan])
    flags = np.array([0, 0, 1, 0, 2, 0])
    assert bands(p, q, flags) == ["none", "note", "review", "review", "priority", "none"]


def signal(indicator: str, kind: str, unit: str, p: float | None, **more: Any) -> dict[str, Any]:
    return {
        "indicator_id": indicator,
        "member_iso2": "XA",
        "unit_kind": kind,
        "unit_id": unit,
        "period_end": date(2024, 3, 31),
        "p_value": p,
        "is_flagged": False,
        "status": "computed" if p is not None else "below support",
    } | more


def combined(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.register("signals", pa.Table.from_pylist(rows, schema=SIGNAL_SCHEMA))
        found = combine_entities(connection).to_pylist()
    return {(row["entity_kind"], row["entity_id"]): row for row in found}


def test_pairs_speak_of_both_and_offices_flows_and_sets_of_nobody() -> None:
    rows = [
        signal(
            "A1",
            "broker-inspector pair",
            "b1",
            0.01,
            counterpart_id="i1",
            is_flagged=True,
            first_flagged_on=date(2024, 3, 31),
            revenue_at_stake_usd=100.0,
            revenue_low_usd=50.0,
            revenue_high_usd=150.0,
        ),
        signal("A1", "broker-inspector pair", "b1", 0.9, counterpart_id="i2"),
        signal("A3", "inspector, files taken over", "i1", 0.5),
        signal("A3", "office, broker", "P", 1e-9),
        signal("D2", "flow: mass", "610910 from CN", 1e-9),
        signal("E1", "set: brokers and inspectors", "set-1", 1e-9, counterpart_id="b1 i1"),
        signal("C3", "importer", "c1", None),
        signal("D4", "importer", "c2", 0.2, counterpart_id="6101"),
    ]
    found = combined(rows)
    assert set(found) == {
        ("broker", "b1"),
        ("inspector", "i1"),
        ("inspector", "i2"),
        ("importer", "c1"),
        ("importer", "c2"),
    }
    broker, inspector = found["broker", "b1"], found["inspector", "i1"]
    assert (broker["tests_n"], broker["indicators"], broker["severity"]) == (2, ["A1"], "review")
    both = stats.cauchy.sf(np.mean(stats.cauchy.isf([0.01, 0.9])))
    assert np.isclose(broker["combined_p_value"], both)
    # Once within an indicator, then over indicators.
    assert np.isclose(inspector["combined_p_value"], stats.cauchy.sf(np.mean(stats.cauchy.isf([0.01, 0.5]))))
    assert (inspector["revenue_low_usd"], inspector["revenue_high_usd"]) == (50.0, 150.0)
    assert found["importer", "c1"]["combined_p_value"] is None
    assert found["importer", "c1"]["severity"] == "none"


def test_only_the_last_look_of_an_indicator_counts() -> None:
    rows = [
        signal("A1", "broker", "b1", 1e-6, is_flagged=True, period_end=date(2023, 12, 31)),
        signal("A1", "broker", "b1", 0.4),
    ]
    found = combined(rows)["broker", "b1"]
    assert np.isclose(found["combined_p_value"], 0.4)
    assert found["severity"] == "none"
