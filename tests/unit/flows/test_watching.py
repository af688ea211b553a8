from __future__ import annotations

from typing import Any

import prefect.artifacts
import prefect.events
import pytest

from flows.watching import announce, drift_rows, markdown
from ml.watch import DriftReport, Finding

_BASE: dict[str, Any] = {
    "member_iso2": "XA",
    "model_name": "irregularity-xa",
    "model_version": "3",
    "first_day": "2025-05-01",
    "last_day": "2025-06-25",
    "items": 1234,
    "psi": {"score": 0.31, "price__robust_z": 0.12},
}


def _finding(severity: Any) -> Finding:
    return Finding("score", "score", 0.31, 0.25, severity, "population stability index of score is 0.31")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(prefect.events, "emit_event", lambda **told: found.append(told))
    monkeypatch.setattr(prefect.artifacts, "create_markdown_artifact", lambda **told: found.append(told))
    return found


@pytest.mark.parametrize(
    ("severities", "event"),
    [
        ((), None),
        (("warning",), "tidewaiter.drift.warning"),
        (("warning", "alarm"), "tidewaiter.drift.alarm"),
    ],
)
def test_an_event_says_how_grave_it_is_and_of_which_model(
    sent: list[dict[str, Any]], severities: tuple[str, ...], event: str | None
) -> None:
    announce(DriftReport(**_BASE, findings=tuple(_finding(one) for one in severities)))
    assert sent[0]["key"] == "drift-xa"
    assert [one["event"] for one in sent[1:]] == ([event] if event else [])
    for one in sent[1:]:
        assert one["resource"]["prefect.resource.id"] == "tidewaiter.model.irregularity-xa"
        assert one["payload"]["member"] == "XA"


def test_the_trigger_of_the_weekly_training_expects_the_alarm() -> None:
    import yaml

    from tidewaiter.settings import PROJECT_ROOT

    deployments = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text())["deployments"]
    (trigger,) = next(one for one in deployments if one["name"] == "weekly")["triggers"]
    assert trigger["expect"] == ["tidewaiter.drift.alarm"]
    assert trigger["match"] == {"prefect.resource.id": "tidewaiter.model.*"}


def test_a_report_in_words_and_rows() -> None:
    quiet = DriftReport(**_BASE, findings=())
    assert "No limit is crossed." in markdown(quiet)
    assert "| score | 0.310 |" in markdown(quiet)
    assert drift_rows([quiet])[0]["finding"] == "no limit is crossed"
    loud = DriftReport(**_BASE, findings=(_finding("alarm"),))
    assert "**alarm**" in markdown(loud)
    assert drift_rows([loud])[0]["severity"] == "alarm"
