"""How a run went, member by member. One member's trouble never hides another's success."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tidewaiter.errors import ExitCode, GateRefused, Problem, TidewaiterError


class MemberState(StrEnum):
    """Where a member stands at the end of a run."""

    PUBLISHED = "published"
    HELD = "held"  # a gate refused; the last published rows stay
    FAILED = "failed"
    ABSENT = "absent"  # no extract to land: its folder is not set or is empty


@dataclass
class MemberOutcome:
    """One member's way through a run.

    Attributes:
        stopped_at: Step that refused or failed; empty where the member went through.
        problems: Everything found wrong on the way.
        rows_in, rows_landed, rows_quarantined: Sums over the member's declaration items extracts.
        items_scored: Rows of the member's accepted score batch that this run asked for.
        metrics: Evaluation on the labelled items of the scored window, model and baselines.
    """

    member_iso2: str
    state: MemberState = MemberState.PUBLISHED
    stopped_at: str = ""
    problems: list[Problem] = field(default_factory=list)
    rows_in: int = 0
    rows_landed: int = 0
    rows_quarantined: int = 0
    items_scored: int = 0
    model_name: str = ""
    model_version: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def goes_on(self) -> bool:
        """Whether later steps still work on this member."""
        return self.state is MemberState.PUBLISHED

    def stop(self, at: str, error: Exception) -> None:
        """Take the member out of the run, with what stopped it."""
        self.state = MemberState.HELD if isinstance(error, GateRefused) else MemberState.FAILED
        self.stopped_at = at
        if isinstance(error, TidewaiterError):
            self.problems += error.problems
        else:
            self.problems.append(
                Problem(f"{type(error).__name__}: {error}", where=f"{self.member_iso2}, {at}")
            )


@dataclass
class RunOutcome:
    """The end of a run.

    Attributes:
        purpose: What the run was to do with its members: `published`, or `trained`.
        publication_id: The set that is current after the run, or None where there is none.
        notes: What concerns no single member, such as warnings of the transform.
    """

    members: dict[str, MemberOutcome]
    purpose: str = "published"
    publication_id: str | None = None
    published_rows: dict[str, int] = field(default_factory=dict)
    was_current: bool = False
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def in_state(self, state: MemberState) -> list[str]:
        """Return the members in a state, sorted."""
        return sorted(code for code, outcome in self.members.items() if outcome.state is state)

    @property
    def exit_code(self) -> ExitCode:
        """Failed before refused before well."""
        states = {outcome.state for outcome in self.members.values()}
        if MemberState.FAILED in states:
            return ExitCode.FAILED
        if MemberState.HELD in states:
            return ExitCode.GATE_REFUSED
        return ExitCode.OK if self.publication_id or self.purpose != "published" else ExitCode.FAILED

    @property
    def sentence(self) -> str:
        """The run in one sentence, naming each member that did not go through and why."""
        published = self.in_state(MemberState.PUBLISHED)
        taken = [code for code in self.members if code not in self.in_state(MemberState.ABSENT)]
        stopped = [
            f"{code} {self.members[code].state} at {self.members[code].stopped_at}"
            for code in sorted(self.members)
            if self.members[code].state in (MemberState.HELD, MemberState.FAILED)
        ]
        said = f"{len(published)} of {len(taken)} {self._what} {self.purpose}"
        return f"{said}; {'; '.join(stopped)}" if stopped else said

    @property
    def _what(self) -> str:
        return "members" if self.purpose == "published" else "models"
