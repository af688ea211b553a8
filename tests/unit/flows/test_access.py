"""The access log: appended, closed to others, and a change of it shows."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from flows.access import access_log, read_accesses, record_access, require_purpose
from tidewaiter.errors import TidewaiterError, UsageProblem
from tidewaiter.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_each_view_is_a_line_that_says_who_what_and_why(settings: Settings) -> None:
    record_access(settings, "signals", "periodic review", "XA", ["p1", "p2"])
    record_access(settings, "dossier", "case 7", "XA", ["p1"], case="7")
    first, second = read_accesses(settings)
    assert (first["action"], first["purpose"], first["entities"]) == (
        "signals",
        "periodic review",
        ["p1", "p2"],
    )
    assert second["case"] == "7"
    assert second["who"]
    assert first["is_intact"]
    assert second["is_intact"]


def test_others_can_read_neither_folder_nor_log(settings: Settings) -> None:
    settings.paths.integrity.mkdir(mode=0o755)
    record_access(settings, "signals", "periodic review")
    assert stat.S_IMODE(settings.paths.integrity.stat().st_mode) == 0o700
    assert stat.S_IMODE(access_log(settings).stat().st_mode) == 0o600


@pytest.mark.parametrize("harm", ["changed", "taken out", "garbled"])
def test_a_line_that_was_tampered_with_shows(settings: Settings, harm: str) -> None:
    for number in range(3):
        record_access(settings, "dossier", f"case {number} opened", "XA", [f"p{number}"])
    path = access_log(settings)
    lines = path.read_text().splitlines()
    if harm == "changed":
        lines[1] = json.dumps(json.loads(lines[1]) | {"purpose": "something else"})
    elif harm == "taken out":
        del lines[1]
    else:
        lines[1] = "not a record"
    path.write_text("\n".join(lines) + "\n")
    assert not all(entry["is_intact"] for entry in read_accesses(settings))


def test_without_a_record_nothing_may_be_shown(settings: Settings) -> None:
    access_log(settings).mkdir(parents=True)
    with pytest.raises(TidewaiterError, match="nothing is shown"):
        record_access(settings, "dossier", "case 1 opened")


@pytest.mark.parametrize("purpose", [None, "", "   ", "x", " ab \n c"])
def test_a_purpose_is_words(purpose: str | None) -> None:
    with pytest.raises(UsageProblem, match="why"):
        require_purpose(purpose)


def test_a_purpose_is_one_line() -> None:
    assert require_purpose("case\n 12") == "case 12"
