"""Which flags count as true: `judgement.yaml`, validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

Tail = Literal["any", "low", "high"]

JUDGEMENT = Path(__file__).with_name("judgement.yaml")


class Rule(BaseModel):
    """How flags of one kind of unit are judged.

    Attributes:
        role: Role of the truth in which the unit is looked up.
        expected: Scenarios that the indicator is there for, with the tail in which their trace lies.
        collateral: Scenarios that leave a trace all the same.
        by_inspector: Scenarios of the inspector of a pair that leave a trace in each of his pairs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    expected: dict[str, Tail] = {}
    collateral: dict[str, Tail] = {}
    by_inspector: dict[str, Tail] = {}

    def verdict(self, scenario: str, tail: str) -> Literal["expected", "collateral"] | None:
        """Return how a flag on a unit that plays in a scenario counts; None where it does not."""
        if self.expected.get(scenario) in ("any", tail):
            return "expected"
        if self.collateral.get(scenario) in ("any", tail):
            return "collateral"
        return None

    def is_by_inspector(self, scenario: str, tail: str) -> bool:
        """Return whether the scenario of a pair's inspector explains a flag on the pair."""
        return self.by_inspector.get(scenario) in ("any", tail)


Rules = Mapping[str, Mapping[str, Rule]]


@cache
def load_rules(path: Path = JUDGEMENT) -> Rules:
    """Return the rules by indicator and kind of unit.

    Raises:
        ValueError: The file has entries that are no rules.
    """
    found: Rules = TypeAdapter(dict[str, dict[str, Rule]]).validate_python(
        yaml.safe_load(path.read_text(encoding="utf-8"))
    )
    return found


def rule_for(rules: Rules, indicator_id: str, unit_kind: str) -> Rule:
    """Return the rule of a kind of unit: by its whole name, else by the part before a comma or colon.

    Raises:
        ValueError: There is none: a flag that nobody thought of is not judged by chance.
    """
    kinds = rules.get(indicator_id, {})
    found = kinds.get(unit_kind) or kinds.get(re.split("[,:]", unit_kind)[0])
    if found is None:
        raise ValueError(f"{JUDGEMENT.name} does not say how {indicator_id} on '{unit_kind}' is judged")
    return found
