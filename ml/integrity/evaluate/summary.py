"""What the indicators reached over many worlds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.integrity.evaluate.judge import Find, Judged, judge
from ml.integrity.evaluate.rules import Rules
from ml.integrity.evaluate.statistics import Mean, Portion, Rate, Share

SOON_DAYS = 90
# Files of the broker that were drawn among inspectors; the curve is drawn within these.
VOLUME_EDGES = (100, 300, 1_000, 3_000, 10_000)
ALL_TOGETHER = "all"


@dataclass(frozen=True)
class World:
    """A world on record, judged."""

    record: Mapping[str, Any]
    judged: Judged

    @property
    def kind(self) -> str:
        """Kind of world."""
        return str(self.record["world"]["kind"])


def judge_all(records: Iterable[Mapping[str, Any]], rules: Rules) -> list[World]:
    """Judge every world."""
    return [World(record, judge(record, rules)) for record in records]


@dataclass(frozen=True)
class Discoveries:
    """What an indicator flagged in the standard worlds; a unit counts once in a world.

    Attributes:
        expected, collateral, false: Units per run.
        false_share: Share of false ones among the flagged, 0 where nothing was; mean over worlds.
    """

    indicator_id: str
    expected: Rate
    collateral: Rate
    false: Rate
    false_share: Mean


def discoveries(worlds: Sequence[World]) -> list[Discoveries]:
    """Return the discoveries of each indicator in the standard worlds."""
    standard = [world for world in worlds if world.kind == "standard"]
    found = []
    for indicator in _indicators(standard):
        counts = [_verdicts(world, indicator) for world in standard]
        shares = [one["false"] / max(sum(one.values()), 1) for one in counts]
        expected, collateral, false = (
            Rate(sum(one[name] for one in counts), len(standard)) for name in _VERDICTS
        )
        found.append(Discoveries(indicator, expected, collateral, false, Mean.of(shares)))
    return found


_VERDICTS = ("expected", "collateral", "false")


def _verdicts(world: World, indicator: str) -> dict[str, int]:
    counts = dict.fromkeys(_VERDICTS, 0)
    for hit in world.judged.hits:
        if hit.indicator_id == indicator:
            counts[hit.verdict] += 1
    return counts


@dataclass(frozen=True)
class Recall:
    """How much of a scenario an indicator saw.

    Attributes:
        role: What the units are.
        diversion: Planted share of the broker's files, where the scenario has such.
        found: Parts that were flagged, of all.
        found_of_tested: Of those that had support in any look.
        soon: Parts that were flagged within `SOON_DAYS`.
        days_median: From start to first flag, of those found.
        worlds: Worlds with a part that was flagged; `worlds_soon` within `SOON_DAYS`.
        revenue: Taxes short in the files of the parts found, of those of all parts.
    """

    indicator_id: str
    scenario: str
    role: str
    diversion: float | None
    found: Share
    found_of_tested: Share
    soon: Share
    days_median: float
    worlds: Share
    worlds_soon: Share
    revenue: Portion


def recalls(worlds: Sequence[World]) -> list[Recall]:
    """Return recall by indicator, scenario, role and strength in the standard worlds."""
    standard = [world for world in worlds if world.kind == "standard"]
    keys: dict[_Key, None] = {}
    by_world: list[dict[_Key, list[Find]]] = []
    for world in standard:
        groups: dict[_Key, list[Find]] = defaultdict(list)
        for find in world.judged.finds:
            groups[find.indicator_id, find.scenario, find.role, find.diversion].append(find)
        by_world.append(groups)
        keys |= dict.fromkeys(groups)
    return [
        _recall(key, [groups[key] for groups in by_world if key in groups])
        for key in sorted(keys, key=_in_order)
    ]


# Indicator, scenario, role, diversion.
_Key = tuple[str, str, str, float | None]


def _in_order(key: _Key) -> tuple[str, int, str, float]:
    indicator, scenario, role, diversion = key
    return indicator, int(scenario[1:]), role, diversion or 0.0


def _recall(key: _Key, groups: Sequence[Sequence[Find]]) -> Recall:
    finds = [find for group in groups for find in group]
    tested = [find for find in finds if find.is_tested]
    days = [find.days for find in finds if find.days is not None]
    return Recall(
        *key,
        found=Share(len(days), len(finds)),
        found_of_tested=Share(sum(find.days is not None for find in tested), len(tested)),
        soon=Share(sum(_is_soon(find) for find in finds), len(finds)),
        days_median=float(np.median(days)) if days else float("nan"),
        worlds=Share(sum(any(find.days is not None for find in group) for group in groups), len(groups)),
        worlds_soon=Share(sum(any(_is_soon(find) for find in group) for group in groups), len(groups)),
        revenue=Portion.of(
            [sum(find.loss_usd for find in group if find.days is not None) for group in groups],
            [sum(find.loss_usd for find in group) for group in groups],
        ),
    )


def _is_soon(find: Find) -> bool:
    return find.days is not None and find.days <= SOON_DAYS


@dataclass(frozen=True)
class Quiet:
    """How often an indicator flags anything where nobody cheats.

    Attributes:
        flagged: Worlds with any flag in any look.
        nominal: Probability that the level allows over the terms of a world.
        units: Units flagged, by the decoy that they play in; "" for none.
    """

    indicator_id: str
    kind: str
    flagged: Share
    nominal: float
    units: Mapping[str, int]


def quiet(worlds: Sequence[World], kind: str) -> list[Quiet]:
    """Return the flags of each indicator in worlds of a kind without scenarios, and of all together."""
    chosen = [world for world in worlds if world.kind == kind]
    found = []
    for indicator in _indicators(chosen):
        units: dict[str, int] = defaultdict(int)
        flagged = 0
        for world in chosen:
            hits = [hit for hit in world.judged.hits if hit.indicator_id == indicator]
            flagged += bool(hits)
            for hit in hits:
                units[hit.decoy or ""] += 1
        found.append(
            Quiet(indicator, kind, Share(flagged, len(chosen)), _nominal(chosen, indicator), dict(units))
        )
    if chosen:
        any_flag = Share(sum(bool(world.judged.hits) for world in chosen), len(chosen))
        allowed = 1 - math.prod(1 - one.nominal for one in found)
        found.append(Quiet(ALL_TOGETHER, kind, any_flag, allowed, {}))
    return found


def _nominal(worlds: Sequence[World], indicator: str) -> float:
    """Return the probability of a flag that the level allows: once for each term of looks."""
    said = [world.record["indicators"][indicator] for world in worlds]
    terms = max((math.ceil(one["looks"] / one["in_term"]) for one in said), default=0)
    alpha = max((one["alpha"] for one in said), default=0.0)
    return float(1 - (1 - alpha) ** terms)


def tests_in_term(worlds: Sequence[World], indicator: str) -> float:
    """Return among how many tests an indicator's level is shared in a term, the median over worlds."""
    said = [world.record["indicators"].get(indicator) for world in worlds]
    counts = [one["tests"] / max(one["looks"], 1) * one["in_term"] for one in said if one and one["looks"]]
    return float(np.median(counts)) if counts else float("nan")


