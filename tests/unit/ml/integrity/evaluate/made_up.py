"""Records of worlds, made up."""

from __future__ import annotations

from typing import Any

START, LATER = "2024-07-02", "2024-09-30"
LOOKS = {"below_support": 0, "lack": None, "in_term": 8, "every": "quarter", "alpha": 0.05}


def part(scenario: str, role: str, unit: str, counterpart: str | None = None, **other: Any) -> dict[str, Any]:
    """A part that begins on `START` and does not end."""
    return {
        "scenario": scenario,
        "role": role,
        "unit_id": unit,
        "counterpart_id": counterpart,
        "starts_on": START,
        "ends_on": None,
        "files": 10,
        "loss_usd": 100.0,
        "diversion": None,
        "is_named": True,
    } | other


def flag(
    indicator: str, kind: str, unit: str, counterpart: str | None = None, **other: Any
) -> dict[str, Any]:
    """A flag in the look that ends on `LATER`, in the high tail."""
    return {
        "indicator_id": indicator,
        "unit_kind": kind,
        "unit_id": unit,
        "counterpart_id": counterpart,
        "tail": "high",
        "period_start": "2024-01-01",
        "period_end": LATER,
    } | other


def record(
    kind: str = "standard",
    parts: tuple[dict[str, Any], ...] = (),
    flags: tuple[dict[str, Any], ...] = (),
    indicators: tuple[str, ...] = ("A1",),
    seed: int = 1,
    **other: Any,
) -> dict[str, Any]:
    """A world in which every part was tested by every indicator."""
    looked_at = [
        {
            "place": place,
            "indicator_id": indicator,
            "unit_kind": "any",
            "tests": 3,
            "first_tested_on": LATER,
            "least_q": 0.5,
            "support": 400.0,
            "observed": 60.0,
            "expected": 40.0,
        }
        for place in range(len(parts))
        for indicator in indicators
    ]
    return {
        "world": {"kind": kind, "seed": seed, "items": 1000, "months": 24, "indicators": []},
        "code_version": "0123456789ab",
        "cost": {"cpu_s": 1.0, "wall_s": 2.0},
        "indicators": {name: LOOKS | {"looks": 8, "tests": 80} for name in indicators},
        "parts": list(parts),
        "evidence": [],
        "looked_at": looked_at,
        "flags": list(flags),
    } | other
