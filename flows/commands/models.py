"""`tidewaiter models`: the registry from the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.console import JsonFlag, print_rows

app = typer.Typer(help="Registered models.", no_args_is_help=True)

_REFERENCE = "`name` (its champion), `name@alias` or `name/version`"


@app.command("compare")
def compare_command(
    references: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"{_REFERENCE}. One bare name: all its versions. None: all champions.", show_default=False
        ),
    ] = None,
    every_metric: Annotated[bool, typer.Option("--all", help="Every metric, not the headlines.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare versions on the test rows of their training, baselines among the metrics."""
    from flows.registry import comparison_rows
    from flows.steps import prepared

    with prepared("models compare") as settings:
        rows = comparison_rows(settings, references or [], every_metric=every_metric)
    print_rows(rows, as_json=as_json)


@app.command("show")
def show_command(
    name: Annotated[
        str | None, typer.Argument(help="Registered model; all if left out.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the versions of a model: aliases, data, commit, MLflow run."""
    from flows.registry import version_rows
    from flows.steps import prepared

    with prepared("models show") as settings:
        rows = version_rows(settings, name)
    print_rows(rows, as_json=as_json)


@app.command("promote")
def promote_command(
    name: Annotated[
        str, typer.Argument(help="Registered model, such as irregularity-xa.", show_default=False)
    ],
    version: Annotated[str, typer.Argument(help="Version to make champion.", show_default=False)],
    reason: Annotated[
        str | None, typer.Option(help="Kept with the version; needed with --force.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although the gate refuses.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a version champion if it is no worse on the same rows; exit code 3 where it is."""
    from flows.registry import promotion_rows
    from flows.steps import prepared

    with prepared("models promote") as settings:
        rows = promotion_rows(settings, name, version, reason, force=force)
    print_rows(rows, as_json=as_json)
