"""Writes the reference page on what integrity signals cost from kept results of `integrity.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HEAD = Path(__file__).with_name("integrity.md")
MOST_SECONDS = 180
MOST_GIB = 4
AIM_ITEMS = 10_000_000
_COLUMNS = ("indicators_newest", "indicators", "indicators_again")


def integrity_page(machine: dict[str, Any], sizes: list[dict[str, Any]]) -> str:
    """Return the page in Markdown.

    Args:
        machine: Facts of the machine, as `run_steps.machine_facts` gives them.
        sizes: What `integrity.measure_size` found, one per number of items.
    """
    head = HEAD.read_text(encoding="utf-8").format(
        sizes=" ".join(str(found["items"]) for found in sizes),
        officers=sizes[0]["officers"],
        brokers=sizes[0]["brokers"],
        most_seconds=MOST_SECONDS,
        most_gib=MOST_GIB,
        cores=machine["cores"],
        threads=machine["threads"],
        memory_limit=machine["memory_limit"],
        duckdb=machine["versions"]["duckdb"],
        dbt=machine["versions"]["dbt-core"],
        load=machine["load_before"],
    )
    return "\n".join([head, *_steps(sizes), "", *_told(sizes), "", *_indicators(sizes), ""])


def _steps(sizes: list[dict[str, Any]]) -> list[str]:
    rows = ["| items | step | wall seconds | CPU seconds | peak GiB |", "| ---: | --- | ---: | ---: | ---: |"]
    rows += [
        f"| {found['items']:,} | {step['name']} | {step['wall_seconds']:.1f} |"
        f" {step['processor_seconds']:.1f} | {step['peak_rss_mib'] / 1024:.2f} |"
        for found in sizes
        for step in found["steps"]
    ]
    return rows


def _told(sizes: list[dict[str, Any]]) -> list[str]:
    """Say what counts and the newest look of each indicator take, and how far the aims are reached."""
    said = []
    for found in sizes:
        _, counts, newest, *_ = found["steps"]
        wall, processor = (counts[name] + newest[name] for name in ("wall_seconds", "processor_seconds"))
        peak = max(counts["peak_rss_mib"], newest["peak_rss_mib"]) / 1024
        aim = (
            f"{_reached(wall, MOST_SECONDS)} in time, {_reached(peak, MOST_GIB)} in memory"
            if found["items"] >= AIM_ITEMS
            else "says nothing yet of the aims, which are for more"
        )
        said.append(
            f"- {found['items']:,} items: counts and newest looks take {wall:.0f} s, {processor:.0f}"
            f" CPU seconds and {peak:.1f} GiB: {aim}."
        )
    return said


def _reached(found: float, most: float) -> str:
    return "reached" if found <= most else "not reached"


def _indicators(sizes: list[dict[str, Any]]) -> list[str]:
    rows = [
        "## By indicator",
        "",
        "CPU seconds of the newest look, of all earlier looks and of those that rest on the changed month.",
        "",
        "| indicator | " + " | ".join(f"{found['items']:,} items" for found in sizes) + " |",
        "| --- | " + " | ".join("---" for _ in sizes) + " |",
    ]
    for name in sizes[-1]["indicators"]:
        cells = [", ".join(f"{found[column][name][0]:.1f}" for column in _COLUMNS) for found in sizes]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows
