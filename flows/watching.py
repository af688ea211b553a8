"""Watching champions and shadows: reports on disk, artifacts and events in Prefect."""

from __future__ import annotations

from typing import Any

from flows.progress import step
from tidewaiter.files import write_json_atomically
from tidewaiter.marts import mart_path
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal

DRIFT = "drift"
EVENT = "tidewaiter.drift"
_LARGEST = 10


def watch(settings: Settings, member: str) -> Any:
    """Compare a member's recent items with what its champion knows; return the report, None without one.

    The report is written to `drift/<member>.json` under the home folder.
    """
    from ml.config import load_config
    from ml.watch import watch_member

    with step(f"{member} drift") as running:
        report = watch_member(settings, load_config(), member)
        if report is None:
            running.note("no champion")
            return None
        path = settings.home / DRIFT / f"{member}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomically(path, report.as_json())
        alarms = sum(one.severity == "alarm" for one in report.findings)
        running.note(report.note or f"{len(report.findings)} findings, {alarms} of them alarms")
    return report


def announce(report: Any) -> None:
    """Make a report an artifact of the current flow run and, where a limit is crossed, an event.

    The event is `tidewaiter.drift.alarm` or `tidewaiter.drift.warning`; its resource is the model.
    """
    from prefect.artifacts import create_markdown_artifact
    from prefect.events import emit_event

    create_markdown_artifact(
        key=f"drift-{report.member_iso2.lower()}",
        markdown=markdown(report),
        description=f"Drift of {report.member_iso2} from what {report.model_name} knows",
    )
    if not report.findings:
        return
    emit_event(
        event=f"{EVENT}.{'alarm' if report.is_alarm else 'warning'}",
        resource={
            "prefect.resource.id": f"tidewaiter.model.{report.model_name}",
            "prefect.resource.name": f"{report.model_name} version {report.model_version}",
        },
        payload={
            "member": report.member_iso2,
            "first_day": report.first_day,
            "last_day": report.last_day,
            "findings": [one.words for one in report.findings],
        },
    )


def markdown(report: Any) -> str:
    """Return a report in words: the findings, then the features that moved most."""
    lines = [
        f"# {report.member_iso2}: {report.model_name} version {report.model_version}",
        f"{report.items:,} items from {report.first_day} to {report.last_day}.",
    ]
    if report.note:
        lines.append(report.note)
    lines += [f"- **{one.severity}**, {one.kind}: {one.words}" for one in report.findings] or [
        "No limit is crossed."
    ]
    if report.psi:
        lines += ["", "| | population stability index |", "| --- | --- |"]
        lines += [f"| {name} | {value:.3f} |" for name, value in list(report.psi.items())[:_LARGEST]]
    return "\n".join(lines)


def moved_features(settings: Settings) -> list[dict[str, Any]]:
    """Return the watched features whose latest month lies beyond a limit, by member, the farthest first.

    Read from `features.feature_drift`; empty where nothing moved or features were not built yet. Means and
    medians are in the unit of the feature, shares are fractions.
    """
    mart = mart_path(settings.paths, "features", "feature_drift")
    if not mart.is_file():
        return []
    with open_duckdb(settings) as connection:
        found = connection.execute(
            f"""
            select
                member_iso2, feature, strftime(month, '%Y-%m') as month, verdict, psi, psi_by_chance,
                null_share, reference_null_share, mean, reference_mean, median, reference_median
            from read_parquet({quote_literal(mart)})
            where is_latest and is_watched and verdict in ('moderate shift', 'large shift')
            order by member_iso2, psi - psi_by_chance desc, feature
            """
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def drift_rows(reports: list[Any]) -> list[dict[str, Any]]:
    """Return one row per finding, and one for each member without any."""
    rows = []
    for report in reports:
        base = {
            "member": report.member_iso2,
            "model": f"{report.model_name} v{report.model_version}",
            "items": report.items,
        }
        found = [
            base | {"severity": one.severity, "kind": one.kind, "finding": one.words}
            for one in report.findings
        ]
        rows += found or [
            base | {"severity": "", "kind": "", "finding": report.note or "no limit is crossed"}
        ]
    return rows


def shadow_rows(runs: list[Any]) -> list[dict[str, Any]]:
    """Return one row per challenger that was scored beside its champion."""
    return [
        {
            "member": run.member_iso2,
            "model": run.model_name,
            "champion": run.champion,
            "challenger": run.challenger,
            "items": run.items,
            "rank_correlation": run.rank_correlation,
            "red_lane_in_common": run.same_top,
            "items_in_another_lane": run.lane_changes,
            "score_psi": run.score_psi,
            "average_precision": run.metrics.get("average_precision"),
        }
        for run in runs
    ]
