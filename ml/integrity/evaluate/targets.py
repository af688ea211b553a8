"""What the indicators are to reach, beside what they reached, and what anybody could have reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ml.integrity.evaluate.statistics import Share, power_of_excess, power_of_too_few
from ml.integrity.evaluate.summary import (
    SOON_DAYS,
    Discoveries,
    Power,
    Quiet,
    World,
    discoveries,
    quiet,
    tests_in_term,
)

State = Literal["reached", "open", "missed", "not measured"]

_LEAST_FILES = 300
_PAIR_RECALL = {0.20: 0.95, 0.10: 0.85}
_FALSE_PAIRS = 0.5
_SOON_SCENARIOS = {"A4": "S8", "A5": "S7", "A6": "S11", "B1": "S9"}
_SOON_SHARE = 0.90
_LEVEL = 0.05


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        what: In words.
        goal: The figure to reach.
        reached: What was reached, with its interval.
        state: `reached`; `open` where it was not, but the interval holds the goal; `missed`.
    """

    what: str
    goal: str
    reached: str
    state: State


def targets(worlds: Sequence[World]) -> list[Target]:
    """Return every target with what was reached."""
    return [*_pairs(worlds), *_soon(worlds), *_false_share(worlds), *_quiet(worlds)]


def _pairs(worlds: Sequence[World]) -> Iterator[Target]:
    standard = [world for world in worlds if world.kind == "standard"]
    for kinds, name in ((("standard",), "standard worlds"), (("power",), "power worlds")):
        for diversion, goal in _PAIR_RECALL.items():
            finds = [
                find
                for world in worlds
                if world.kind in kinds
                for find in world.judged.finds
                if find.indicator_id == "A1"
                and find.diversion == diversion
                and (find.support or 0) >= _LEAST_FILES
            ]
            share = Share(sum(find.days is not None for find in finds), len(finds))
            what = (
                f"A1, pairs that divert {diversion:.0%} of the files of a broker with {_LEAST_FILES} or more"
            )
            yield Target(f"{what}; {name}", f"≥ {goal:.0%}", share.as_text(), at_least(share, goal))
    for found in discoveries(standard):
        if found.indicator_id == "A1":
            low, _ = found.false.interval
            state: State = "reached" if found.false.value <= _FALSE_PAIRS else "open"
            state = "missed" if low > _FALSE_PAIRS else state
            yield Target("A1, false pairs per run", f"≤ {_FALSE_PAIRS}", found.false.as_text(), state)


def _soon(worlds: Sequence[World]) -> Iterator[Target]:
    """Yield worlds in which the scenario was found in time; whoever of it was flagged first counts."""
    standard = [world for world in worlds if world.kind == "standard"]
    for indicator, scenario in _SOON_SCENARIOS.items():
        hits = total = 0
        for world in standard:
            finds = [
                find
                for find in world.judged.finds
                if find.indicator_id == indicator and find.scenario == scenario
            ]
            total += bool(finds)
            hits += any(find.days is not None and find.days <= SOON_DAYS for find in finds)
        share = Share(hits, total)
        what = f"{indicator} finds {scenario} within {SOON_DAYS} days of its start"
        yield Target(what, f"≥ {_SOON_SHARE:.0%} of worlds", share.as_text(), at_least(share, _SOON_SHARE))


def at_least(share: Share, goal: float) -> State:
    """Return whether a share reached its goal."""
    if not share.trials:
        return "not measured"
    if share.value >= goal:
        return "reached"
    return "open" if share.interval[1] >= goal else "missed"


def at_most(found: Quiet) -> State:
    """Return whether flags are as rare as the level says."""
    if not found.flagged.trials:
        return "not measured"
    if found.flagged.value <= found.nominal:
        return "reached"
    return "open" if found.flagged.interval[0] <= found.nominal else "missed"


def _false_share(worlds: Sequence[World]) -> Iterator[Target]:
    found = discoveries(worlds)
    short = [one for one in found if not is_rarely_false(one)]
    yield _of_all(
        "Share of false ones among the flagged, each indicator",
        f"≤ {_LEVEL} + 2 standard errors",
        len(found),
        [f"{one.indicator_id} {one.false_share.as_text()}" for one in short],
        "missed",
    )


