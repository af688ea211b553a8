"""`tidewaiter models`: the registry from the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.console import JsonFlag, print_rows

app = typer.Typer(help="Registered models.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(help="Registered model, such as irregularity-xa.", show_default=False)
]


@app.command("compare")
def compare_command(
    name: Annotated[
        str | None, typer.Argument(help="Registered model; all of them if left out.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare the versions of a model, or the champions of all models, with their baselines."""
    from flows.learning import compare_models
    from flows.steps import prepared

    with prepared("models compare") as settings:
        rows = compare_models(settings, name)
    print_rows(rows, as_json=as_json, title=name or "Champions")


@app.command("show")
def show_command(
    name: NameArgument,
    version: Annotated[
        str | None, typer.Option(help="Version; the champion if left out.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show one version: data, window, metrics, where its run is in MLflow."""
    from flows.learning import show_model
    from flows.steps import prepared

    with prepared("models show") as settings:
        facts = show_model(settings, name, version)
    print_rows(facts, as_json=as_json, title=name)


@app.command("promote")
def promote_command(
    name: NameArgument,
    version: Annotated[str, typer.Argument(help="Version to make champion.", show_default=False)],
    reason: Annotated[
        str | None,
        typer.Option(
            help="Promote against the gate, and keep this reason with the model.", show_default=False
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a version champion if it is no worse on the same rows; exit code 3 where it is."""
    from flows.learning import promote_model
    from flows.steps import prepared

    with prepared("models promote") as settings:
        rows = promote_model(settings, name, version, reason)
    print_rows(rows, as_json=as_json, title=f"{name} version {version} is champion")
