"""Indicators over marts written by hand: against SciPy, under their null, and where something is planted."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ml.integrity.indicators.a2 import permutation_test
from ml.integrity.indicators.a3 import beta_binomial_upper
from ml.integrity.indicators.a5 import predictive_upper
from ml.integrity.indicators.a6 import even_draw
from ml.integrity.intervals import limited_shrinkage, poisson_interval, share_interval
from ml.integrity.periods import Period

JANUARY = date(2024, 1, 1)
PERIOD = Period(JANUARY, date(2024, 1, 31))


def one(rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    (found,) = [row for row in rows if all(row[name] == value for name, value in values.items())]
    return found


def outcome_rows(counts: dict[str, tuple[int, int]], stratum: int = 1, **more: Any) -> list[dict[str, Any]]:
    """One stratum of inspectors: files, and files with the outcome."""
    size = sum(files for files, _ in counts.values())
    marked = sum(hits for _, hits in counts.values())
    return [
        {
            "member_iso2": "XA",
            "month": JANUARY,
            "office_code": "P",
            "unit_kind": "inspector",
            "unit_id": unit,
            "counterpart_id": None,
            "stratum_key": stratum,
            "population_n": size,
            "marked_n": marked,
            "drawn_n": files,
            "observed_n": hits,
            "expected_n": files * marked / size,
        }
        | more
        for unit, (files, hits) in counts.items()
    ]


def test_a_lenient_inspector_is_found_by_the_hypergeometric_tail(marts: Any, compute: Any) -> None:
    counts = {"i1": (200, 6)} | {f"i{number}": (200, 20) for number in range(2, 8)}
    marts.write("integrity_findings", outcome_rows(counts))
    rows = compute("B1", PERIOD)
    lenient = one(rows, unit_id="i1")
    assert lenient["p_value"] == pytest.approx(stats.hypergeom.cdf(6, 1400, 126, 200), rel=1e-9)
    assert lenient["expected"] == pytest.approx(18)
    # Drawn towards the peers by one standard error at most: (6 - 18) / 200 is -0.06.
    assert -0.06 < lenient["effect_size"] < -0.03
    others = [row["p_value"] for row in rows if row["unit_kind"] == "inspector" and row["unit_id"] != "i1"]
    assert min(others) > 0.5
    joint = one(rows, unit_kind="office")
    table = np.array([[6, 194], *[[20, 180]] * 6])
    assert joint["observed"] == pytest.approx(stats.chi2_contingency(table).statistic * 1399 / 1400)
    assert joint["expected"] == 6


def test_one_who_finds_everything_makes_nobody_else_look_lenient(marts: Any, compute: Any) -> None:
    """i1's findings would raise what the others are expected to find from 20 to 45."""
    counts = {"i1": (200, 195)} | {f"i{number}": (200, 20) for number in range(2, 8)}
    marts.write("integrity_findings", outcome_rows(counts))
    rows = [row for row in compute("B1", PERIOD) if row["unit_kind"] == "inspector"]
    assert {row["expected"] for row in rows if row["unit_id"] != "i1"} == {20.0}
    assert min(row["p_value"] for row in rows) > 0.3


def test_both_tails_of_uplift_are_named(marts: Any, compute: Any) -> None:
    counts = {"i1": (100, 30), "i2": (100, 1)} | {f"i{number}": (100, 10) for number in range(3, 9)}
    marts.write("integrity_uplifts", outcome_rows(counts))
    rows = compute("B2", PERIOD)
    extorting, lenient = one(rows, unit_id="i1"), one(rows, unit_id="i2")
    assert (extorting["tail"], lenient["tail"]) == ("high", "low")
    assert extorting["p_value"] < 1e-4
    assert lenient["p_value"] < 0.02


