"""The record of the last run: what `status` prints and the command after a flow reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flows.outcome import MemberOutcome, MemberState, RunOutcome
from tidewaiter.errors import Problem
from tidewaiter.files import read_json, write_json_atomically
from tidewaiter.settings import Settings

_FILE = "last_run.json"


def write_outcome(settings: Settings, outcome: RunOutcome) -> None:
    """Keep the outcome of a run under the home's state folder."""
    write_json_atomically(settings.paths.state / _FILE, asdict(outcome))


def read_outcome(settings: Settings) -> RunOutcome | None:
    """Return the outcome of the last run that ended, or None where none has."""
    found = read_json(settings.paths.state / _FILE)
    if found is None:
        return None
    members = {code: _member(values) for code, values in found.pop("members").items()}
    return RunOutcome(members=members, **found)


def forget_outcome(settings: Settings) -> None:
    """Remove the record, so that a run that dies is not mistaken for the one before."""
    (settings.paths.state / _FILE).unlink(missing_ok=True)


def _member(values: dict[str, Any]) -> MemberOutcome:
    problems = [Problem(**problem) for problem in values.pop("problems")]
    state = MemberState(values.pop("state"))
    return MemberOutcome(state=state, problems=problems, **values)
