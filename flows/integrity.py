"""The integrity step: what the indicators test is built by dbt, tested by `ml`, and never holds up scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flows.progress import step
from tidewaiter.contracts import load_contract
from tidewaiter.errors import Problem, UsageProblem, closest
from tidewaiter.settings import Settings


def run(
    settings: Settings, member: str, indicators: Sequence[str] | None = None, *, newest_only: bool = False
) -> Any:
    """Compute what is new of a member's signals; return `ml.integrity.run.MemberRun`.

    Args:
        settings: Where the integrity marts are, which the `integrity` stage of the transform made.
        member: The member.
        indicators: Ids such as A1; all of the catalogue where left out.
        newest_only: Compute each indicator's newest look alone.
    """
    from ml.integrity.run import run_member

    parameters = load_contract(settings.members_dir, member).parameters
    with step(f"{member} integrity") as running:
        found = run_member(settings, member, parameters, indicators, running.note, newest_only=newest_only)
        running.note(describe(found))
    return found


def describe(found: Any) -> str:
    """Return what a run found, in a few words."""
    count = found.signals_to_be_checked
    said = f"{count} {'signal' if count == 1 else 'signals'} to be checked"
    by = ", ".join(f"{indicator} {number}" for indicator, number in sorted(found.to_be_checked.items()))
    return f"{said} ({by})" if by else said


def known_indicators(names: Sequence[str] | None) -> list[str] | None:
    """Return the ids as the catalogue writes them; None for all.

    Raises:
        UsageProblem: Names that are no indicators.
    """
    from ml.integrity.catalogue import load_catalogue

    if not names:
        return None
    known = [entry.id for entry in load_catalogue()]
    asked = [name.strip().upper() for name in names]
    problems = [
        Problem(f"unknown indicator '{name}'{closest(name, known)}", expected=f"one of {', '.join(known)}")
        for name in asked
        if name not in known
    ]
    if problems:
        raise UsageProblem(problems)
    return asked
