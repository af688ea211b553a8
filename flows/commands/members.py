"""`tidewaiter members`: which members there are, what each contract maps, and making a contract."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.console import JsonFlag, MemberArgument, print_json, print_rows
from tidewaiter.errors import ExitCode

if TYPE_CHECKING:
    from tidewaiter.canonical import Field
    from tidewaiter.contracts import Extract

DatasetOption = Annotated[
    str | None,
    typer.Option(help="Canonical dataset, where the file's name does not say which entry of the contract."),
]

app = typer.Typer(help="Members and their contracts.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: JsonFlag = False) -> None:
    """List the members, with what has been landed of each."""
    from flows.manifest import item_counts, read_manifest
    from tidewaiter.contracts import list_members, load_contract
    from tidewaiter.settings import load_settings

    settings = load_settings()
    manifest = read_manifest(settings)
    rows = []
    for code in list_members(settings.members_dir):
        contract = load_contract(settings.members_dir, code)
        landed = [row for row in manifest if row.member_iso2 == code]
        rows_in, rows_landed, rows_quarantined = item_counts(landed)
        rows.append(
            {
                "member": code,
                "name": contract.name,
                "owner": contract.owner,
                "time_zone": contract.time_zone,
                "extracts": len(landed),
                "rows_in": rows_in,
                "rows_landed": rows_landed,
                "rows_quarantined": rows_quarantined,
            }
        )
    print_rows(rows, as_json=as_json)


@app.command("show")
def show_command(member: MemberArgument, as_json: JsonFlag = False) -> None:
    """Show what a member's contract maps, what it leaves out, and what has been landed."""
    from flows.manifest import read_manifest
    from tidewaiter.canonical import load_dataset
    from tidewaiter.contracts import load_contract
    from tidewaiter.contracts.capabilities import unsupported
    from tidewaiter.settings import load_settings

    settings = load_settings()
    contract = load_contract(settings.members_dir, member)
    fields: list[dict[str, Any]] = []
    headers = [extract for extract in contract.extracts if extract.dataset == "declarations"]
    in_header = {name for extract in headers for name in extract.fields}
    for extract in contract.extracts:
        for field in load_dataset(extract.dataset).fields:
            source = "set by landing" if field.set_by_landing else _source_of(extract, field, in_header)
            fields.append(
                {
                    "dataset": extract.dataset,
                    "field": field.name,
                    "type": field.type,
                    "source": source,
                    "pseudonymised": field.is_pseudonymised,
                }
            )
    extracts = [
        {
            "dataset": row.dataset,
            "extract": row.extract_id,
            "file": row.source_file,
            "received_at": f"{row.received_at:%Y-%m-%d %H:%M}",
            "rows_in": row.rows_in,
            "rows_landed": row.rows_landed,
            "rows_quarantined": row.rows_quarantined,
            "accepted": row.is_accepted,
        }
        for row in read_manifest(settings)
        if row.member_iso2 == contract.member
    ]
    lacking = [
        {
            "not_supported": lack.capability.name,
            "kind": lack.capability.kind,
            "needs": lack.in_words,
            "source": lack.capability.source,
        }
        for lack in unsupported(contract)
    ]
    if as_json:
        found = {"contract": contract.model_dump(mode="json"), "fields": fields, "extracts": extracts}
        print_json(found | {"not_supported": lacking})
        return
    title = f"{contract.member} {contract.name} (owner: {contract.owner}; times in {contract.time_zone})"
    print_rows(fields, as_json=False, title=title)
    typer.echo()
    print_rows(extracts, as_json=False, title="Landed extracts")
    typer.echo()
    print_rows(lacking, as_json=False, title="Not supported downstream")


