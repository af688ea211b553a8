from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import prefect.artifacts
import prefect.events
import pytest

from flows.watching import announce, drift_rows, markdown, moved_features
from ml.watch import DriftReport, Finding
from tidewaiter.settings import load_settings

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


def test_features_beyond_their_limits_are_listed(tmp_path: Path) -> None:
    """The latest month's, watched ones only, the farthest first; none before features are built."""
    settings = load_settings({"home": tmp_path}, environment={})
    assert moved_features(settings) == []
    drift = settings.paths.marts / "features" / "feature_drift.parquet"
    drift.parent.mkdir(parents=True)
    duckdb.sql(
        """
        select
            member_iso2, feature, date '2025-06-01' as month, verdict, psi, 0.02 as psi_by_chance,
            0.0 as null_share, 0.0 as reference_null_share, 1.5 as mean, 1.0 as reference_mean,
            1.5 as median, 1.0 as reference_median,
            is_latest, is_watched
        from (values
            ('XB', 'price__robust_z', 'large shift', 0.5, true, true),
            ('XA', 'tax__rate_pct', 'moderate shift', 0.15, true, true),
            ('XA', 'value__ln_net_kg', 'large shift', 0.4, true, true),
            ('XA', 'calendar__month', 'large shift', 9.0, true, false),
            ('XA', 'price__robust_z', 'large shift', 0.6, false, true),
            ('XA', 'value__ln_value_usd', 'stable', 0.05, true, true)
        ) as drift (member_iso2, feature, verdict, psi, is_latest, is_watched)
        """
    ).write_parquet(str(drift))
    rows = moved_features(settings)
    assert [(row["member_iso2"], row["feature"]) for row in rows] == [
        ("XA", "value__ln_net_kg"),
        ("XA", "tax__rate_pct"),
        ("XB", "price__robust_z"),
    ]
    assert rows[0]["month"] == "2025-06"
