"""`tidewaiter integrity`: signals on assignments, clearances, valuations and the random draw."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.console import JsonFlag, MembersOption, print_problems, print_rows
from flows.commands.evaluation import evaluate_command
from tidewaiter.errors import ExitCode

app = typer.Typer(
    help="Signals that deserve a second look: to be checked, never proof.", no_args_is_help=True
)
app.command("evaluate")(evaluate_command)


@app.command("run")
def run_command(
    members: MembersOption = None,
    indicators: Annotated[
        list[str] | None,
        typer.Option("--indicator", "-i", help="Indicator, such as A1; may be repeated. All if left out."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compute what is new of the integrity signals; looks whose inputs did not change stay."""
    from flows import integrity, transform
    from flows.integrity_reading import publish_signals
    from flows.manifest import write_manifest
    from flows.steps import for_each_landed_member, prepared

    chosen = integrity.known_indicators(indicators)
    with prepared("integrity run") as settings:
        transform.transform(settings, "integrity", transform.inputs_digest(write_manifest(settings)))
        done = for_each_landed_member(settings, members, lambda code: integrity.run(settings, code, chosen))
        if done.results:
            publish_signals(settings)
    rows = [
        {
            "member": run.member_iso2,
            "looks_computed": run.looks_computed,
            "looks_unchanged": run.looks_unchanged,
            "to_be_checked": run.signals_to_be_checked,
            "by_indicator": ", ".join(f"{one} {number}" for one, number in run.to_be_checked.items()) or None,
            "not_computable": "; ".join(f"{one} needs {lack}" for one, lack in run.not_computable.items())
            or None,
        }
        for run in done.results.values()
    ]
    print_rows(rows, as_json=as_json, title="Integrity: to be checked")
    for error in done.errors:
        print_problems(error)
    if done.errors:
        raise typer.Exit(int(ExitCode.FAILED))
