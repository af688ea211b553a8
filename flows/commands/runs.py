"""`demo`, `run`, `status`: whole runs as Prefect flows, and where things stand."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.console import JsonFlag, MembersOption, print_json, print_rows, standard_output
from flows.commands.steps import FromOption, ToOption
from tidewaiter.errors import Problem, TidewaiterError


def demo(as_json: JsonFlag = False) -> None:
    """Synthetic members (and Korea, where TIDEWAITER_KOREA_DIR names the set) to scored tables."""
    _run_flow("demo", {}, as_json=as_json)


def run(
    members: MembersOption = None,
    from_date: FromOption = None,
    to_date: ToOption = None,
    train: Annotated[
        bool,
        typer.Option(
            "--train/--no-train",
            help="Train where data, features or configuration changed, or only where no champion is.",
        ),
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """All of it: land, validate, transform, train, score, publish."""
    from tidewaiter.contracts import load_contract
    from tidewaiter.settings import load_settings

    settings = load_settings()
    for code in members or []:
        load_contract(settings.members_dir, code)
    parameters = {
        "members": members or None,
        "from_date": from_date and from_date.date(),
        "to_date": to_date and to_date.date(),
        "training": "always" if train else "if_missing",
    }
    _run_flow("run", parameters, as_json=as_json)


def status(as_json: JsonFlag = False) -> None:
    """Where things stand: the last run, the published set, who holds the home."""
    from flows.status import read_status
    from tidewaiter.settings import load_settings

    found = read_status(load_settings())
    if as_json:
        print_json(found)
        return
    for title, rows in found.items():
        print_rows(rows, as_json=False, title=title.replace("_", " ").capitalize())
        typer.echo()


COMMANDS = (demo, run, status)


def _run_flow(name: str, parameters: dict[str, Any], *, as_json: bool) -> None:
    from flows.environment import prepare_environment
    from flows.progress import reporting_to, step, terminal_reporter
    from flows.record import forget_outcome, read_outcome
    from tidewaiter.settings import load_settings

    settings = load_settings()
    prepare_environment(settings)
    # What goes wrong is told once, at the end and in words; Prefect keeps its own log of the run.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    forget_outcome(settings)
    with terminal_reporter() as reporter, reporting_to(reporter):
        with step("start Prefect"):
            from flows import pipeline
            from flows.server import ensure_api

            ensure_api(settings)
        state = getattr(pipeline, name)(**parameters, return_state=True)
    outcome = read_outcome(settings)
    if outcome is None:
        raise TidewaiterError(
            Problem(
                f"the flow ended as {state.name} before it could say how: {state.message}",
                next_step=f"tidewaiter --verbose {name}",
            )
        )
    _print_outcome(settings, outcome, as_json=as_json)
    raise typer.Exit(int(outcome.exit_code))


def _print_outcome(settings: Any, outcome: Any, *, as_json: bool) -> None:
    from flows.summary import member_rows, next_steps

    rows = member_rows(outcome)
    if as_json:
        print_json(
            {
                "sentence": outcome.sentence,
                "exit_code": int(outcome.exit_code),
                "publication_id": outcome.publication_id,
                "published_rows": outcome.published_rows,
                "members": rows,
                "problems": {code: member.problems for code, member in outcome.members.items()},
                "notes": [
                    *outcome.notes,
                    *(
                        f"{code}: {note}"
                        for code, one in sorted(outcome.members.items())
                        for note in one.notes
                    ),
                ],
            }
        )
        return
    console = standard_output()
    console.print()
    console.print(_outcome_table(rows))
    console.print(
        "[dim]rows are declaration items; precision and revenue at 5 % inspected, on the labelled items of"
        " the scored window;"
        " revenue as a share of all that could be recovered.[/dim]"
    )
    _print_notes(console, outcome)
    state = "unchanged" if outcome.was_current else "new"
    if outcome.publication_id:
        console.print(f"\n[bold]{outcome.sentence}[/bold] in {outcome.seconds:.0f} s.", end=" ")
        console.print(f"Published set {outcome.publication_id} ({state}).")
    else:
        console.print(f"\n[bold]{outcome.sentence}[/bold]. Nothing is published yet.")
    console.print("\n[bold]Where to look next[/bold]")
    for what, where, command in next_steps(settings):
        console.print(f"  {what}\n    {where}\n    [dim]{command}[/dim]", soft_wrap=True)


def _print_notes(console: Console, outcome: Any) -> None:
    for note in outcome.notes:
        console.print(f"  note: {note}", markup=False)
    for code, member in sorted(outcome.members.items()):
        for note in member.notes:
            console.print(f"  {code}: {note}", markup=False)
        for problem in member.problems:
            console.print(f"[red]✗[/red] {code}, {member.stopped_at}: ", end="")
            console.print(str(problem), markup=False, soft_wrap=True)


def _outcome_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(header_style="bold", show_lines=False, pad_edge=False)
    for name, justify in (
        ("member", "left"),
        ("rows in", "right"),
        ("landed", "right"),
        ("quaran-\ntined", "right"),
        ("scored", "right"),
        ("model", "left"),
        ("precision@5 %\nmodel / random / profile", "right"),
        ("revenue@5 %\nmodel / random / profile / duty", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        member = row["member"] if row["state"] == "published" else f"{row['member']} ({row['state']})"
        table.add_row(
            member,
            *(f"{row[name]:,}" for name in ("rows_in", "rows_landed", "rows_quarantined", "items_scored")),
            f"{row['model']} v{row['model_version']}" if row["model"] else "-",
            _shares(row, "precision_at_05", ("", "_random", "_risk_profile")),
            _shares(row, "revenue_at_05", ("", "_random", "_risk_profile", "_declared_duty")),
        )
    return table


def _shares(row: dict[str, Any], name: str, suffixes: tuple[str, ...]) -> str:
    values = [row[name + suffix] for suffix in suffixes]
    return " / ".join("-" if value is None else f"{value:.3f}" for value in values)
