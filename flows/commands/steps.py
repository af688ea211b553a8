"""Single steps: each command calls the step's function directly, without a Prefect server."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.console import JsonFlag, MembersOption, print_json, print_problems, print_rows
from tidewaiter.errors import ExitCode, TidewaiterError

FromOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], help="First registration date, such as 2021-01-01."),
]
ToOption = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], help="Last registration date, included."),
]


class GateStage(StrEnum):
    """The gates that `validate` can run."""

    LANDING = "landing"
    FEATURES = "features"
    SCORES = "scores"


def ingest(members: MembersOption = None, as_json: JsonFlag = False) -> None:
    """Land what members have sent: typed rows, quarantine and a receipt for each extract."""
    from flows.ingest import ingest_member
    from flows.manifest import write_manifest
    from flows.steps import for_each_member, prepared

    with prepared("ingest") as settings:
        done = for_each_member(settings, members, lambda code: ingest_member(settings, code))
        write_manifest(settings)
    rows = [
        {
            "member": report.member_iso2,
            "file": receipt.source_file,
            "dataset": receipt.dataset,
            "extract": receipt.extract_id,
            "rows_in": receipt.rows_in,
            "rows_landed": receipt.rows_landed,
            "of_them_repeats": receipt.rows_repeated,
            "rows_quarantined": receipt.rows_quarantined,
        }
        for report in done.results.values()
        for receipt in report.receipts
    ]
    print_rows(rows, as_json=as_json)
    _end(done.errors)


def validate(
    stage: Annotated[GateStage, typer.Argument(help="Which gate.")] = GateStage.LANDING,
    members: MembersOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a gate and print its verdict; exit code 3 where it refuses."""
    from flows import gates
    from flows.manifest import write_manifest
    from flows.steps import for_each_landed_member, prepared

    judge = {
        GateStage.LANDING: gates.judge_landing,
        GateStage.FEATURES: gates.judge_features,
        GateStage.SCORES: gates.judge_scores,
    }[stage]
    with prepared(f"validate {stage}") as settings:
        done = for_each_landed_member(settings, members, lambda code: judge(settings, code))
        write_manifest(settings)
    rows = [
        {
            "member": result.member_iso2,
            "suite": result.suite,
            "checks": result.checks,
            "failed": len(result.failures),
            "warned": len(result.warnings),
            "verdict": "passed" if result.passed else "refused",
        }
        for results in done.results.values()
        for result in results
    ]
    print_rows(rows, as_json=as_json, title="Gate: " + stage)
    for results in done.results.values():
        for result in results:
            try:
                result.raise_if_refused()
            except TidewaiterError as refusal:
                done.errors.append(refusal)
    _end(done.errors)


def transform(
    docs: Annotated[bool, typer.Option("--docs", help="Build the dbt docs site instead.")] = False,
    rebuild_from: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Make features of this day and later ones anew, changed or not."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Build trade, features and scores with dbt from the extracts that passed their gate."""
    from flows import transform as step
    from flows.learning import accepted_runs_digest
    from flows.manifest import write_manifest
    from flows.steps import prepared

    with prepared("transform") as settings:
        if docs:
            page = step.build_docs(settings)
            print_json({"page": page}) if as_json else typer.echo(page)
            return
        rows = write_manifest(settings)
        waiting = sorted({f"{row.member_iso2} {row.source_file}" for row in rows if not row.is_accepted})
        inputs = step.inputs_digest(rows)
        built = step.transform(settings, "before_scoring", inputs, _day(rebuild_from))
        reports = {"before_scoring": built}
        if any(settings.paths.scores.glob("member=*/run=*/run.json")):
            inputs += accepted_runs_digest(settings)
            reports["after_scoring"] = step.transform(settings, "after_scoring", inputs)
    print_rows(
        [
            {
                "stage": stage,
                "models_and_tests": report.nodes,
                "warnings": len(report.warnings),
                "built": not report.was_fresh,
            }
            for stage, report in reports.items()
        ],
        as_json=as_json,
    )
    for name in waiting:
        typer.echo(
            f"left out: {name} has not passed the landing gate (tidewaiter validate landing)", err=True
        )


def train(
    members: MembersOption = None,
    pooled: Annotated[bool, typer.Option(help="Also train the model over all members.")] = True,
    config: Annotated[
        Path | None, typer.Option(help="Model configuration; ml/configs/irregularity.yaml if left out.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train on the features that stand; the first model of a name becomes champion."""
    from flows import learning
    from flows.steps import for_each_landed_member, prepared

    with prepared("train") as settings:
        done = for_each_landed_member(
            settings, members, lambda code: learning.train(settings, code, config_path=config)
        )
        if pooled:
            done.attempt("pooled", lambda: learning.train(settings, None, config_path=config))
    print_rows([learning.describe_model(model) for model in done.results.values()], as_json=as_json)
    _end(done.errors)


def score(
    members: MembersOption = None,
    from_date: FromOption = None,
    to_date: ToOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Score a window with the champions; batches that pass the score gate replace that window's scores."""
    from flows import learning
    from flows.steps import for_each_landed_member, prepared

    with prepared("score") as settings:
        done = for_each_landed_member(
            settings, members, lambda code: learning.score(settings, code, _day(from_date), _day(to_date))
        )
    print_rows([learning.describe_score(run) for run in done.results.values()], as_json=as_json)
    _end(done.errors)


def publish(as_json: JsonFlag = False) -> None:
    """Publish the marts as a new set, or leave the current one where nothing changed."""
    from flows import gates
    from flows.manifest import known_members
    from flows.publish import publish as publish_set
    from flows.steps import prepared

    with prepared("publish") as settings:
        members = known_members(settings)
        fresh = [code for code in members if gates.may_publish(settings, code)]
        publication = publish_set(settings, fresh, [code for code in members if code not in fresh])
    rows = [{"table": table, "rows": count} for table, count in publication.rows.items()]
    if as_json:
        print_json(
            {"publication_id": publication.publication_id, "rows": rows, "members": publication.members}
        )
        return
    state = "unchanged" if publication.was_current else "new"
    print_rows(rows, as_json=False, title=f"Set {publication.publication_id} ({state})")


COMMANDS = (ingest, validate, transform, train, score, publish)


def _day(value: datetime | None) -> Any:
    return None if value is None else value.date()


def _end(errors: list[TidewaiterError]) -> None:
    """Print all errors and leave with the gravest exit code: failed before refused."""
    if not errors:
        return
    for error in errors:
        print_problems(error)
    codes = {error.exit_code for error in errors}
    refused_only = codes == {ExitCode.GATE_REFUSED}
    raise typer.Exit(int(ExitCode.GATE_REFUSED if refused_only else min(codes - {ExitCode.GATE_REFUSED})))
