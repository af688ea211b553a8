"""`tidewaiter config`: what is set, where it comes from, and what may be set."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.console import JsonFlag, print_json, print_rows

app = typer.Typer(help="Settings.", no_args_is_help=True)

_SCHEMAS = ("settings", "contract", "model")


@app.command("show")
def show_command(as_json: JsonFlag = False) -> None:
    """Show every setting with its value and where that came from."""
    from tidewaiter.settings import explain_settings

    rows = [
        {"setting": found.name, "value": str(found.value), "from": found.origin, "meaning": found.description}
        for found in explain_settings()
    ]
    print_rows(rows, as_json=as_json)


@app.command("schema")
def schema_command(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(_SCHEMAS)}.")] = "settings",
) -> None:
    """Print the JSON schema of the settings, of a member's contract or of a model configuration."""
    from tidewaiter.errors import Problem, UsageProblem, closest

    if what == "settings":
        from tidewaiter.settings import Settings

        print_json(Settings.model_json_schema())
    elif what == "contract":
        from tidewaiter.contracts import Contract

        print_json(Contract.model_json_schema())
    elif what == "model":
        from ml.config import config_schema

        print_json(config_schema())
    else:
        raise UsageProblem(
            Problem(f"no schema '{what}'{closest(what, _SCHEMAS)}", expected=f"one of {', '.join(_SCHEMAS)}")
        )
