"""`tidewaiter quarantine`: the rows that were set aside, why, and landing them again."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from flows.commands.console import JsonFlag, print_problems, print_rows
from tidewaiter.errors import ExitCode, TidewaiterError

app = typer.Typer(help="Rows that were set aside.", no_args_is_help=True)

MemberOption = Annotated[
    str | None, typer.Option("--member", "-m", help="Member code; all if left out.", show_default=False)
]
ExtractArgument = Annotated[str, typer.Argument(help="Extract id, or the start of one.", show_default=False)]


@app.command("list")
def list_command(
    member: MemberOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also extracts without a quarantined row.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the extracts with quarantined rows and how many rows have each reason."""
    from flows.quarantine import find_receipts, list_rows
    from tidewaiter.settings import load_settings

    receipts = find_receipts(load_settings(), member and member.upper())
    shown = [receipt for receipt in receipts if everything or receipt.rows_quarantined]
    print_rows(list_rows(shown), as_json=as_json, title="" if as_json else "Quarantine")


@app.command("show")
def show_command(
    extract: ExtractArgument,
    member: MemberOption = None,
    reason: Annotated[
        str | None, typer.Option(help="Only rows with this text in a reason.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Show quarantined rows: line, all reasons, and the record as it came."""
    from flows.quarantine import find_receipts, show_rows
    from tidewaiter.settings import load_settings

    settings = load_settings()
    receipts = find_receipts(settings, member and member.upper(), extract)
    rows = show_rows(settings, receipts, reason=reason, limit=limit)
    if as_json:
        rows = [row | {"record": json.loads(row["record"])} for row in rows]
    print_rows(rows, as_json=as_json)


@app.command("replay")
def replay_command(
    extract: Annotated[
        str | None,
        typer.Argument(
            help="Extract id, or the start of one; all quarantined if left out.", show_default=False
        ),
    ] = None,
    member: MemberOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Land extracts again under the present contract, from the bytes kept; exit code 3 where refused."""
    from flows.manifest import write_manifest
    from flows.quarantine import find_receipts, replay
    from flows.steps import prepared

    with prepared("quarantine replay") as settings:
        receipts = find_receipts(settings, member and member.upper(), extract)
        done = replay(settings, [found for found in receipts if extract or found.rows_quarantined])
        write_manifest(settings)
    print_rows([one.row for one in done], as_json=as_json, title="" if as_json else "Replayed")
    for one in done:
        if one.problems:
            print_problems(TidewaiterError(one.problems))
    if any(one.after is None for one in done):
        raise typer.Exit(int(ExitCode.FAILED))
    if any(one.after is not None and one.after.refused for one in done):
        raise typer.Exit(int(ExitCode.GATE_REFUSED))
