"""`tidewaiter members`: which members there are and what each contract maps."""

from __future__ import annotations

from typing import Any

import typer

from flows.commands.console import JsonFlag, MemberArgument, print_json, print_rows

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
    from tidewaiter.settings import load_settings

    settings = load_settings()
    contract = load_contract(settings.members_dir, member)
    fields: list[dict[str, Any]] = []
    for extract in contract.extracts:
        for field in load_dataset(extract.dataset).fields:
            mapping = extract.fields.get(field.name)
            source = "set by landing" if field.set_by_landing else _source_of(mapping, field.default)
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
    if as_json:
        print_json({"contract": contract.model_dump(mode="json"), "fields": fields, "extracts": extracts})
        return
    title = f"{contract.member} {contract.name} (owner: {contract.owner}; times in {contract.time_zone})"
    print_rows(fields, as_json=False, title=title)
    typer.echo()
    print_rows(extracts, as_json=False, title="Landed extracts")


def _source_of(mapping: Any, default: object) -> str:
    if mapping is None:
        return "not mapped" if default is None else f"default {default}"
    if mapping.column is not None:
        return f"column {mapping.column}" + (" (optional)" if mapping.optional else "")
    return f"constant {mapping.constant}" if mapping.constant is not None else f"SQL {mapping.expression}"