def test_below_support_nothing_is_tested(marts: Any, compute: Any) -> None:
    marts.write("integrity_after_hours", outcome_rows({"i1": (49, 9), "i2": (60, 2)}))
    rows = compute("B4", PERIOD)
    assert one(rows, unit_id="i1")["p_value"] is None
    assert not one(rows, unit_id="i1")["has_support"]
    assert one(rows, unit_id="i2")["p_value"] is not None


@pytest.mark.parametrize(("indicator", "mart"), [("B5", "integrity_audit_contradictions")])
def test_strata_add_up(marts: Any, compute: Any, indicator: str, mart: str) -> None:
    """Two strata: the sum of two hypergeometric numbers, by enumeration."""
    first = outcome_rows({"i1": (15, 3), "i2": (15, 0)}, stratum=1)
    second = outcome_rows({"i1": (10, 2), "i2": (20, 1)}, stratum=2)
    marts.write(mart, first + second)
    found = one(compute(indicator, PERIOD), unit_id="i1")
    a = stats.hypergeom.pmf(np.arange(4), 30, 3, 15)
    b = stats.hypergeom.pmf(np.arange(4), 30, 3, 10)
    assert found["p_value"] == pytest.approx(np.convolve(a, b)[5:].sum(), rel=1e-9)


def test_fast_and_slow_are_two_questions(marts: Any, compute: Any) -> None:
    fast = outcome_rows({"i1": (60, 30)} | {f"i{n}": (60, 8) for n in range(2, 8)}, outcome="fast")
    slow = outcome_rows({"i1": (60, 2)} | {f"i{n}": (60, 12) for n in range(2, 8)}, outcome="slow")
    marts.write("integrity_release_times", fast + slow)
    rows = compute("B3", PERIOD)
    assert one(rows, unit_id="i1", tail="low")["p_value"] < 1e-6
    assert one(rows, unit_id="i1", tail="high")["p_value"] > 0.5


def draw_rows(drawn: dict[str, tuple[int, int]], kind: str) -> list[dict[str, Any]]:
    size = sum(declarations for declarations, _ in drawn.values())
    taken = sum(hits for _, hits in drawn.values())
    return [
        {
            "member_iso2": "XA",
            "month": JANUARY,
            "office_code": "P",
            "unit_kind": kind,
            "unit_id": unit,
            "population_n": size,
            "marked_n": taken,
            "drawn_n": declarations,
            "observed_n": hits,
            "expected_n": declarations * taken / size,
        }
        for unit, (declarations, hits) in drawn.items()
    ]


def test_a_broker_whom_the_draw_passes_over(marts: Any, compute: Any) -> None:
    brokers = {"b1": (500, 0)} | {f"b{number}": (500, 16) for number in range(2, 8)}
    hours = {"08": (1750, 48), "09": (1750, 48)}
    marts.write(
        "integrity_random_draws",
        draw_rows(brokers, "broker") + draw_rows({"P": (3500, 96)}, "office") + draw_rows(hours, "hour"),
    )
    rows = compute("A6", PERIOD, random_red_share=0.03)
    passed_over = one(rows, unit_id="b1")
    assert passed_over["p_value"] == pytest.approx(stats.hypergeom.cdf(0, 3500, 96, 500), rel=1e-6)
    office = one(rows, unit_kind="office")
    assert office["p_value"] == pytest.approx(2 * stats.binom.cdf(96, 3500, 0.03), rel=1e-9)
    assert (office["observed"], office["expected"]) == (96, 105)
    assert one(rows, unit_kind="office by hour")["p_value"] > 0.9


def test_an_hour_that_is_spared_shows_in_the_simulated_tail() -> None:
    random = np.random.default_rng(5)
    size = np.full(8, 400.0)
    even = even_draw(size, np.array([12, 13, 11, 12, 12, 14, 10, 12.0]), random)[1]
    spared = even_draw(size, np.array([2, 25, 24, 23, 24, 25, 22, 23.0]), random)[1]
    assert even > 0.9
    assert spared < 0.02


