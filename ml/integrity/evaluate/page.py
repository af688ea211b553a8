"""The page on detection, and its figures as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from ml.integrity.catalogue import load_catalogue
from ml.integrity.evaluate.figure import draw_power
from ml.integrity.evaluate.leniency import DAYS, MISSED, Leniency, draw_leniency, leniency
from ml.integrity.evaluate.record import code_version
from ml.integrity.evaluate.rules import load_rules
from ml.integrity.evaluate.summary import (
    ALL_TOGETHER,
    SOON_DAYS,
    Quiet,
    World,
    discoveries,
    judge_all,
    power,
    quiet,
    recalls,
    tests_in_term,
)
from ml.integrity.evaluate.targets import Target, best_power, limits, scenarios_found, targets
from tidewaiter.files import write_json_atomically, write_text_atomically

PAGE, PICTURE, LENIENCY_PICTURE = "detection.md", "detection-power.png", "detection-leniency.png"
_ROOM = Path(__file__).parent
_STATES = {
    "reached": "reached",
    "open": "not reached; the interval holds the goal",
    "missed": "**not reached**",
    "not measured": "not measured",
}


def write_page(records: Sequence[Mapping[str, Any]], version: str, folder: Path, figures: Path) -> Path:
    """Write the page with its picture into a folder and the figures as JSON; return the page.

    Args:
        records: Worlds of one version of the code.
        version: That version.
        folder: Where the page goes; its picture goes to `pictures` in it.
        figures: File of the figures.
    """
    worlds = judge_all(records, load_rules())
    curve = power(worlds)
    if curve:
        draw_power(curve, _tests(worlds), folder / "pictures" / PICTURE)
    lenient = leniency(worlds)
    if lenient is not None:
        draw_leniency(lenient, folder / "pictures" / LENIENCY_PICTURE)
    write_json_atomically(figures, _figures(worlds, version))
    environment = Environment(
        loader=FileSystemLoader(_ROOM),
        undefined=StrictUndefined,
        autoescape=select_autoescape(),
        trim_blocks=True,
    )
    text = environment.get_template("page.md.j2").render(_context(worlds, version))
    write_text_atomically(folder / PAGE, text.rstrip() + "\n")
    return folder / PAGE


def _context(worlds: Sequence[World], version: str) -> dict[str, Any]:
    counts = Counter(world.kind for world in worlds)
    said = [world.record["world"] for world in worlds]
    seeds = [one["seed"] for one in said]
    reached = targets(worlds)
    lenient = leniency(worlds)
    notes = yaml.safe_load((_ROOM / "notes.yaml").read_text(encoding="utf-8"))
    return {
        "size": " or ".join(
            f"{items:,} items in {months} months"
            for items, months in sorted({(one["items"], one["months"]) for one in said})
        ),
        "kinds": ", ".join(f"{number} {kind}" for kind, number in counts.items()),
        "seeds": in_words(seeds),
        "cpu": f"{sum(world.record['cost']['cpu_s'] for world in worlds) / len(worlds):.0f}",
        "version": version,
        "present": code_version(),
        "soon": SOON_DAYS,
        "picture": PICTURE,
        "leniency_picture": LENIENCY_PICTURE,
        "lenient": lenient,
        "missed": "" if lenient is None else f"{lenient.missed:.0%}",
        "tests": f"{_tests(worlds):,.0f}",
        "short": [one for one in reached if one.state in ("missed", "open")],
        "in_sum": [
            (what, _in_sum(quiet(worlds, kind)))
            for kind, what in (("null", "nothing is planted"), ("decoys", "decoys alone are"))
        ],
        "notes": {name: " ".join(text.split()) for name, text in notes.items()},
        "tables": {
            "targets": _targets(reached),
            "scenarios": _scenarios(worlds),
            "recalls": _recalls(worlds),
            "discoveries": _discoveries(worlds),
            "quiet": _quiet(worlds),
            "power": _power(worlds),
            "limits": _limits(worlds),
            "leniency": "" if lenient is None else _leniency(lenient),
        },
    }


def in_words(numbers: Iterable[int]) -> str:
    """Return numbers as people list them.

    >>> in_words([3, 1, 2, 9, 18, 19])
    '1 to 3, 9, 18, 19'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:g} %"


def _tests(worlds: Sequence[World]) -> float:
    return tests_in_term([world for world in worlds if world.kind == "power"], "A1")


def _targets(reached: Sequence[Target]) -> str:
    return _table(
        ("target", "goal", "reached", "state"),
        ((one.what, one.goal, one.reached, _STATES[one.state]) for one in reached),
    )


def _scenarios(worlds: Sequence[World]) -> str:
    rows = ((name, ever.as_text(), soon.as_text()) for name, ever, soon in scenarios_found(worlds))
    return _table(("scenario", "found", f"found within {SOON_DAYS} days"), rows)


