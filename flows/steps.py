"""Running a step over members outside a flow: the same isolation, without Prefect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flows.environment import prepare_environment
from flows.lock import home_locked
from flows.manifest import known_members
from flows.progress import reporting_to, terminal_reporter
from tidewaiter.contracts import list_members, load_contract
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem, closest
from tidewaiter.settings import Settings, load_settings


@dataclass
class Attempts:
    """What a step gave for each member, and the errors of those it failed for."""

    results: dict[str, Any] = field(default_factory=dict)
    errors: list[TidewaiterError] = field(default_factory=list)

    def attempt(self, member: str, step: Callable[[], Any]) -> None:
        """Run the step and keep its result or its foreseen error."""
        try:
            self.results[member] = step()
        except TidewaiterError as error:
            self.errors.append(error)


@contextmanager
def prepared(purpose: str) -> Iterator[Settings]:
    """Resolve settings, prepare the environment, hold the home, show progress."""
    settings = load_settings()
    prepare_environment(settings)
    with terminal_reporter() as reporter, reporting_to(reporter), home_locked(settings, purpose):
        yield settings


def for_each_member(settings: Settings, members: list[str] | None, step: Callable[[str], Any]) -> Attempts:
    """Run a step for the members named, or for all that have a contract."""
    codes = [code.upper() for code in members or list_members(settings.members_dir)]
    for code in codes:
        load_contract(settings.members_dir, code)
    return _attempt_all(codes, step)


def for_each_landed_member(
    settings: Settings, members: list[str] | None, step: Callable[[str], Any]
) -> Attempts:
    """Run a step for the members named, or for all that have landed extracts.

    Raises:
        UsageProblem: A member named has nothing on land, or nothing is on land at all.
    """
    known = known_members(settings)
    codes = [code.upper() for code in members or known]
    problems = [
        Problem(
            f"member '{code}' has no landed extract{closest(code, known)}",
            where=str(settings.paths.landing),
            next_step=f"tidewaiter ingest --member {code}",
        )
        for code in codes
        if code not in known
    ]
    if problems:
        raise UsageProblem(problems)
    if not codes:
        raise UsageProblem(
            Problem("nothing has been landed", where=str(settings.home), next_step="tidewaiter demo")
        )
    return _attempt_all(codes, step)


def _attempt_all(codes: list[str], step: Callable[[str], Any]) -> Attempts:
    done = Attempts()
    for code in codes:
        done.attempt(code, lambda code=code: step(code))  # type: ignore[misc]
    return done