def test_simulated_p_values_of_an_even_draw_are_uniform() -> None:
    """300 offices; false alarm of this test: 1e-6."""
    random = np.random.default_rng(6)
    size = random.integers(20, 400, 12).astype(float)
    p = [
        even_draw(
            size,
            random.multivariate_hypergeometric(size.astype(int), 60, method="marginals").astype(float),
            random,
        )[1]
        for _ in range(300)
    ]
    assert stats.kstest(p, "uniform").pvalue > 1e-6


def shopping_row(broker: str, red: int, shopped: int, other: int, other_shopped: int) -> dict[str, Any]:
    return {
        "member_iso2": "XA",
        "month": JANUARY,
        "declarant_id": broker,
        "red_n": red,
        "red_shopped_n": shopped,
        "other_n": other,
        "other_shopped_n": other_shopped,
    }


def test_a_shopper_is_told_from_a_broker_who_corrects_everything(marts: Any, compute: Any) -> None:
    honest = [shopping_row(f"b{number}", 60, 0, 400, 1) for number in range(3, 40)]
    marts.write(
        "integrity_lane_shopping",
        [shopping_row("b1", 60, 8, 400, 1), shopping_row("b2", 60, 8, 400, 60), *honest],
    )
    rows = compute("A5", PERIOD)
    assert one(rows, unit_id="b1")["p_value"] < 1e-4
    assert one(rows, unit_id="b2")["p_value"] > 0.3


def test_predicted_hits_are_beta_binomial_and_hold_their_level() -> None:
    """Brokers of one rate: 20,000 of them; false alarm of this test: 1e-6."""
    random = np.random.default_rng(7)
    red, other, rate = np.full(20_000, 40.0), np.full(20_000, 400.0), 0.01
    hits, known = random.binomial(40, rate, 20_000), random.binomial(400, rate, 20_000)
    p, expected = predictive_upper(hits.astype(float), red, known.astype(float), other)
    assert stats.binom.sf(int((p <= 0.01).sum()) - 1, 20_000, 0.01) > 1e-6
    assert expected.mean() == pytest.approx(0.4, rel=0.05)


def test_an_importer_whose_reds_are_moved(marts: Any, compute: Any) -> None:
    def row(kind: str, unit: str, cell: str, reds: int, softened: int, rate: float) -> dict[str, Any]:
        return {
            "member_iso2": "XA",
            "month": JANUARY,
            "unit_kind": kind,
            "unit_id": unit,
            "cell": cell,
            "reds_n": reds,
            "softened_n": softened,
            "softening_rate": rate,
            "expected_softened_n": reds * rate,
        }

    marts.write(
        "integrity_lane_overrides",
        [
            row("importer", "m1", "other", 20, 4, 0.02),
            row("importer", "m1", "operator", 10, 5, 0.5),
            row("supervisor", "s1", "other", 1000, 12, 0.01),
        ],
    )
    rows = compute("A4", PERIOD)
    a = stats.binom.pmf(np.arange(21), 20, 0.02)
    b = stats.binom.pmf(np.arange(11), 10, 0.5)
    found = one(rows, unit_id="m1")
    assert found["p_value"] == pytest.approx(np.convolve(a, b)[9:].sum(), rel=1e-9)
    assert found["expected"] == pytest.approx(5.4)
    assert one(rows, unit_id="s1")["p_value"] == pytest.approx(stats.binom.sf(11, 1000, 0.01), rel=1e-9)