def _recalls(worlds: Sequence[World]) -> str:
    head = (
        *("indicator", "scenario", "unit", "diverted", "found", "found with support"),
        *(f"within {SOON_DAYS} days", "days", "revenue found"),
    )
    return _table(
        head,
        (
            (
                *(one.indicator_id, one.scenario, one.role, _percent(one.diversion), one.found.as_text()),
                one.found_of_tested.as_text() if one.found_of_tested.trials else "never tested",
                one.soon.as_text(),
                "" if one.days_median != one.days_median else f"{one.days_median:.0f}",
                one.revenue.as_text(),
            )
            for one in recalls(worlds)
        ),
    )


def _discoveries(worlds: Sequence[World]) -> str:
    titles = {entry.id: entry.title for entry in load_catalogue()}
    return _table(
        ("indicator", "", "expected", "collateral", "false", "share of false ones"),
        (
            (
                *(one.indicator_id, titles.get(one.indicator_id, "")),
                *(rate.as_text() for rate in (one.expected, one.collateral, one.false)),
                one.false_share.as_text(),
            )
            for one in discoveries(worlds)
        ),
    )


def _quiet(worlds: Sequence[World]) -> str:
    null = {one.indicator_id: one for one in quiet(worlds, "null")}
    decoys = {one.indicator_id: one for one in quiet(worlds, "decoys")}
    rows = []
    for indicator in dict.fromkeys((*null, *decoys)):
        both = null.get(indicator), decoys.get(indicator)
        known = next(one for one in both if one is not None)
        shown = ["" if one is None else one.flagged.as_text() for one in both]
        name = "all together" if indicator == ALL_TOGETHER else indicator
        rows.append((name, f"{known.nominal:.0%}", *shown, *map(_units, both)))
    return _table(
        (
            *("indicator", "nominal", "nothing planted", "decoys alone"),
            *("units, nothing planted", "units, decoys alone"),
        ),
        rows,
    )


def _in_sum(rows: Sequence[Quiet]) -> str:
    """Return how often any indicator flagged in any world, beside what the levels allow."""
    own = [row for row in rows if row.indicator_id != ALL_TOGETHER]
    hits = sum(row.flagged.hits for row in own)
    allowed = sum(row.nominal * row.flagged.trials for row in own)
    return f"{hits} of {sum(row.flagged.trials for row in own)}, where the levels allow {allowed:.1f}"


def _units(found: Quiet | None) -> str:
    if found is None or not found.units:
        return ""
    if set(found.units) == {""}:
        return str(found.units[""])
    return ", ".join(f"{number} on {name or 'others'}" for name, number in sorted(found.units.items()))


def _power(worlds: Sequence[World]) -> str:
    tests, curve = _tests(worlds), power(worlds)
    if not curve:
        return ""
    return _table(
        ("diverted", "files of the broker", "median", "found", "best"),
        (
            (
                _percent(row.diversion),
                f"{row.files_from:,} to {row.files_to:,}" if row.files_to else f"{row.files_from:,} and more",
                f"{row.files_median:,.0f}",
                row.found.as_text(),
                f"{best_power(row, tests):.0%}",
            )
            for row in curve
        ),
    )


def _limits(worlds: Sequence[World]) -> str:
    known = limits(worlds)
    if not known:
        return ""
    return _table(
        ("scenario", "parts", "expected, median", "there, median", "power, known whom", "power, all tested"),
        (
            (
                *(one.scenario, f"{one.parts}", f"{one.expected_median:.1f}", f"{one.observed_median:.1f}"),
                *(f"{one.best:.0%}", f"{one.corrected:.0%}"),
            )
            for one in known
        ),
    )


def _leniency(known: Leniency) -> str:
    expected = [known.expected_soon * days / SOON_DAYS for days in DAYS]
    head = [f"{days} days: {one:.0f} expected" for days, one in zip(DAYS, expected, strict=True)]
    return _table(
        ("missed", *head),
        (
            (
                f"{missed:.0%}",
                *(
                    f"{known.power(missed, one, is_told=False):.0%}"
                    f" ({known.power(missed, one, is_told=True):.0%})"
                    for one in expected
                ),
            )
            for missed in MISSED
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def _figures(worlds: Sequence[World], version: str) -> dict[str, Any]:
    """Return every figure of the page."""
    return {
        "version": version,
        "worlds": [dict(world.record["world"]) for world in worlds],
        "targets": [asdict(one) for one in targets(worlds)],
        "recall": [_json(one) for one in recalls(worlds)],
        "discoveries": [_json(one) for one in discoveries(worlds)],
        "quiet": [_json(one) for kind in ("null", "decoys") for one in quiet(worlds, kind)],
        "power": [_json(one) for one in power(worlds)],
        "limits": [asdict(one) for one in limits(worlds)],
        "leniency": [asdict(one) for one in (leniency(worlds),) if one is not None],
    }


def _json(row: Any) -> dict[str, Any]:
    named = vars(row)
    plain = {name: value.as_json() if hasattr(value, "as_json") else value for name, value in named.items()}
    return {name: None if value != value else value for name, value in plain.items()}
