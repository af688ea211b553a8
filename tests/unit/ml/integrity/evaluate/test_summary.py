"""Figures over worlds against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ml.integrity.evaluate.judge import judge
from ml.integrity.evaluate.statistics import (
    Mean,
    Portion,
    Rate,
    Share,
    power_of_excess,
    power_of_too_few,
)
from ml.integrity.evaluate.summary import (
    World,
    discoveries,
    judge_all,
    power,
    quiet,
    recalls,
)
from ml.integrity.evaluate.summary import (
    tests_in_term as count_tests_in_term,
)
from ml.integrity.evaluate.targets import at_least, at_most, targets
from tests.unit.ml.integrity.evaluate.made_up import flag, part, record

PAIR = "broker-inspector pair"


def worlds(rules, *records):
    return [World(one, judge(one, rules)) for one in records]


def pair(name, **other):
    return part("S6", "pair", f"b{name}", f"i{name}", **other)


def pair_flag(name, **other):
    return flag("A1", PAIR, f"b{name}", f"i{name}", **other)


def test_false_share_is_the_mean_over_worlds_and_nothing_flagged_is_nothing_false(rules):
    some = worlds(
        rules,
        record(parts=(pair(1), pair(2)), flags=(pair_flag(1), pair_flag(2), pair_flag(9))),
        record(parts=(pair(1),), seed=2),
        record("null", flags=(pair_flag(9),), seed=3),
    )
    (found,) = discoveries(some)
    assert (found.expected.events, found.false.events, found.false.runs) == (2, 1, 2)
    assert found.false_share.value == pytest.approx((1 / 3 + 0) / 2)
    assert found.false_share.standard_error == pytest.approx(np.std([1 / 3, 0], ddof=1) / np.sqrt(2))


def test_recall_counts_parts_worlds_days_and_revenue(rules):
    late = pair_flag(2, period_end="2024-12-31")
    some = worlds(
        rules,
        record(parts=(pair(1, loss_usd=300.0), pair(2)), flags=(pair_flag(1), late)),
        record(parts=(pair(1),), seed=2),
    )
    (found,) = recalls(some)
    assert (found.found.hits, found.found.trials) == (2, 3)
    assert (found.soon.hits, found.worlds.hits, found.worlds_soon.trials) == (1, 1, 2)
    assert found.days_median == (90 + 182) / 2
    assert (found.revenue.found, found.revenue.total) == (400.0, 500.0)


def test_strengths_of_collusion_stand_apart(rules):
    parts = (pair(1, diversion=0.05), pair(2, diversion=0.2))
    rows = recalls(worlds(rules, record(parts=parts, flags=(pair_flag(2),))))
    assert [(row.diversion, row.found.hits) for row in rows] == [(0.05, 0), (0.2, 1)]


def test_a_quiet_world_is_allowed_one_level_a_term(rules):
    some = worlds(rules, record("null", flags=(pair_flag(1), pair_flag(2))), record("null", seed=2))
    a1, everything = quiet(some, "null")
    assert (a1.flagged.hits, a1.flagged.trials, a1.units) == (1, 2, {"": 2})
    assert a1.nominal == pytest.approx(0.05)
    assert everything.flagged.hits == 1
    some[0].record["indicators"]["A1"]["in_term"] = 4
    assert quiet(some, "null")[0].nominal == pytest.approx(1 - 0.95**2)


def test_flags_on_decoys_are_told_apart(rules):
    decoy = part("Z2", "broker", "b1")
    (a1, _) = quiet(
        worlds(rules, record("decoys", parts=(decoy,), flags=(pair_flag(1), pair_flag(2)))), "decoys"
    )
    assert a1.units == {"Z2": 1, "": 1}


def test_power_is_told_by_diversion_and_volume(rules):
    parts = tuple(pair(number, diversion=0.1) for number in range(4))
    some = worlds(rules, record("power", parts=parts, flags=(pair_flag(0), pair_flag(1), pair_flag(2))))
    (row,) = power(some)
    assert (row.files_from, row.files_to, row.found.hits, row.found.trials) == (300, 1_000, 3, 4)
    assert row.share_median == pytest.approx(0.1)
    assert count_tests_in_term(some, "A1") == 80


def test_shares_have_the_interval_of_clopper_and_pearson():
    expected = stats.binomtest(3, 20).proportion_ci(method="exact")
    assert Share(3, 20).interval == pytest.approx((expected.low, expected.high))
    assert Share(0, 20).interval[0] == 0.0
    assert Share(0, 0).as_text() == "none planted"


def test_rates_have_the_interval_of_garwood():
    low, high = Rate(4, 2).interval
    assert stats.poisson.sf(3, low * 2) == pytest.approx(0.025)
    assert stats.poisson.cdf(4, high * 2) == pytest.approx(0.025)


def test_a_share_of_revenue_comes_from_resampled_worlds():
    assert Portion.of([1.0, 1.0], [2.0, 2.0]).low == pytest.approx(0.5)
    spread = Portion.of([0.0, 2.0] * 10, [2.0] * 20)
    assert spread.low < 0.5 < spread.high
    assert Portion.of([], []).as_text() == ""


def test_one_world_has_no_standard_error():
    assert np.isnan(Mean.of([0.1]).standard_error)


def test_the_power_of_a_count_is_that_of_draws():
    random = np.random.default_rng(3)
    # Twelve expected, a third left, at 5 %: the largest count that is rare enough, found by trying.
    critical = max(count for count in range(13) if stats.poisson.cdf(count, 12) <= 0.05)
    drawn = random.poisson(4, 200_000)
    assert power_of_too_few(12, 1 / 3, 0.05) == pytest.approx((drawn <= critical).mean(), abs=0.01)
    assert power_of_too_few(1.0, 0.0, 0.05) == 0.0


def test_the_power_of_an_excess_is_that_of_draws():
    random = np.random.default_rng(4)
    critical = min(count for count in range(400) if stats.binom.sf(count - 1, 400, 0.1) <= 1e-4)
    drawn = random.binomial(400, 0.1 + 0.1 * 0.9, 200_000)
    assert power_of_excess(400, 0.1, 0.1, 1e-4) == pytest.approx((drawn >= critical).mean(), abs=0.01)


@pytest.mark.parametrize(
    ("hits", "trials", "state"),
    [(19, 20, "reached"), (17, 20, "open"), (5, 20, "missed"), (0, 0, "not measured")],
)
def test_a_goal_is_reached_open_or_missed(hits, trials, state):
    assert at_least(Share(hits, trials), 0.95) == state


def test_too_many_quiet_worlds_with_flags_are_a_miss(rules):
    noisy = [record("null", flags=(pair_flag(1),), seed=seed) for seed in range(20)]
    assert at_most(quiet(worlds(rules, *noisy), "null")[0]) == "missed"
    calm = [record("null", seed=seed) for seed in range(20)]
    assert at_most(quiet(worlds(rules, *calm), "null")[0]) == "reached"


def test_the_targets_are_those_of_the_standard_world():
    """With the project's own rules: pairs of brokers with enough files alone, and false pairs."""
    parts = (pair(1, diversion=0.2), pair(2, diversion=0.2))
    world = record(parts=parts, flags=(pair_flag(1), pair_flag(7)))
    world["looked_at"][1]["support"] = 299.0
    from ml.integrity.evaluate.rules import load_rules

    found = {one.what: one for one in targets(judge_all([world], load_rules()))}
    twenty = next(one for what, one in found.items() if "20%" in what and "standard" in what)
    assert twenty.reached.startswith("1/1")
    assert twenty.state == "reached"
    false = found["A1, false pairs per run"]
    assert false.reached.startswith("1.00")
    assert false.state == "open"
