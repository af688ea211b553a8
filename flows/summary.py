"""The table at the end of a run, and the sentences around it. Data only; `flows.commands` prints it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from flows.outcome import MemberOutcome, MemberState, RunOutcome
from flows.publish import DUCKDB_FILE
from tidewaiter.settings import Settings

# Share of items inspected at which the closing table compares.
SHARE = "05"


def member_rows(outcome: RunOutcome) -> list[dict[str, Any]]:
    """Return one row per member: counts, model, and precision and revenue at 5 % with baselines.

    Shares are fractions; None where the member has no labelled items in the scored window.
    """
    return [_row(outcome.members[code]) for code in sorted(outcome.members)]


def _row(member: MemberOutcome) -> dict[str, Any]:
    def metric(name: str, ranking: str = "") -> float | None:
        return member.metrics.get(f"{ranking}/{name}_at_{SHARE}" if ranking else f"{name}_at_{SHARE}")

    return {
        "member": member.member_iso2,
        "state": str(member.state),
        "rows_in": member.rows_in,
        "rows_landed": member.rows_landed,
        "rows_quarantined": member.rows_quarantined,
        "items_scored": member.items_scored,
        "model": member.model_name,
        "model_version": member.model_version,
        "precision_at_05": metric("precision"),
        "precision_at_05_random": metric("precision", "random_expected"),
        "precision_at_05_risk_profile": metric("precision", "risk_profile"),
        "revenue_at_05": metric("revenue", "by_expected_recovery"),
        "revenue_at_05_random": metric("revenue", "random_expected"),
        "revenue_at_05_risk_profile": metric("revenue", "risk_profile"),
        "revenue_at_05_declared_duty": metric("revenue", "declared_duty"),
    }


def next_steps(settings: Settings) -> list[tuple[str, str, str]]:
    """Return where to look next: (what, where, command to type)."""
    home = settings.paths
    command = own_command()
    return [
        (
            "Published tables",
            str(home.published / DUCKDB_FILE),
            f"{command} status; any DuckDB client opens it",
        ),
        ("MLflow: runs, curves, models", str(home.mlflow), f"{command} serve"),
        ("Prefect: runs, artifacts", str(home.prefect), f"{command} serve"),
        ("Data Docs: what the gates checked", str(home.data_docs / "index.html"), "open it in a browser"),
        ("dbt docs: columns and lineage", str(home.dbt_target / "target"), f"{command} transform --docs"),
    ]


def own_command() -> str:
    """Return how to call this command from here: by name where it is on the path, else by its file."""
    if shutil.which("tidewaiter"):
        return "tidewaiter"
    script = Path(sys.executable).parent / "tidewaiter"
    return os.path.relpath(script) if script.exists() else "tidewaiter"


def markdown_summary(settings: Settings, outcome: RunOutcome) -> str:
    """Return the run in Markdown, for a Prefect artifact."""
    lines = [f"# {outcome.sentence}", ""]
    if outcome.publication_id:
        state = "unchanged" if outcome.was_current else "new"
        lines.append(f"Published set `{outcome.publication_id}` ({state}) after {outcome.seconds:.0f} s.")
    for code in sorted(outcome.members):
        member = outcome.members[code]
        lines += ["", f"## {code}: {member.state}", ""]
        lines.append(
            f"{member.rows_in:,} rows in = {member.rows_landed:,} landed + {member.rows_quarantined:,}"
            f" quarantined; {member.items_scored:,} items scored"
            + (f" by {member.model_name} version {member.model_version}." if member.model_name else ".")
        )
        lines += [f"- {note}" for note in member.notes]
        lines += [f"- **{member.stopped_at}**: {problem}" for problem in member.problems]
    if outcome.in_state(MemberState.HELD):
        lines += ["", f"Data Docs: `{settings.paths.data_docs / 'index.html'}`"]
    if outcome.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in outcome.notes)]
    return "\n".join(lines)
