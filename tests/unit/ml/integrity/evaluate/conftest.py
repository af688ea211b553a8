"""Records of worlds, made up; and rules of their own."""

from __future__ import annotations

import pytest

from ml.integrity.evaluate.rules import Rule, Rules


@pytest.fixture
def rules() -> Rules:
    """Rules of two indicators."""
    return {
        "A1": {"broker-inspector pair": Rule(role="pair", expected={"S6": "any"})},
        "B2": {
            "inspector": Rule(role="inspector", expected={"S10": "high"}, collateral={"S9": "low"}),
        },
        "B3": {"pair": Rule(role="pair", expected={"S6": "low"}, by_inspector={"S10": "high"})},
        "E1": {"set": Rule(role="set", expected={"S6": "any"})},
        "A6": {"broker": Rule(role="broker", expected={"S11": "low"})},
    }
