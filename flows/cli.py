"""The command `tidewaiter`. Nothing heavy is imported until a command needs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import (
    config,
    integrity,
    integrity_reading,
    members,
    models,
    privacy,
    quarantine,
    runs,
    serving,
    steps,
    synth,
)
from flows.commands.console import errors_for_people, set_up_logging
from tidewaiter import __version__

app = typer.Typer(
    name="tidewaiter",
    help="From a member's trade extract to a scored table: land, validate, transform, train, score, publish.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(members.app, name="members")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(privacy.app, name="privacy")
app.add_typer(models.app, name="models")
app.add_typer(integrity.app, name="integrity")
for name, command in integrity_reading.COMMANDS.items():
    integrity.app.command(name)(command)
app.add_typer(config.app, name="config")
app.add_typer(synth.app, name="synth")
for command in (*runs.COMMANDS, *steps.COMMANDS, *serving.COMMANDS):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    home: Annotated[
        Path | None, typer.Option(help="Folder for everything that is written (TIDEWAITER_HOME).")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    set_up_logging(verbose=verbose)
    if home is not None:
        # By the environment, so that the processes a command starts resolve the same home.
        os.environ["TIDEWAITER_HOME"] = str(home)
    if verbose:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "INFO")


def main() -> None:
    """Run the command line. Foreseen errors become problems in words and an exit code."""
    with errors_for_people():
        app()


if __name__ == "__main__":
    main()
