"""`tidewaiter integrity signals|dossier|catalogue|identify|purge|accesses`: for who has to look closer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.console import JsonFlag, MembersOption, plain, print_json, print_rows, standard_output
from tidewaiter.errors import ExitCode, Problem, UsageProblem

PurposeOption = Annotated[
    str | None, typer.Option("--purpose", help="Why this is looked at; required, and goes on record.")
]
MemberOption = Annotated[
    str | None,
    typer.Option("--member", "-m", help="Member code, where a pseudonym's beginning is not enough."),
]
_BANDS = ("priority", "review", "note")
_WORDS = "A signal says where a second look is worth its time: to be checked, and nothing more."


def signals_command(
    purpose: PurposeOption = None,
    members: MembersOption = None,
    indicator: Annotated[
        str | None, typer.Option("--indicator", "-i", help="Show the signals of one indicator, such as A1.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="With --indicator: write its funnel plots (PNG) into this folder.")
    ] = None,
    notes: Annotated[
        bool, typer.Option("--notes", help="Also show what is only to be kept in mind.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Who is to be checked, and by which indicators; the view goes on record."""
    from flows import integrity_reading as reading
    from flows.integrity import known_indicators
    from tidewaiter.settings import load_settings

    settings = load_settings()
    codes = [code.upper() for code in members or []] or None
    if plot is not None and indicator is None:
        raise UsageProblem(Problem("a funnel plot is of one indicator", expected="--indicator A1, for one"))
    if indicator is not None:
        (chosen,) = known_indicators([indicator]) or [indicator]
        rows = reading.read_flagged(settings, codes, purpose, chosen)
        if as_json:
            print_json(rows)
            return
        print_rows([_signal_row(row) for row in rows], as_json=False, title=f"{chosen}: to be checked")
        for path in reading.write_funnels(settings, codes, chosen, plot) if plot is not None else ():
            typer.echo(f"Funnel plot: {path}")
        typer.echo(_WORDS)
        return
    by_indicator = reading.read_indicators(settings, codes)
    entities = reading.read_entities(settings, codes, purpose, bands=_BANDS if notes else _BANDS[:2])
    if as_json:
        print_json({"indicators": by_indicator, "entities": entities})
        return
    print_rows(by_indicator, as_json=False, title="Indicators, last looks")
    standard_output().print()
    print_rows([_entity_row(row) for row in entities], as_json=False, title="Persons and firms to be checked")
    standard_output().print(plain(f"\n{_WORDS}\nNext: tidewaiter integrity dossier ID --purpose ..."))


