"""What is planted is chosen by words: names, strengths, and all that is wrong with them at once."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tidewaiter.errors import UsageProblem
from tidewaiter.synthetic.parameters import Decoys, Scenarios, plan, small_plan


def chosen(part) -> list[str]:
    return [entry.name for entry in fields(part) if getattr(part, entry.name) is not None]


def test_all_none_and_some() -> None:
    assert chosen(plan().scenarios) == [f"S{number}" for number in range(1, 13)]
    assert chosen(plan().decoys) == [f"Z{number}" for number in range(1, 7)]
    assert chosen(plan("none", "none").scenarios) == []
    assert chosen(plan("s6, S1", "Z4").scenarios) == ["S1", "S6"]
    assert plan("none", "none").decoys == Decoys()
    assert plan("none").scenarios == Scenarios()


def test_strengths_are_set() -> None:
    found = plan(
        "S6,S9", "Z4", ["S6.diversion=0.05/0.2", "s9.sensitivity=0.4", "Z4.loss=0.1", "world.fault_share=0"]
    )
    assert found.scenarios.S6.diversion == (0.05, 0.2)
    assert found.scenarios.S9.sensitivity == 0.4
    assert found.decoys.Z4.loss == 0.1
    assert found.world.fault_share == 0
    assert plan("S7", "none", ["S7.brokers=3"]).scenarios.S7.brokers == 3


def test_small_worlds_have_everything_and_more_of_the_common_kinds() -> None:
    small = small_plan()
    assert chosen(small.scenarios) == chosen(plan().scenarios)
    assert small.scenarios.S1.share > plan().scenarios.S1.share


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageProblem) as raised:
        plan("S1,S13", "Z9", ["S6.diversion=0.1", "S1.shar=1", "S1.share=much", "S1.share=0.1/0.2"])
    said = [str(problem) for problem in raised.value.problems]
    assert len(said) == 6
    assert "unknown scenario 'S13'" in said[0]
    assert "unknown decoy 'Z9'" in said[1]
    assert "'S6' is not among the chosen" in said[2]
    assert "did you mean 'share'" in said[3]
    assert "'much' is no value" in said[4]
    assert "'0.1/0.2' is no value" in said[5]
