"""Who looked at what about whom, when and why: one line per view, appended and never changed.

Each line carries the digest of the one before, so that a line that was changed or taken out shows. The log is
for whoever supervises the analysts; it holds pseudonyms, never an identifier.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.settings import Settings

_FILE = "access.jsonl"
_OWNER_ONLY_FOLDER, _OWNER_ONLY_FILE = 0o700, 0o600
_SHORTEST_PURPOSE = 5
_FIRST = "0" * 64


def access_log(settings: Settings) -> Path:
    """Return where the log is kept."""
    return settings.paths.integrity / _FILE


def private_folder(path: Path) -> Path:
    """Make a folder that its owner alone can enter, and close it where it stands open."""
    path.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY_FOLDER)
    if path.stat().st_mode & 0o077:
        path.chmod(_OWNER_ONLY_FOLDER)
    return path


def require_purpose(purpose: str | None) -> str:
    """Return the purpose in one line.

    Raises:
        UsageProblem: There is none worth the name.
    """
    words = " ".join((purpose or "").split())
    if len(words) < _SHORTEST_PURPOSE:
        raise UsageProblem(
            Problem(
                "say why this is looked at",
                expected="a purpose in words, such as a case number or a periodic review",
                next_step='--purpose "periodic review, first quarter"',
            )
        )
    return words


def record_access(
    settings: Settings,
    action: str,
    purpose: str,
    member: str | None = None,
    entities: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Append one line to the log and return it. Nothing may be shown before this has come back.

    Args:
        settings: Where the home is.
        action: Such as `dossier`.
        purpose: Why, in the analyst's words.
        member: Whose data.
        entities: Pseudonyms that were shown.
        more: What else the record should hold; no identifier.

    Raises:
        TidewaiterError: The log cannot be written; then nothing is to be shown.
    """
    private_folder(settings.paths.integrity)
    path = access_log(settings)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _OWNER_ONLY_FILE)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            entry = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "who": getpass.getuser(),
                "action": action,
                "member": member,
                "entities": list(entities),
                "purpose": purpose,
                **more,
                "previous": _last_digest(handle.read()),
            }
            handle.write(json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise TidewaiterError(
            Problem(
                f"the access cannot be put on record, so nothing is shown: {error.strerror}",
                where=str(path),
                next_step="make the home folder writable for its owner",
            )
        ) from None
    return entry


def read_accesses(settings: Settings) -> list[dict[str, Any]]:
    """Return the log, the oldest line first, each with `is_intact`: that it follows on the one before."""
    path = access_log(settings)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found, expected = [], _FIRST
    for line in lines:
        entry = _parsed(line)
        found.append(entry | {"is_intact": entry.get("previous") == expected})
        expected = _digest(line)
    return found


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) else {"action": "unreadable line"}


def _last_digest(text: str) -> str:
    lines = text.splitlines()
    return _digest(lines[-1]) if lines else _FIRST


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