def test_who_takes_over_is_even_among_those_on_duty(marts: Any, compute: Any) -> None:
    def row(kind: str, unit: str, chance: float, files: int, reassigned: int) -> dict[str, Any]:
        return {
            "member_iso2": "XA",
            "month": JANUARY,
            "office_code": "P",
            "unit_kind": kind,
            "unit_id": unit,
            "chance": chance,
            "files_n": files,
            "reassigned_n": reassigned,
        }

    giving = [row("inspector, files given away", f"i{n}", -1, 300, 9) for n in range(2, 12)]
    marts.write(
        "integrity_reassignments",
        [
            row("inspector, files given away", "i1", -1, 300, 40),
            *giving,
            row("inspector, files taken over", "i2", 0.2, 20, 12),
            row("inspector, files taken over", "i2", 0.5, 4, 4),
        ],
    )
    rows = compute("A3", PERIOD)
    assert one(rows, unit_id="i1")["p_value"] < 1e-6
    assert min(row["p_value"] for row in rows if row["unit_id"] not in ("i1", "i2")) > 0.2
    taken = one(rows, unit_kind="inspector, files taken over")
    a, b = stats.binom.pmf(np.arange(21), 20, 0.2), stats.binom.pmf(np.arange(5), 4, 0.5)
    assert taken["p_value"] == pytest.approx(np.convolve(a, b)[16:].sum(), rel=1e-9)


def test_rates_that_differ_by_nature_are_no_signal() -> None:
    """Overdispersed honest units: 60 offices of 20; false alarm of this test: about 1e-6."""
    random = np.random.default_rng(8)
    rates = random.beta(3, 57, 1200)
    hits = random.binomial(300, rates).astype(float)
    group = np.repeat(np.arange(60), 20).astype(object)
    p, _ = beta_binomial_upper(hits, np.full(1200, 300.0), group)
    assert stats.binom.sf(int((p <= 0.01).sum()) - 1, 1200, 0.02) > 1e-6
    assert (stats.binom.sf(hits - 1, 300, 0.05) <= 0.01).mean() > 0.1  # what a binomial would have said


def test_one_large_broker_is_compared_with_all_the_small_ones(marts: Any, compute: Any) -> None:
    """Three brokers of an office have enough files; the rate that two of them have is not yet known well."""
    small = [(f"s{number}", 30, 1) for number in range(30)]
    rows = [("large", 416, 18), ("middle", 124, 0), ("other", 109, 1), *small]
    marts.write(
        "integrity_reassignments",
        [
            {
                "member_iso2": "XA",
                "month": PERIOD.start,
                "office_code": "P",
                "unit_kind": "broker",
                "unit_id": name,
                "chance": -1.0,
                "files_n": files,
                "reassigned_n": given,
            }
            for name, files, given in rows
        ],
    )
    found = {row["unit_id"]: row for row in compute("A3", PERIOD) if row["has_support"]}
    assert set(found) == {"large", "middle", "other"}
    assert found["large"]["expected"] == pytest.approx(416 * 31.5 / 1134)
    assert found["large"]["p_value"] > 0.02
    # With two peers alone their rate is uncertain by its own error, as in Fisher's exact test.
    p, _ = beta_binomial_upper(
        np.array([18.0, 0.0, 1.0]), np.array([416.0, 124.0, 109.0]), np.array(["P"] * 3, dtype=object)
    )
    fisher = stats.fisher_exact([[18, 398], [1, 232]], alternative="greater").pvalue
    assert fisher / 5 < p[0] < fisher * 5


def test_permutation_finds_what_was_steered_and_nothing_else() -> None:
    random = np.random.default_rng(9)
    stratum = np.repeat(np.arange(150), 8)
    inspector = random.integers(0, 5, 1200)
    broker, chapter = random.integers(0, 12, 1200), random.integers(0, 20, 1200)
    score = random.random(1200)
    _, p, _, _ = permutation_test(stratum, inspector, score, [chapter, broker], 499, random)
    assert (p > 0.01).all()
    steered = np.where((broker == 3) & (random.random(1200) < 0.5), 2, inspector)
    observed, p, mean, _ = permutation_test(stratum, steered, score, [chapter, broker], 499, random)
    assert p[2] == pytest.approx(1 / 500)
    assert observed[2] > 1.3 * mean[2]