def is_rarely_false(found: Discoveries) -> bool:
    """Return whether the mean share of false ones is at most the level and two standard errors."""
    mean = found.false_share
    error = mean.standard_error if mean.worlds > 1 else 0.0
    return mean.value <= _LEVEL + 2 * error


def _quiet(worlds: Sequence[World]) -> Iterator[Target]:
    for kind, what in (("null", "nothing planted"), ("decoys", "decoys alone")):
        found = quiet(worlds, kind)
        short = [(one, at_most(one)) for one in found if at_most(one) != "reached"]
        yield _of_all(
            f"Worlds with any flag, each indicator and all together; {what}",
            "≤ nominal level",
            len(found),
            [f"{one.indicator_id} {one.flagged.as_text()} for {one.nominal:.0%}" for one, _ in short],
            "missed" if any(state == "missed" for _, state in short) else "open",
        )


def _of_all(what: str, goal: str, total: int, short: Sequence[str], otherwise: State) -> Target:
    """Return a target of every indicator: how many reached it, and which did not."""
    if not total:
        return Target(what, goal, "no such world", "not measured")
    reached = f"{total - len(short)} of {total}" + (f"; not {', '.join(short)}" if short else "")
    return Target(what, goal, reached, otherwise if short else "reached")


@dataclass(frozen=True)
class Limit:
    """What a test of the evidence alone could reach at best.

    Attributes:
        scenario: The scenario.
        days: Of evidence.
        expected_median, observed_median: Marks that honest work would have given, and that there were.
        best: Mean power of one test at the level, of the right unit alone, at the right moment.
        corrected: The same where as many units are tested as there are, and as often.
    """

    scenario: str
    expected_median: float
    observed_median: float
    best: float
    corrected: float
    parts: int


# Whose tests share the level, where nobody knows whom to look at and when.
_TESTED_BY = {"S9": "B1", "S11": "A6"}


def limits(worlds: Sequence[World]) -> list[Limit]:
    """Return what the first days of S9 and S11 could show to any test."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for world in worlds:
        if world.kind == "standard":
            for one in world.record.get("evidence", []):
                rows.setdefault(one["scenario"], []).append(one)
    return [
        _limit(scenario, some, tests_in_term(worlds, _TESTED_BY[scenario]))
        for scenario, some in sorted(rows.items())
    ]


def _limit(scenario: str, rows: Sequence[dict[str, Any]], tests: float) -> Limit:
    kept = sum(one["observed"] for one in rows) / max(sum(one["expected"] for one in rows), 1e-9)
    level = {"best": _LEVEL, "corrected": _LEVEL / max(tests, 1.0)}
    reached = {
        name: float(np.mean([power_of_too_few(one["expected"], min(kept, 1.0), alpha) for one in rows]))
        for name, alpha in level.items()
    }
    return Limit(
        scenario,
        float(np.median([one["expected"] for one in rows])),
        float(np.median([one["observed"] for one in rows])),
        reached["best"],
        reached["corrected"],
        len(rows),
    )


_ACTIVE = 0.75  # of the period; S6 begins after a quarter


def best_power(row: Power, tests: float, files: float | None = None) -> float:
    """Return what an exact test of one pair could reach at the level that so many tests leave to each.

    Args:
        row: Diversion, and the share that an even draw gives to the inspector.
        tests: Among which the level is shared.
        files: Of the broker; the row's median where left out.
    """
    return power_of_excess(
        files or row.files_median, row.share_median, row.diversion * _ACTIVE, _LEVEL / max(tests, 1.0)
    )


def scenarios_found(worlds: Sequence[World]) -> list[tuple[str, Share, Share]]:
    """Return worlds in which any indicator found a scenario, ever and soon."""
    found: dict[str, list[tuple[bool, bool]]] = {}
    for world in worlds:
        if world.kind != "standard":
            continue
        by_scenario: dict[str, tuple[bool, bool]] = {}
        for find in world.judged.finds:
            ever, soon = by_scenario.get(find.scenario, (False, False))
            is_found = find.days is not None
            is_soon = find.days is not None and find.days <= SOON_DAYS
            by_scenario[find.scenario] = (ever or is_found, soon or is_soon)
        for scenario, pair in by_scenario.items():
            found.setdefault(scenario, []).append(pair)
    return [
        (name, Share(sum(e for e, _ in some), len(some)), Share(sum(s for _, s in some), len(some)))
        for name, some in sorted(found.items(), key=lambda one: int(one[0][1:]))
    ]