def dossier_command(
    entity_id: Annotated[
        str, typer.Argument(metavar="ID", help="Pseudonym, or its beginning.", show_default=False)
    ],
    purpose: PurposeOption = None,
    member: MemberOption = None,
    case: Annotated[
        str | None, typer.Option("--case", help="Reference of an open case: kept until it is closed.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write what the indicators say of one person or firm as a page that prints; the view goes on record."""
    from flows.dossiers import write_dossier
    from tidewaiter.settings import load_settings

    settings = load_settings()
    done = write_dossier(
        settings, entity_id, purpose, member=member.upper() if member else None, case_reference=case
    )
    if as_json:
        print_json({name: value for name, value in vars(done).items()})
        return
    typer.echo(f"{done.entity_kind} {done.entity_id} of {done.member_iso2}: {_band(done.severity)}")
    typer.echo(f"Dossier: {done.path}")
    kept = (
        f"until case {done.case_reference} is closed" if done.case_reference else f"until {done.keep_until}"
    )
    typer.echo(f"Kept {kept} (tidewaiter integrity purge). {_WORDS}")


def catalogue_command(
    indicator: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One indicator, such as A1.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """What each indicator asks, what it takes, and what else may explain a signal."""
    from flows.integrity import known_indicators
    from ml.integrity.catalogue import load_catalogue

    chosen = known_indicators([indicator] if indicator else None)
    entries = [entry for entry in load_catalogue() if chosen is None or entry.id in chosen]
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
        return
    if chosen is None:
        rows = [
            {
                "id": e.id,
                "question": e.question,
                "unit": e.unit,
                "support": f"{e.support_minimum:g} {e.support_unit}",
            }
            for e in entries
        ]
        print_rows(rows, as_json=False, title="Indicators")
        typer.echo("tidewaiter integrity catalogue ID shows one; docs/reference/indicators.md has all.")
        return
    console = standard_output()
    for entry in entries:
        console.print(plain(f"{entry.id} {entry.title}\n{entry.question}\n"))
        for title, value in _facts(entry):
            lines = value if isinstance(value, tuple) else (value,)
            console.print(f"[bold]{title}[/bold]")
            for line in lines:
                console.print(plain(f"  {line}"))


def identify_command(
    entity_id: Annotated[str, typer.Argument(metavar="ID", help="The whole pseudonym.", show_default=False)],
    member: Annotated[str, typer.Option("--member", "-m", help="Member code.", show_default=False)],
    candidates: Annotated[
        Path,
        typer.Option(
            help="File with one identifier a line, such as the register of officers; - reads stdin."
        ),
    ],
    approved_by: Annotated[
        str, typer.Option("--approved-by", help="Who else has approved it.", show_default=False)
    ],
    purpose: PurposeOption = None,
) -> None:
    """Say who of a list is behind a pseudonym. Needs the member's key and a second person; goes on record."""
    from flows.identification import identify
    from tidewaiter.contracts import load_contract
    from tidewaiter.settings import load_settings

    settings = load_settings()
    load_contract(settings.members_dir, member.upper())
    if str(candidates) == "-":
        names = sys.stdin.read().splitlines()
    elif candidates.is_file():
        names = candidates.read_text(encoding="utf-8").splitlines()
    else:
        raise UsageProblem(Problem("no such file of candidates", where=str(candidates)))
    found = identify(settings, member.upper(), entity_id, names, purpose, approved_by)
    if found is None:
        typer.echo(f"None of {len(names)} candidates is behind {entity_id}. The attempt is on record.")
        raise typer.Exit(int(ExitCode.FAILED))
    typer.echo(found)
    typer.echo(
        "This is on record. Keep the name out of dossiers; a signal is to be checked, not proof.", err=True
    )


def purge_command(
    close_case: Annotated[
        str | None, typer.Option("--close-case", help="Also remove the dossiers of this case.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Remove dossiers whose day has come; those of open cases stay."""
    from flows.dossiers import purge_dossiers
    from tidewaiter.settings import load_settings

    removed = purge_dossiers(load_settings(), datetime.now(UTC).date(), close_case)
    print_rows([{"removed": name} for name in removed], as_json=as_json, title="Dossiers removed")


def accesses_command(
    last: Annotated[int, typer.Option(min=1, help="How many, from the newest.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Who looked at what, when and why; fails where the log was changed."""
    from flows.access import access_log, read_accesses
    from tidewaiter.settings import load_settings

    settings = load_settings()
    entries = read_accesses(settings)
    broken = [place for place, entry in enumerate(entries, start=1) if not entry["is_intact"]]
    if as_json:
        print_json(entries[-last:])
    else:
        print_rows([_access_row(entry) for entry in entries[-last:]], as_json=False, title="Accesses")
    if broken:
        from flows.commands.console import print_problems
        from tidewaiter.errors import TidewaiterError

        problem = Problem(
            f"lines before {', '.join(map(str, broken[:5]))} were changed or taken out",
            where=str(access_log(settings)),
            next_step="compare with a backup of the log",
        )
        print_problems(TidewaiterError(problem))
        raise typer.Exit(int(ExitCode.FAILED))


COMMANDS: dict[str, Callable[..., None]] = {
    "signals": signals_command,
    "dossier": dossier_command,
    "catalogue": catalogue_command,
    "identify": identify_command,
    "purge": purge_command,
    "accesses": accesses_command,
}


def _entity_row(row: dict[str, Any]) -> dict[str, Any]:
    stake = row["revenue_at_stake_usd"]
    return {
        "member": row["member_iso2"],
        "kind": row["entity_kind"],
        "pseudonym": row["entity_id"],
        "band": _band(row["severity"]),
        "flagged_by": " ".join(row["indicators_flagged"] or ()) or None,
        "tested_by": len(row["indicators"] or ()),
        "combined_q": _probability(row["combined_q_value"]),
        "since": row["first_flagged_on"],
        "possibly_at_stake_usd": None if stake is None else round(stake),
    }


def _signal_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "member": row["member_iso2"],
        "unit": row["unit_kind"],
        "pseudonym": row["unit_id"],
        "with": row["counterpart_id"],
        "office": row["office_id"],
        "until": row["period_end"],
        "observed": _figure(row["observed"]),
        "expected": _figure(row["expected"]),
        "effect": _figure(row["effect_size"]),
        "interval": f"{_figure(row['effect_low'])} to {_figure(row['effect_high'])}",
        "q": _probability(row["q_value"]),
        "since": row["first_flagged_on"],
    }


def _access_row(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": entry.get("at"),
        "who": entry.get("who"),
        "action": entry.get("action"),
        "member": entry.get("member"),
        "entities": len(entry.get("entities") or ()),
        "purpose": entry.get("purpose"),
        "approved_by": entry.get("approved_by"),
        "intact": entry["is_intact"],
    }


def _facts(entry: Any) -> list[tuple[str, Any]]:
    return [
        ("Null hypothesis", entry.null_hypothesis),
        ("Test", entry.test),
        ("Looks", f"each {entry.looks.every}, {entry.looks.window_months} months back"),
        ("Needs", entry.inputs + tuple(f"parameter {name}" for name in entry.parameters)),
        ("Support", f"at least {entry.support_minimum:g} {entry.support_unit}"),
        (
            "Flagged where",
            f"q <= {entry.alpha:g} ({entry.correction}),"
            f" effect >= {entry.minimum_effect:g} {entry.effect_unit}",
        ),
        ("What else may explain it", entry.innocent_explanations),
        ("What to check", entry.checks),
        ("What it cannot tell", entry.limits),
        ("Sources", entry.sources),
    ]


def _band(severity: str) -> str:
    from ml.integrity.dossier import BAND_WORDS

    return BAND_WORDS[severity]


def _probability(value: float | None) -> str | None:
    from ml.integrity.dossier import show_p

    return None if value is None else show_p(value)


def _figure(value: float | None) -> str:
    from ml.integrity.dossier import show_figure

    return show_figure(value)