def test_permutation_p_values_are_uniform_or_larger() -> None:
    """200 null offices, three statistics; false alarm of this test: 1e-6 for each level and statistic."""
    random = np.random.default_rng(10)
    stratum = np.repeat(np.arange(20), 6)
    found = []
    for _ in range(200):
        inspector, label = random.integers(0, 4, 120), random.integers(0, 5, 120)
        found.append(permutation_test(stratum, inspector, random.random(120), [label], 99, random)[1])
    for level in (0.05, 0.2):
        hits = (np.array(found) <= level).sum(axis=0)
        assert (stats.binom.sf(hits - 1, 200, level) > 1e-6).all()


def test_shrinkage_is_limited_to_one_standard_error() -> None:
    effect = np.concatenate([[0.3], np.tile([0.01, -0.01], 40)])
    error = np.full(81, 0.02)
    shrunk = limited_shrinkage(effect, error, np.ones(81, dtype=bool))
    assert shrunk[0] == pytest.approx(0.28, abs=0.005)
    assert np.abs(shrunk[1:]).max() < 0.01


def test_intervals_are_those_of_their_sources() -> None:
    low, high = poisson_interval(np.array([0.0, 10.0]))
    np.testing.assert_allclose([low[0], high[0], low[1], high[1]], [0, 3.6889, 4.7954, 18.3904], atol=1e-4)
    low, high = share_interval(np.array([0.0, 5.0, 10.0]), np.array([10.0, 10.0, 10.0]))
    np.testing.assert_allclose(low, [0, 0.1871, 0.6915], atol=1e-4)
    np.testing.assert_allclose(high, [0.3085, 0.8129, 1.0], atol=1e-4)


def test_files_that_share_their_fate_are_fewer_than_they_look(marts: Any, compute: Any) -> None:
    """Slow files come in clusters of five; 40 inspectors, 25 looks; false alarm about 1e-6."""
    random = np.random.default_rng(11)
    p: list[float] = []
    for _ in range(25):
        counts = {f"i{n:02d}": (200, 5 * int(hits)) for n, hits in enumerate(random.binomial(40, 0.2, 40))}
        marts.write("integrity_release_times", outcome_rows(counts, outcome="slow"))
        p += [row["p_value"] for row in compute("B3", PERIOD)]
    assert stats.binom.sf(sum(value <= 0.01 for value in p) - 1, 1000, 0.02) > 1e-6
    deviates = (np.array([5 * random.binomial(40, 0.2) for _ in range(1000)]) - 40) / np.sqrt(200 * 0.16)
    assert (deviates > stats.norm.isf(0.01)).mean() > 0.05  # what files counted one by one would have said


def test_revenue_at_stake_is_what_missing_findings_usually_bring(marts: Any, compute: Any) -> None:
    counts = {"i1": (200, 6)} | {f"i{number}": (200, 20) for number in range(2, 8)}
    marts.write("integrity_findings", outcome_rows(counts))
    # A hundred findings of 50 USD each among a thousand files: no spread, so the mean of a finding is known.
    recovery = {"member_iso2": "XA", "month": JANUARY, "files_n": 1000, "found_files_n": 100}
    marts.write(
        "integrity_recoveries", [recovery | {"recovered_usd": 5000.0, "squared_recovered_usd": 250000.0}]
    )
    found = one(compute("B1", PERIOD), unit_id="i1")
    low, high = poisson_interval(np.array([6.0]))
    assert found["revenue_at_stake_usd"] == pytest.approx((18 - 6) * 50)
    assert found["revenue_low_usd"] == pytest.approx(max(18 - high[0], 0) * 50)
    assert found["revenue_high_usd"] == pytest.approx((18 - low[0]) * 50)


def test_without_recoveries_nothing_is_said_of_revenue(marts: Any, compute: Any) -> None:
    marts.write("integrity_findings", outcome_rows({"i1": (200, 6), "i2": (200, 30)}))
    assert {row["revenue_at_stake_usd"] for row in compute("B1", PERIOD)} == {None}
