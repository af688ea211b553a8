"""Errors for people: what went wrong, where, what was expected, what to do next.

Steps collect every problem they can find and raise once. The exit code of the command line is a
property of the error, so that a step and its command cannot disagree.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command `tidewaiter`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    GATE_REFUSED = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in words a person can act on.

    Attributes:
        what: What is wrong, with the offending value where it is not confidential.
        where: Member, file, line, column, row count: whatever locates it.
        expected: What would have been right.
        next_step: The command to run or the file to edit.
    """

    what: str
    where: str = ""
    expected: str = ""
    next_step: str = ""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.next_step:
            parts.append(f"next: {self.next_step}")
        return "; ".join(parts)


class TidewaiterError(Exception):
    """A failure that the project foresaw. Carries all problems at once and an exit code."""

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, problems: Problem | str | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        if isinstance(problems, Problem):
            problems = [problems]
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageProblem(TidewaiterError):
    """The command, the settings or a contract is written wrongly (exit code 2)."""

    exit_code = ExitCode.USAGE


class GateRefused(TidewaiterError):
    """A gate refused data; what was published before stays in place (exit code 3)."""

    exit_code = ExitCode.GATE_REFUSED


@dataclass
class Problems:
    """Collects problems over a whole input and raises once at the end."""

    error: type[TidewaiterError] = TidewaiterError
    found: list[Problem] = field(default_factory=list)

    def add(self, what: str, *, where: str = "", expected: str = "", next_step: str = "") -> None:
        """Note one problem and go on."""
        self.found.append(Problem(what, where, expected, next_step))

    def raise_if_any(self) -> None:
        """Raise all problems found so far as one error, or return."""
        if self.found:
            raise self.error(self.found)


def closest(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""
