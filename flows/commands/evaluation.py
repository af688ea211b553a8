"""`tidewaiter integrity evaluate`: the indicators tried on worlds with planted truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.console import JsonFlag, print_rows

if TYPE_CHECKING:
    from ml.integrity.evaluate.worlds import WorldSpec
    from tidewaiter.settings import Settings


def evaluate_command(
    seeds: Annotated[
        str, typer.Option(help="How many worlds of each kind, such as 20, or which seeds, such as 101-110.")
    ] = "20",
    kinds: Annotated[
        str, typer.Option(help="Kinds of worlds with commas, out of standard, null, decoys, power.")
    ] = "standard,null,decoys,power",
    items: Annotated[int, typer.Option(min=1, help="Goods lines of a world over the period.")] = 600_000,
    months: Annotated[int, typer.Option(min=1, help="Length of the period.")] = 24,
    jobs: Annotated[int, typer.Option(min=1, help="Worlds at a time, each in a process of its own.")] = 1,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the records; else `evaluation` in the home. A world on record is not made again.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the page; else `docs/reference`, for worlds of another size that of the records.",
            show_default=False,
        ),
    ] = None,
    write_only: Annotated[
        bool, typer.Option("--write-only", help="Make no world; write the page of those on record.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Try the indicators on worlds with planted truth; write what they found, and what they should not have.

    A world that is on record from the same code is taken over: an interrupted run goes on where it stopped.
    """
    from flows import evaluation
    from tidewaiter.settings import load_settings

    settings = load_settings()
    folder = (results or settings.home / "evaluation").resolve()
    specs = evaluation.chosen_worlds(seeds, kinds, items, months)
    if not write_only:
        _collect(settings, folder, specs, jobs)
    written, reached = evaluation.write(folder, page, specs[0])
    rows = [
        {"target": one.what, "goal": one.goal, "reached": one.reached, "state": one.state} for one in reached
    ]
    print_rows(rows, as_json=as_json, title="" if as_json else f"Detection, written to {written}")


def _collect(settings: Settings, folder: Path, specs: Sequence[WorldSpec], jobs: int) -> None:
    """Make what is missing, with a bar in a terminal and a line for each world elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from flows import evaluation

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(32), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("worlds", total=len(specs))

        def told(done: int, total: int, name: str, cpu_s: float) -> None:
            bars.update(task, completed=done)
            if not console.is_terminal:
                console.print(f"{done} of {total} worlds: {name}, {cpu_s:.0f} CPU seconds")

        evaluation.collect(settings, folder, specs, jobs, told)