@app.command("init")
def init_command(
    member: MemberArgument,
    samples: Annotated[
        list[Path], typer.Argument(help="Files as the member sends them.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="Name of the administration.")] = "",
    time_zone: Annotated[
        str | None, typer.Option(help="IANA name of the zone of the source's times.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; members/<code>/contract.yaml if left out.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a contract that is there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Propose a contract from samples: every guess is marked, every field nobody could guess is listed."""
    from flows.proposing import write_proposal
    from tidewaiter.settings import load_settings

    written = write_proposal(
        load_settings(), member, samples, name=name, time_zone=time_zone, out=out, force=force
    )
    if as_json:
        print_json(written.as_json)
        return
    print_rows(written.rows, as_json=False, title=f"Wrote {written.path}")
    for line in written.next_steps:
        typer.echo(line)


@app.command("check")
def check_command(
    member: MemberArgument,
    sample: Annotated[Path, typer.Argument(help="A file as the member sends it.", show_default=False)],
    rows: Annotated[int, typer.Option(min=0, help="Mapped rows to show.")] = 5,
    dataset: DatasetOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what the contract makes of a file, without landing it; exit code 3 where it would be refused."""
    from flows.trying import open_sample
    from tidewaiter.landing.trial import sample_files, try_landing

    tried = open_sample(member, sample, dataset)
    trials = []
    for extract in tried.extracts:
        with sample_files(sample, extract) as found:
            trials += [
                try_landing(file, extract, tried.contract, tried.settings, rows=rows, label=label)
                for label, file in found
            ]
    if as_json:
        summaries = [_as_json(trial) for trial in trials]
        print_json(summaries[0] if len(summaries) == 1 else summaries)
    else:
        for trial in trials:
            _print_trial(trial, is_one_of_several=len(trials) > 1)
    if any(trial.is_refused for trial in trials):
        raise typer.Exit(int(ExitCode.GATE_REFUSED))


@app.command("diff")
def diff_command(
    member: MemberArgument,
    file: Annotated[Path, typer.Argument(help="A new file of the member.", show_default=False)],
    dataset: DatasetOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare a file's columns with the contract; exit code 3 where one is missing or no longer fits."""
    from flows.trying import open_sample
    from tidewaiter.landing.trial import compare_file, sample_files

    tried = open_sample(member, file, dataset)
    rows: list[dict[str, Any]] = []
    stops = False
    for extract in tried.extracts:
        fed = {"dataset": extract.dataset} if len(tried.extracts) > 1 else {}
        with sample_files(file, extract) as found:
            for label, path in found:
                drift, retyped = compare_file(path, extract, tried.contract, tried.settings)
                named = {"file": label} if len(found) > 1 else {}
                rows += [fed | named | row for row in _changes(drift, retyped)]
                stops = stops or bool(drift.stops or retyped)
    rows = _unused_by_all(rows, len(tried.extracts))
    print_rows(rows, as_json=as_json, title="" if as_json else f"{file.name} against the contract")
    if stops:
        raise typer.Exit(int(ExitCode.GATE_REFUSED))


def _unused_by_all(rows: list[dict[str, Any]], entries: int) -> list[dict[str, Any]]:
    """Leave out columns that one entry does not use and another does, and name the others once."""
    if entries == 1:
        return rows
    of_all = {
        (row.get("file"), row["column"]): row | {"dataset": ""} for row in rows if row["change"] == "not used"
    }
    times = Counter((row.get("file"), row["column"]) for row in rows if row["change"] == "not used")
    changed = [row for row in rows if row["change"] != "not used"]
    return changed + [row for place, row in of_all.items() if times[place] == entries]


def _changes(drift: Any, retyped: Any) -> list[dict[str, Any]]:
    rows = [
        {
            "change": "missing, optional" if column.is_optional else "missing",
            "column": " or ".join(column.columns),
            "fields": ", ".join(column.fields),
            "note": f"now {' or '.join(map(repr, column.may_be))}?" if column.may_be else "",
        }
        for column in drift.missing
    ]
    rows += [
        {
            "change": "retyped",
            "column": ", ".join(finding.columns),
            "fields": finding.field or "",
            "note": f"{finding.share:.0%} of the rows: {finding.kind}"
            + (f", such as '{finding.example}' on line {finding.line}" if finding.example else ""),
        }
        for finding in retyped
    ]
    return rows + [{"change": "not used", "column": name, "fields": "", "note": ""} for name in drift.added]


def _findings(trial: Any) -> list[dict[str, Any]]:
    return [vars(finding) | {"columns": ", ".join(finding.columns)} for finding in trial.findings]


def _as_json(trial: Any) -> dict[str, Any]:
    names = ("file", "dataset", "rows_in", "rows_sound", "share_landed", "is_refused", "limit")
    return {name: getattr(trial, name) for name in names} | {
        "problems": _findings(trial),
        "rows": list(trial.rows),
    }


def _print_trial(trial: Any, *, is_one_of_several: bool) -> None:
    if is_one_of_several:
        print_rows([{"file": trial.file, "dataset": trial.dataset}], as_json=False)
        typer.echo()
    _print_mapped(trial)
    typer.echo()
    print_rows(_findings(trial), as_json=False, title="Problems")
    typer.echo(f"\n{trial.rows_sound:,} of {trial.rows_in:,} rows are sound; {_verdict(trial)}")


def _print_mapped(trial: Any) -> None:
    """Print rows with a line for each field: there are more fields than fit side by side."""
    rows = trial.rows
    if not rows:
        typer.echo("no row could be mapped")
        return
    fields = [name for name in rows[0] if name != "source_line"]
    print_rows(
        [{"field": name} | {trial.place(row["source_line"]): row[name] for row in rows} for name in fields],
        as_json=False,
        title="First mapped rows",
    )


def _verdict(trial: Any) -> str:
    if trial.is_refused:
        return f"the extract would be refused: at most {trial.limit:.1%} may have a fault."
    return f"{trial.share_landed:.1%} would land."


def _source_of(extract: Extract, field: Field, in_header: set[str]) -> str:
    """Return in words where a field of an extract comes from."""
    mapping = extract.fields.get(field.name)
    if mapping is None:
        if field.default is not None:
            return f"default {field.default}"
        return "with the header" if extract.header == "apart" and field.name in in_header else "not mapped"
    if mapping.column is not None:
        source = f"column {' or '.join(mapping.candidates)}"
    elif mapping.file_name is not None:
        source = f"file name {mapping.file_name}"
    else:
        source = f"SQL {mapping.expression}" if mapping.expression else f"constant {mapping.constant}"
    notes = [f"in {mapping.unit}"] if mapping.unit else []
    notes += [f"{len(mapping.codes)} codes"] if mapping.codes else []
    notes += ["optional"] if mapping.optional else []
    return source + (f" ({', '.join(notes)})" if notes else "")