def _indicators(worlds: Sequence[World]) -> list[str]:
    """Return the indicators that every one of the worlds has."""
    sets = [
        {name for name, said in world.record["indicators"].items() if not said["lack"]} for world in worlds
    ]
    return sorted(set.intersection(*sets)) if sets else []


@dataclass(frozen=True)
class Power:
    """Pairs found at a diversion, by files of the broker.

    Attributes:
        files_from, files_to: Files of the broker that were drawn; no end for the last.
        files_median, share_median: Of the pairs; the share is what an even draw gives to the inspector.
    """

    diversion: float
    files_from: int
    files_to: int | None
    found: Share
    files_median: float
    share_median: float


def power(worlds: Sequence[World]) -> list[Power]:
    """Return how many pairs A1 found in the power worlds, by diversion and volume."""
    finds = [
        find
        for world in worlds
        if world.kind == "power"
        for find in world.judged.finds
        if find.indicator_id == "A1" and find.support is not None
    ]
    rows = []
    for diversion in sorted({find.diversion for find in finds if find.diversion is not None}):
        for low, high in zip(VOLUME_EDGES, (*VOLUME_EDGES[1:], None), strict=True):
            some = [
                find
                for find in finds
                if find.diversion == diversion
                and (find.support or 0) >= low
                and (high is None or (find.support or 0) < high)
            ]
            if some:
                hits = sum(find.days is not None for find in some)
                files = np.array([find.support or 0.0 for find in some])
                expected = np.array([find.expected or 0.0 for find in some])
                medians = float(np.median(files)), float(np.median(expected / files))
                rows.append(Power(diversion, low, high, Share(hits, len(some)), *medians))
    return rows
