"""Writes the reference page on what the feature build costs from kept results of `features.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HEAD = Path(__file__).with_name("features.md")
MOST_TIMES_PLAIN = 10
MOST_OF_FULL = 0.05
MOST_SECONDS = 240
MOST_GIB = 6
_MODELS_SHOWN = 12
_ITEMS_OF_AIM = 10_000_000


def feature_page(machine: dict[str, Any], sizes: list[dict[str, Any]], picture: str) -> str:
    """Return the page in Markdown.

    Args:
        machine: Facts of the machine, as `run_steps.machine_facts` gives them.
        sizes: What `features.measure_size` found, one per number of items.
        picture: The plot's file, relative to the page.
    """
    head = HEAD.read_text(encoding="utf-8").format(
        sizes=" ".join(str(found["items"]) for found in sizes),
        features=sizes[0]["columns"],
        most_times_plain=MOST_TIMES_PLAIN,
        most_of_full=MOST_OF_FULL,
        most_seconds=MOST_SECONDS,
        most_gib=MOST_GIB,
        cores=machine["cores"],
        threads=machine["threads"],
        memory_limit=machine["memory_limit"],
        duckdb=machine["versions"]["duckdb"],
        dbt=machine["versions"]["dbt-core"],
        measured="; ".join(
            f"{found['items']:,} items on {found['measured_at'][:10]} at {found['git_commit'][:7]},"
            f" load before {found['load_before']:.1f}"
            f"{', scheduled before the others' if found['is_real_time'] else ''}"
            for found in sizes
        ),
    )
    return "\n".join(
        [
            head,
            *_steps(sizes),
            "",
            *_verdicts(sizes, machine["cores"]),
            "",
            "![Processor time and peak memory against the number of items](" + picture + ")",
            "",
            "## Where the time goes",
            "",
            "Wall seconds by model in the full build, and of the day on top in brackets.",
            "",
            *_models(sizes),
            "",
        ]
    )


def _steps(sizes: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| items | step | wall seconds | CPU seconds | peak GiB | ratio |",
        "| ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for found in sizes:
        plain, written, full, day = found["steps"]
        seconds = [step["processor_seconds"] for step in found["steps"]]
        ratios = {
            plain["name"]: "",
            written["name"]: f"{seconds[1] / seconds[0]:.1f} times plain",
            full["name"]: f"{found['full_to_plain']:.1f} times plain, {seconds[2] / seconds[1]:.1f} times the"
            " features alone",
            day["name"]: f"{found['day_to_full']:.1%} of the full build",
        }
        rows += [
            f"| {found['items']:,} | {step['name']} | {step['wall_seconds']:.1f} |"
            f" {step['processor_seconds']:.1f} | {step['peak_rss_mib'] / 1024:.2f} | {ratios[step['name']]} |"
            for step in found["steps"]
        ]
    return rows


def _verdicts(sizes: list[dict[str, Any]], cores: int) -> list[str]:
    largest = next((size for size in sizes if size["items"] == _ITEMS_OF_AIM), sizes[-1])
    plain, written, full, _ = largest["steps"]
    alone = written["processor_seconds"] / plain["processor_seconds"]
    times = largest["full_to_plain"]
    rows = [
        f"- Times plain: {_verdict(times, MOST_TIMES_PLAIN)}, {times:.1f} at {largest['items']:,} items. To"
        f" read the finished columns and write them back costs DuckDB {alone:.1f} times plain by itself; the"
        f" build, with all that is summed, compared and sorted in it, {times / alone:.1f} times that.",
        f"- A day on top: {_verdict(largest['day_to_full'], MOST_OF_FULL)}, {largest['day_to_full']:.1%} at"
        f" {largest['items']:,} items.",
    ]
    if largest["items"] != _ITEMS_OF_AIM:
        return [*rows, "- Ten million items: not measured."]
    return [
        *rows,
        f"- Ten million items in {MOST_SECONDS} seconds: {_verdict(full['wall_seconds'], MOST_SECONDS)}; with"
        f" every core busy throughout they would take {full['processor_seconds'] / cores:.0f}.",
        f"- In {MOST_GIB} GiB: {_verdict(full['peak_rss_mib'] / 1024, MOST_GIB)}.",
    ]


def _verdict(found: float, most: float) -> str:
    return "met" if found <= most else "missed"


def _models(sizes: list[dict[str, Any]]) -> list[str]:
    largest = sizes[-1]["models"]
    names = sorted(largest, key=lambda name: -largest[name])[:_MODELS_SHOWN]
    rows = [
        "| model | " + " | ".join(f"{found['items']:,} items" for found in sizes) + " |",
        "| --- | " + " | ".join("---:" for _ in sizes) + " |",
    ]
    for name in names:
        cells = [
            f"{found['models'].get(name, 0):.1f} ({found['models_of_the_day'].get(name, 0):.1f})"
            for found in sizes
        ]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return rows
