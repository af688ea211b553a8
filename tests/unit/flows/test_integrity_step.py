"""The integrity step of a run tells, and holds nobody up."""

from __future__ import annotations

from typing import Any

import pytest

from flows import integrity, pipeline
from flows.outcome import MemberOutcome, MemberState, RunOutcome
from ml.integrity.run import MemberRun
from tidewaiter.errors import ExitCode, UsageProblem
from tidewaiter.settings import Settings


class _Future:
    def __init__(self, found: Any) -> None:
        self._found = found

    def result(self) -> Any:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class _Task:
    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.asked: list[dict[str, Any]] = []

    def submit(self, **arguments: Any) -> _Future:
        self.asked.append(arguments)
        return _Future(self.found[arguments["member"]])


@pytest.fixture
def outcome() -> RunOutcome:
    members = {code: MemberOutcome(code) for code in ("XA", "XB")}
    return RunOutcome(members, publication_id="set")


@pytest.fixture
def step(tmp_path, monkeypatch) -> Any:
    """Run the step with a stand-in for dbt and for the indicators of each member."""
    monkeypatch.setattr(pipeline.integrity_reading, "publish_signals", lambda settings: None)

    def run(outcome: RunOutcome, built: Any, found: dict[str, Any], *, newest_only: bool = False) -> _Task:
        def transform_task(**_: Any) -> Any:
            if isinstance(built, Exception):
                raise built
            return built

        task = _Task(found)
        monkeypatch.setattr(pipeline, "transform_task", transform_task)
        monkeypatch.setattr(pipeline, "integrity_task", task)
        pipeline._integrity(Settings(home=tmp_path), outcome, newest_only=newest_only)
        return task

    return run


def _still_published(outcome: RunOutcome) -> bool:
    states = {member.state for member in outcome.members.values()}
    return states == {MemberState.PUBLISHED} and outcome.exit_code is ExitCode.OK


def test_counts_that_cannot_be_built_hold_nobody_up(step, outcome):
    task = step(outcome, RuntimeError("dbt said no"), {})
    assert _still_published(outcome)
    assert outcome.notes == ["integrity was not looked at: dbt said no"]
    assert task.asked == []


def test_one_members_trouble_is_its_own(step, outcome):
    well = MemberRun("XB", to_be_checked={"B1": 1, "A1": 2})
    step(outcome, None, {"XA": ValueError("odd rows"), "XB": well})
    assert _still_published(outcome)
    assert outcome.members["XA"].notes == ["integrity was not looked at: odd rows"]
    assert outcome.members["XB"].notes == ["integrity: 3 signals to be checked (A1 2, B1 1)"]


def test_the_demo_looks_once(step, outcome):
    quiet = {code: MemberRun(code) for code in outcome.members}
    task = step(outcome, None, quiet, newest_only=True)
    assert [one["newest_only"] for one in task.asked] == [True, True]
    assert outcome.members["XA"].notes == ["integrity: 0 signals to be checked"]


def test_indicators_are_known_by_any_spelling_and_by_no_other():
    assert integrity.known_indicators(["a1", " B3 "]) == ["A1", "B3"]
    assert integrity.known_indicators(None) is None
    with pytest.raises(UsageProblem, match="unknown indicator 'Z9'"):
        integrity.known_indicators(["Z9", "A1"])
