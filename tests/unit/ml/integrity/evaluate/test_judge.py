"""Flags against parts: what is true, what is false, and when it was found."""

from __future__ import annotations

import pytest

from ml.integrity.evaluate.judge import judge
from tests.unit.ml.integrity.evaluate.made_up import flag, part, record

PAIR = "broker-inspector pair"


def verdicts(world, rules):
    return [(hit.verdict, hit.scenario, hit.decoy) for hit in judge(world, rules).hits]


def test_the_pair_itself_is_true_and_half_of_it_is_not(rules):
    world = record(
        parts=(part("S6", "pair", "b1", "i1"),),
        flags=(flag("A1", PAIR, "b1", "i1"), flag("A1", PAIR, "b1", "i2"), flag("A1", PAIR, "b2", "i1")),
    )
    assert verdicts(world, rules) == [("expected", "S6", None), ("false", None, None), ("false", None, None)]


def test_a_flag_before_the_scheme_begins_is_false(rules):
    early = flag("A1", PAIR, "b1", "i1", period_end="2024-06-30")
    world = record(parts=(part("S6", "pair", "b1", "i1"),), flags=(early,))
    assert verdicts(world, rules) == [("false", None, None)]
    assert judge(world, rules).finds[0].days is None


def test_a_flag_after_the_scheme_is_over_is_true_while_the_look_still_sees_it(rules):
    over = part("S11", "broker", "b1", starts_on="2024-07-02", ends_on="2024-08-31")
    seen = flag("A6", "broker", "b1", tail="low", period_start="2024-08-01", period_end="2024-09-30")
    unseen = flag("A6", "broker", "b1", tail="low", period_start="2024-09-01", period_end="2024-10-31")
    for one, verdict in ((seen, "expected"), (unseen, "false")):
        assert verdicts(record(parts=(over,), flags=(one,), indicators=("A6",)), rules)[0][0] == verdict


def test_the_other_tail_is_not_true(rules):
    world = record(
        parts=(part("S10", "inspector", "i1"), part("S9", "inspector", "i2")),
        flags=(
            flag("B2", "inspector", "i1", tail="high"),
            flag("B2", "inspector", "i2", tail="low"),
            flag("B2", "inspector", "i2", tail="high", period_end="2024-12-31"),
        ),
        indicators=("B2",),
    )
    # The second unit is flagged twice, once truly: it counts once, and as true.
    assert verdicts(world, rules) == [("expected", "S10", None), ("collateral", "S9", None)]
    assert verdicts(record(parts=world["parts"], flags=(world["flags"][2],), indicators=("B2",)), rules) == [
        ("false", None, None)
    ]


def test_what_an_inspector_does_to_everybody_shows_in_each_of_his_pairs(rules):
    parts = (part("S10", "inspector", "i1"), part("S6", "inspector", "i2"))
    flags = (
        flag("B3", "pair", "b1", "i1", tail="high"),
        flag("B3", "pair", "b2", "i1", tail="low"),
        flag("B3", "pair", "b1", "i2", tail="low"),
    )
    assert verdicts(record(parts=parts, flags=flags, indicators=("B3",)), rules) == [
        ("collateral", "S10", None),
        ("false", None, None),
        ("false", None, None),
    ]


def test_a_set_is_true_when_it_holds_two_who_act_together(rules):
    ring = part("S6", "set", "pair", "b1 i1")
    both, one = flag("E1", "set: files", "set-1", "b1 i1 i7"), flag("E1", "set: files", "set-2", "b1 i2 i7")
    world = record(parts=(ring,), flags=(both, one), indicators=("E1",))
    assert [verdict for verdict, *_ in verdicts(world, rules)] == ["expected", "false"]


def test_a_false_flag_on_a_decoy_says_so(rules):
    world = record("decoys", parts=(part("Z1", "broker", "b1"),), flags=(flag("A1", PAIR, "b1", "i1"),))
    assert verdicts(world, rules) == [("false", None, "Z1")]


def test_days_run_from_the_start_to_the_end_of_the_first_true_look(rules):
    late = flag("A1", PAIR, "b1", "i1", period_end="2024-12-31")
    world = record(
        parts=(part("S6", "pair", "b1", "i1"), part("S6", "pair", "b2", "i2")),
        flags=(late, flag("A1", PAIR, "b1", "i1")),
    )
    found, missed = judge(world, rules).finds
    assert (found.days, missed.days) == (90, None)
    assert found.is_tested
    assert found.support == 400.0


def test_an_indicator_that_was_not_computable_has_no_finds(rules):
    world = record(parts=(part("S6", "pair", "b1", "i1"),))
    world["indicators"]["A1"]["lack"] = "not computable: needs a roster"
    assert judge(world, rules).finds == []


def test_a_kind_of_unit_without_a_rule_is_not_judged_by_chance(rules):
    with pytest.raises(ValueError, match="how A1 on 'exporter' is judged"):
        judge(record(flags=(flag("A1", "exporter", "x"),)), rules)
