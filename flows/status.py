"""Where things stand, read from the files under the home; starts nothing."""

from __future__ import annotations

import fcntl
from typing import Any

from flows.lock import holder, lock_path
from flows.manifest import item_counts, read_manifest
from flows.publish import current_publication
from flows.record import read_outcome
from flows.summary import member_rows
from tidewaiter.settings import Settings


def read_status(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of `tidewaiter status` by title."""
    outcome = read_outcome(settings)
    return {
        "home": [{"folder": str(settings.home), "held_by": _held_by(settings)}],
        "landed": _landed(settings),
        "last_run": [] if outcome is None else member_rows(outcome),
        "last_run_said": [] if outcome is None else _said(outcome),
        "published": _published(settings),
    }


def _held_by(settings: Settings) -> str:
    path = lock_path(settings)
    if not path.exists():
        return "nobody"
    with path.open("r", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return holder(path)
    return "nobody"


def _landed(settings: Settings) -> list[dict[str, Any]]:
    manifest = read_manifest(settings)
    rows = []
    for code in sorted({row.member_iso2 for row in manifest}):
        own = [row for row in manifest if row.member_iso2 == code]
        rows_in, landed, quarantined = item_counts(own)
        rows.append(
            {
                "member": code,
                "extracts": len(own),
                "accepted": sum(row.is_accepted for row in own),
                "rows_in": rows_in,
                "rows_landed": landed,
                "rows_quarantined": quarantined,
                "newest": f"{max(row.received_at for row in own):%Y-%m-%d %H:%M}",
            }
        )
    return rows


def _said(outcome: Any) -> list[dict[str, Any]]:
    said = [{"member": "all", "said": outcome.sentence}]
    for code, member in sorted(outcome.members.items()):
        said += [{"member": code, "said": text} for text in (*member.notes, *map(str, member.problems))]
    return said


def _published(settings: Settings) -> list[dict[str, Any]]:
    current = current_publication(settings)
    if current is None:
        return []
    return [
        {
            "set": current["publication_id"],
            "published_at": current["published_at"],
            "members": ", ".join(f"{code} {state}" for code, state in sorted(current["members"].items())),
            "table": table,
            "rows": rows,
        }
        for table, rows in sorted(current["rows"].items())
    ]
