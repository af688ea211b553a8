"""`tidewaiter synth`: synthetic members with planted truth, and pictures of their world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.console import JsonFlag, print_rows

app = typer.Typer(help="Synthetic members with planted truth.", no_args_is_help=True)

MembersOption = Annotated[
    str, typer.Option("--members", help="Codes with commas, out of XA to XF; `all` for the six.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Root of all randomness: same seed, same bytes.")]
ScenariosOption = Annotated[
    str, typer.Option(help="What is planted: `all`, `none`, or names with commas such as S1,S6.")
]
DecoysOption = Annotated[
    str, typer.Option(help="What is innocent and looks odd: `all`, `none`, or names such as Z1,Z4.")
]
StrengthsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A strength, such as S6.diversion=0.05/0.20 or world.fault_share=0; may be repeated.",
        show_default=False,
    ),
]


@app.command("generate")
def generate_command(
    members: MembersOption = "all",
    items: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Goods lines of each member over the whole period; else the member's own small number.",
            show_default=False,
        ),
    ] = None,
    months: Annotated[int, typer.Option(min=1, help="Length of the period from January 2024.")] = 24,
    seed: SeedOption = 7,
    scenarios: ScenariosOption = "all",
    decoys: DecoysOption = "all",
    strengths: StrengthsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for one folder per member; else where the contracts of XA to XF look.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write extracts in each member's dialect, the truth behind them, and the ledger of their faults."""
    from tidewaiter.settings import load_settings
    from tidewaiter.synthetic import make_requests, write_members
    from tidewaiter.synthetic.parameters import plan

    chosen = plan(scenarios, decoys, strengths or ())
    requests = make_requests(_codes(members), items, months, seed, chosen)
    target = (out or load_settings().paths.synthetic).resolve()
    with _shown_progress({request.profile.member_iso2: request.items for request in requests}) as progress:
        written = write_members(target, requests, progress)
    rows = [
        {
            "member": member.member_iso2,
            "items": member.items,
            "faults": member.faults,
            "files": len(member.files),
            "folder": str(member.folder),
            "state": "written" if member.is_rewritten else "stands already",
        }
        for member in written
    ]
    print_rows(rows, as_json=as_json, title="" if as_json else "Synthetic members")


@app.command("plots")
def plots_command(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("docs/explanation/pictures"),
    seed: SeedOption = 7,
) -> None:
    """Draw the pictures of docs/explanation/synthetic-world.md from a freshly drawn world of XA."""
    from rich.console import Console

    from tidewaiter.synthetic.plots import draw_plots

    console = Console(stderr=True)
    with console.status("drawing the world"):
        paths = draw_plots(out, seed)
    for path in paths:
        typer.echo(path)


def _codes(members: str) -> list[str]:
    from tidewaiter.synthetic.profiles import PROFILES

    return list(PROFILES) if members.strip().lower() == "all" else members.split(",")


@contextmanager
def _shown_progress(totals: dict[str, int]) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows how far each member is; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} items"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {member: bars.add_task(member, total=total) for member, total in totals.items()}

        def tell(member: str, done: int, total: int) -> None:
            bars.update(tasks[member], completed=done, total=total)

        yield tell
