"""`tidewaiter privacy`: taking a subject out everywhere, and changing the pseudonym key."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from flows.commands.console import JsonFlag, print_json, print_problems, print_rows
from tidewaiter.errors import ExitCode, Problem, TidewaiterError, UsageProblem

app = typer.Typer(help="Erasure of a subject, and the pseudonym key.", no_args_is_help=True)


@app.command("erase")
def erase_command(
    member: Annotated[str, typer.Option("--member", "-m", help="Member code.", show_default=False)],
    party: Annotated[
        str, typer.Option(help="Kind of party: importer, declarant, seller, ...", show_default=False)
    ],
    id_env: Annotated[
        str | None,
        typer.Option(help="Environment variable that holds the identifier.", show_default=False),
    ] = None,
    id_stdin: Annotated[
        bool, typer.Option("--id-stdin", help="Read the identifier from standard input.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove one subject's rows everywhere and keep a receipt; it never lands again."""
    from flows.erasure import erase_subject
    from flows.manifest import write_manifest
    from flows.steps import prepared

    identifier = _identifier(id_env, from_stdin=id_stdin)
    with prepared("privacy erase") as settings:
        receipt = erase_subject(settings, member.upper(), party, identifier)
        write_manifest(settings)
    if as_json:
        print_json(receipt.as_json)
        return
    print_rows(receipt.rows, as_json=False, title=f"Erased: {receipt.party} {receipt.pseudonym}")
    typer.echo(f"Receipt: {receipt.path}")
    typer.echo("Next: tidewaiter run builds the marts anew, without this subject's history.")


@app.command("rotate-key")
def rotate_key_command(
    keep_old: Annotated[
        int,
        typer.Option("--keep-old", min=0, help="Days to keep the old key aside; 0 removes it at the end."),
    ] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Make a new pseudonym key and land every extract again under it, from the bytes kept."""
    from flows.manifest import write_manifest
    from flows.rotation import rotate_key
    from flows.steps import prepared

    with prepared("privacy rotate-key") as settings:
        rotation = rotate_key(settings, keep_old_days=keep_old)
        write_manifest(settings)
    if as_json:
        print_json(rotation.as_json)
    else:
        print_rows([rotation.row], as_json=False, title="Pseudonym key")
        typer.echo("Next: tidewaiter run, so that marts and the published set have the new pseudonyms.")
    if rotation.problems:
        print_problems(TidewaiterError(rotation.problems))
        raise typer.Exit(int(ExitCode.FAILED))


def _identifier(variable: str | None, *, from_stdin: bool) -> str:
    """Return the identifier; it is never an argument, because those are seen by others and kept."""
    if (variable is None) is not from_stdin:
        raise UsageProblem(
            Problem("say where the identifier comes from", expected="exactly one of --id-env, --id-stdin")
        )
    text = sys.stdin.readline() if variable is None else os.environ.get(variable, "")
    if not text.strip():
        where = "standard input" if variable is None else variable
        raise UsageProblem(Problem("there is no identifier", where=where))
    return text.strip()
