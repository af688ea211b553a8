"""What a run says at its end: the gravest exit code, and each member that did not go through by name."""

from __future__ import annotations

import pytest

from flows.outcome import MemberOutcome, MemberState, RunOutcome
from flows.record import forget_outcome, read_outcome, write_outcome
from tidewaiter.errors import ExitCode, GateRefused, Problem
from tidewaiter.settings import load_settings


def _outcome(*, publication_id="abc", **errors):
    members = {}
    for code, error in errors.items():
        members[code] = MemberOutcome(code)
        if error is not None:
            members[code].stop("landing gate", error)
    return RunOutcome(members, publication_id=publication_id)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (_outcome(XA=None, XB=None), ExitCode.OK),
        (_outcome(XA=None, XB=GateRefused("bad")), ExitCode.GATE_REFUSED),
        (_outcome(XA=GateRefused("bad"), publication_id=None), ExitCode.GATE_REFUSED),
        (_outcome(XA=ValueError("boom"), XB=GateRefused("bad")), ExitCode.FAILED),
        (_outcome(publication_id=None), ExitCode.FAILED),
    ],
)
def test_exit_code(outcome, expected):
    assert outcome.exit_code == expected


def test_sentence_names_who_was_stopped_and_where():
    outcome = _outcome(XA=None, XB=GateRefused("bad"), XC=ValueError("boom"))
    outcome.members["KR"] = MemberOutcome("KR", state=MemberState.ABSENT)
    assert outcome.sentence == (
        "1 of 3 members published; XB held at landing gate; XC failed at landing gate"
    )


def test_training_is_about_models_and_publishes_nothing():
    outcome = RunOutcome({"XA": MemberOutcome("XA"), "pooled": MemberOutcome("pooled")}, purpose="trained")
    assert (outcome.sentence, outcome.exit_code) == ("2 of 2 models trained", ExitCode.OK)


def test_stop_keeps_every_problem():
    member = MemberOutcome("XA")
    member.stop("landing", GateRefused([Problem("one"), Problem("two")]))
    assert [problem.what for problem in member.problems] == ["one", "two"]
    assert not member.goes_on


def test_record_survives_the_round_trip(tmp_path):
    settings = load_settings({"home": tmp_path}, environment={})
    outcome = _outcome(XA=None, XB=GateRefused([Problem("bad", where="XB, a.csv", next_step="mend it")]))
    outcome.members["XA"].metrics = {"model": {"precision_at_05": 0.5}}
    write_outcome(settings, outcome)
    assert read_outcome(settings) == outcome
    forget_outcome(settings)
    assert read_outcome(settings) is None
