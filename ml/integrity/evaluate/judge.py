"""Judging the flags of one world against the parts that were played in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from ml.integrity.evaluate.rules import Rule, Rules, rule_for

Verdict = Literal["expected", "collateral", "false"]


@dataclass(frozen=True)
class Hit:
    """A unit that an indicator flagged at least once.

    Attributes:
        verdict: `expected` or `collateral` where any of its flags was true, else `false`.
        scenario: What made it true.
        first_on: Last day of the first look with such a flag.
        decoy: For a false one, the decoy that the unit plays in, where it does.
    """

    indicator_id: str
    unit_kind: str
    unit: tuple[str, str | None]
    verdict: Verdict
    scenario: str | None
    first_on: date
    decoy: str | None


@dataclass(frozen=True)
class Find:
    """A part that an indicator is expected to see, and what became of it.

    Attributes:
        is_tested: Whether it had support in any look of its time.
        support, expected: Of the last look, in the indicator's own units.
        days: From the start to the last day of the look that first flagged it; None where none did.
    """

    indicator_id: str
    scenario: str
    role: str
    is_tested: bool
    days: int | None
    files: int
    loss_usd: float
    diversion: float | None
    support: float | None
    expected: float | None
    is_named: bool


@dataclass(frozen=True)
class Judged:
    """A world, judged."""

    hits: list[Hit]
    finds: list[Find]


class _Parts:
    """The parts of a world by what signals call the unit."""

    def __init__(self, parts: Iterable[Mapping[str, Any]]) -> None:
        self.all = list(parts)
        self._by_unit: dict[tuple[str, str, str | None], list[int]] = defaultdict(list)
        self._decoys: dict[str, str] = {}
        for place, part in enumerate(self.all):
            self._by_unit[part["role"], part["unit_id"], part["counterpart_id"]].append(place)
            if part["scenario"].startswith("Z"):
                self._decoys[part["unit_id"]] = part["scenario"]

    def of(self, rule: Rule, flag: Mapping[str, Any]) -> list[int]:
        """Return the places of the parts that a flagged unit plays in the rule's role and the look's time."""
        if rule.role == "set":
            members = set((flag["counterpart_id"] or "").split())
            places = [
                place
                for place, part in enumerate(self.all)
                if part["role"] == "set" and len(members & set(part["counterpart_id"].split())) > 1
            ]
        else:
            with_other = flag["counterpart_id"] if rule.role in ("pair", "importer and heading") else None
            places = self._by_unit.get((rule.role, flag["unit_id"], with_other), [])
        return [place for place in places if _overlaps(self.all[place], flag)]

    def of_inspector(self, rule: Rule, flag: Mapping[str, Any]) -> str | None:
        """Return the scenario of the inspector of a flagged pair that explains the flag, where one does."""
        places = self._by_unit.get(("inspector", flag["counterpart_id"] or "", None), [])
        scenarios = [self.all[place]["scenario"] for place in places if _overlaps(self.all[place], flag)]
        return next((one for one in scenarios if rule.is_by_inspector(one, flag["tail"])), None)

    def decoy(self, flag: Mapping[str, Any]) -> str | None:
        """Return the decoy that anybody of the flagged unit plays in."""
        ids = [flag["unit_id"], *(flag["counterpart_id"] or "").split()]
        return next((self._decoys[one] for one in ids if one in self._decoys), None)


def judge(record: Mapping[str, Any], rules: Rules) -> Judged:
    """Return hits and finds of a world.

    Raises:
        ValueError: A kind of unit has no rule.
    """
    parts = _Parts(record["parts"])
    by_unit: dict[tuple[str, str, str, str | None], list[Mapping[str, Any]]] = defaultdict(list)
    for flag in record["flags"]:
        unit = (flag["indicator_id"], flag["unit_kind"], flag["unit_id"], flag["counterpart_id"])
        by_unit[unit].append(flag)
    found: dict[tuple[str, int], date] = {}
    hits = [_hit(flags, parts, rules, found) for flags in by_unit.values()]
    return Judged(hits, _finds(record, parts, rules, found))


def _hit(
    flags: list[Mapping[str, Any]], parts: _Parts, rules: Rules, found: dict[tuple[str, int], date]
) -> Hit:
    """Judge the flags of one unit; note in `found` when each expected part was first flagged."""
    first = flags[0]
    rule = rule_for(rules, first["indicator_id"], first["unit_kind"])
    best: tuple[Verdict, str | None, date] | None = None
    for flag in flags:
        end = date.fromisoformat(flag["period_end"])
        for place in parts.of(rule, flag):
            scenario = parts.all[place]["scenario"]
            verdict = rule.verdict(scenario, flag["tail"])
            if verdict == "expected":
                key = first["indicator_id"], place
                found[key] = min(end, found.get(key, end))
            if verdict and (best is None or (verdict == "expected" and best[0] == "collateral")):
                best = verdict, scenario, end
        by_inspector = parts.of_inspector(rule, flag)
        if by_inspector and best is None:
            best = "collateral", by_inspector, end
    earliest = min(date.fromisoformat(flag["period_end"]) for flag in flags)
    said, scenario, on = best if best is not None else ("false", None, earliest)
    return Hit(
        first["indicator_id"],
        first["unit_kind"],
        (first["unit_id"], first["counterpart_id"]),
        said,
        scenario,
        on,
        parts.decoy(first) if best is None else None,
    )


def _finds(
    record: Mapping[str, Any], parts: _Parts, rules: Rules, found: Mapping[tuple[str, int], date]
) -> list[Find]:
    """Return what became of every part that an indicator is expected to see, seen or not."""
    looked_at: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for row in record["looked_at"]:
        looked_at[row["indicator_id"], row["place"]].append(row)
    finds = []
    for indicator, said in record["indicators"].items():
        if said["lack"]:
            continue
        roles = {
            (rule.role, scenario) for rule in rules.get(indicator, {}).values() for scenario in rule.expected
        }
        for place, part in enumerate(parts.all):
            if (part["role"], part["scenario"]) not in roles:
                continue
            rows = looked_at.get((indicator, place), [])
            on = found.get((indicator, place))
            best = max(rows, key=lambda row: row["support"] or 0.0, default={})
            finds.append(
                Find(
                    indicator,
                    part["scenario"],
                    part["role"],
                    any(row["tests"] for row in rows) or (part["role"] == "set" and said["tests"] > 0),
                    None if on is None else (on - date.fromisoformat(part["starts_on"])).days,
                    part["files"],
                    part["loss_usd"],
                    part["diversion"],
                    best.get("support"),
                    best.get("expected"),
                    part["is_named"],
                )
            )
    return finds


def _overlaps(part: Mapping[str, Any], flag: Mapping[str, Any]) -> bool:
    starts, ends = part["starts_on"], part["ends_on"]
    return flag["period_end"] >= starts and (ends is None or flag["period_start"] <= ends)
