"""The file of rules covers the catalogue, and names only what there is."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from pydantic import ValidationError

from ml.integrity.catalogue import load_catalogue
from ml.integrity.evaluate.rules import Rule, load_rules, rule_for
from tidewaiter.synthetic.parameters import Scenarios


def test_every_indicator_has_rules_and_no_rule_is_left_over():
    assert set(load_rules()) == {entry.id for entry in load_catalogue()}


def test_rules_name_scenarios_that_can_be_planted():
    known = {field.name for field in fields(Scenarios)}
    for kinds in load_rules().values():
        for rule in kinds.values():
            assert set(rule.expected) | set(rule.collateral) | set(rule.by_inspector) <= known
            assert not set(rule.expected) & set(rule.collateral)


@pytest.mark.parametrize("scenario", ["S6", "S7", "S8", "S9", "S10", "S11"])
def test_every_scheme_of_officers_and_brokers_is_expected_by_an_indicator(scenario):
    assert any(scenario in rule.expected for kinds in load_rules().values() for rule in kinds.values())


def test_a_whole_name_goes_before_its_beginning():
    rules = {"D2": {"flow": Rule(role="flow"), "flow: mass": Rule(role="mass")}}
    assert rule_for(rules, "D2", "flow: mass").role == "mass"
    assert rule_for(rules, "D2", "flow: value").role == "flow"
    with pytest.raises(ValueError, match=re.escape("how D2 on 'partner' is judged")):
        rule_for(rules, "D2", "partner")


def test_a_word_that_is_no_tail_is_refused(tmp_path):
    path = tmp_path / "judgement.yaml"
    path.write_text("A1:\n  pair: {role: pair, expected: {S6: upper}}\n", encoding="utf-8")
    with pytest.raises(ValidationError):
        load_rules(path)
