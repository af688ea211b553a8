"""`tidewaiter models`: registry, comparison and studies from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.console import JsonFlag, MembersOption, print_json, print_rows

app = typer.Typer(help="Registered models: compare, promote, roll back, watch, study.", no_args_is_help=True)

_REFERENCE = "`name` (its champion), `name@alias` or `name/version`"
_NAME = "Registered model, such as irregularity-xa."
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Model configuration; the shipped one if left out.")
]
MemberOption = Annotated[
    str | None, typer.Option("--member", "-m", help="Member code; all members pooled if left out.")
]


@app.command("compare")
def compare_command(
    references: Annotated[
        list[str],
        typer.Argument(help=f"{_REFERENCE}. One bare name: all its versions.", show_default=False),
    ],
    every_metric: Annotated[bool, typer.Option("--all", help="Every metric, not the headlines.")] = False,
    page: Annotated[
        Path | None, typer.Option("--report", help="Where the HTML report goes; home/reports if left out.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge versions on the same unseen rows, with paired intervals; write an HTML report."""
    from flows.registry import comparison
    from flows.steps import prepared

    with prepared("models compare") as settings:
        rows, path = comparison(settings, references, every_metric=every_metric, page=page)
    if as_json:
        print_json({"report": path, "figures": rows})
        return
    print_rows(rows, as_json=False)
    typer.echo(f"report: {path}")


@app.command("show")
def show_command(
    name: Annotated[
        str | None, typer.Argument(help="Registered model; all if left out.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the versions of a model: aliases, figures, data, commit, MLflow run."""
    from flows.registry import version_rows
    from flows.steps import prepared

    with prepared("models show") as settings:
        rows = version_rows(settings, name)
    print_rows(rows, as_json=as_json)


@app.command("card")
def card_command(
    reference: Annotated[str, typer.Argument(help=f"{_REFERENCE}.", show_default=False)],
) -> None:
    """Print a version's model card."""
    from flows.registry import card
    from flows.steps import prepared

    with prepared("models card") as settings:
        text = card(settings, reference)
    typer.echo(text)


@app.command("fairness")
def fairness_command(
    reference: Annotated[str, typer.Argument(help=f"{_REFERENCE}.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Print a version's audit by origin region, importer size, newcomers and office."""
    from flows.registry import fairness_rows
    from flows.steps import prepared

    with prepared("models fairness") as settings:
        rows, note = fairness_rows(settings, reference)
    if as_json:
        print_json({"note": note, "groups": rows})
        return
    typer.echo(note)
    print_rows(rows, as_json=False)


@app.command("promote")
def promote_command(
    name: Annotated[str, typer.Argument(help=_NAME, show_default=False)],
    version: Annotated[str, typer.Argument(help="Version to make champion.", show_default=False)],
    reason: Annotated[
        str | None, typer.Option(help="Kept with the version; needed with --force.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although the gate refuses.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a version champion if it beats the champion beyond the noise and its gates hold; else exit 3."""
    from flows.registry import promotion_rows
    from flows.steps import prepared

    with prepared("models promote") as settings:
        rows = promotion_rows(settings, name, version, reason, force=force)
    print_rows(rows, as_json=as_json)


@app.command("rollback")
def rollback_command(
    name: Annotated[str, typer.Argument(help=_NAME, show_default=False)],
    reason: Annotated[str, typer.Option(help="Kept with the version.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Make the version champion that was champion before the present one."""
    from flows.registry import rollback_rows
    from flows.steps import prepared

    with prepared("models rollback") as settings:
        rows = rollback_rows(settings, name, reason)
    print_rows(rows, as_json=as_json)


@app.command("backtest")
def backtest_command(
    member: MemberOption = None,
    config: ConfigOption = None,
    origins: Annotated[int, typer.Option(min=1, help="Trainings at most, the last one newest.")] = 4,
    days: Annotated[int, typer.Option(min=1, help="Days judged after each.")] = 60,
    as_json: JsonFlag = False,
) -> None:
    """Train at several past days on what was known then and judge each on the days that followed."""
    from flows.steps import prepared
    from flows.studies import backtest_rows

    with prepared("models backtest") as settings:
        rows, path, banner = backtest_rows(settings, _upper(member), config, origins, days)
    if banner:
        typer.echo(banner, err=True)
    print_rows(rows, as_json=as_json)
    if not as_json:
        typer.echo(f"everything: {path}")


@app.command("search")
def search_command(
    member: MemberOption = None,
    config: ConfigOption = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials in all, those of earlier sittings included.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--write", help="Write the best configuration to this file.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Search hyper-parameters on rolling origins before the test window; goes on where it stopped."""
    from flows.steps import prepared
    from flows.studies import search_rows

    with prepared("models search") as settings:
        rows, configuration = search_rows(settings, _upper(member), config, trials)
    if target is not None:
        target.write_text(configuration, encoding="utf-8")
    print_rows(rows, as_json=as_json)


@app.command("transfer")
def transfer_command(
    members: MembersOption = None,
    config: ConfigOption = None,
    labels: Annotated[
        list[int] | None,
        typer.Option(
            "--labels", min=0, help="Own labels; may be repeated. 0, 200, 1000 and 5000 if left out."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Let each member be taught by the others, with 0 to 5,000 labels of its own."""
    from flows.steps import prepared
    from flows.studies import transfer_rows

    with prepared("models transfer") as settings:
        rows = transfer_rows(
            settings, [code.upper() for code in members] if members else None, config, labels
        )
    print_rows(rows, as_json=as_json)


@app.command("drift")
def drift_command(members: MembersOption = None, as_json: JsonFlag = False) -> None:
    """Compare recent items with what each champion knows; print what crossed a limit."""
    from flows.steps import for_each_landed_member, prepared
    from flows.watching import drift_rows, watch

    with prepared("models drift") as settings:
        done = for_each_landed_member(settings, members, lambda code: watch(settings, code))
    print_rows(drift_rows([found for found in done.results.values() if found]), as_json=as_json)
    for error in done.errors:
        raise error


@app.command("shadow")
def shadow_command(members: MembersOption = None, as_json: JsonFlag = False) -> None:
    """Score the champions' newest windows with the challengers, out of sight, and compare."""
    from flows.learning import shadow
    from flows.steps import for_each_landed_member, prepared
    from flows.watching import shadow_rows

    with prepared("models shadow") as settings:
        done = for_each_landed_member(settings, members, lambda code: shadow(settings, code))
    print_rows(shadow_rows([found for found in done.results.values() if found]), as_json=as_json)
    for error in done.errors:
        raise error


def _upper(member: str | None) -> str | None:
    return None if member is None else member.upper()
