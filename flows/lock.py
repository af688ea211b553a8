"""One run at a time on one home: a lock file that says who holds it.

Prefect's work pool lets one run at a time through; this lock also holds back a command typed beside
it, and survives a kill: the lock belongs to the open file, so it ends with the last process that has
the file open. A dbt process that outlives its killed parent keeps it, because dbt inherits it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.settings import Settings

_POLL_SECONDS = 0.2
_held: dict[Path, IO[str]] = {}


class Busy(TidewaiterError):
    """Another process holds the home."""


def lock_path(settings: Settings) -> Path:
    """Return the lock file of a home."""
    return settings.paths.state / "run.lock"


def held_descriptor(settings: Settings) -> int | None:
    """Return the descriptor of the lock this process holds, for subprocesses to inherit."""
    handle = _held.get(lock_path(settings))
    return None if handle is None else handle.fileno()


@contextmanager
def home_locked(settings: Settings, purpose: str) -> Iterator[None]:
    """Hold the home for the length of the block. Re-entrant within a process.

    Raises:
        Busy: Another process still held it after `settings.lock_timeout_s`.
    """
    path = lock_path(settings)
    if path in _held:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        _acquire(handle, path, settings.lock_timeout_s)
        handle.seek(0)
        handle.truncate()
        json.dump({"pid": os.getpid(), "purpose": purpose, "since": f"{datetime.now(UTC):%FT%TZ}"}, handle)
        handle.flush()
        _held[path] = handle
        try:
            yield
        finally:
            del _held[path]


def holder(path: Path) -> str:
    """Return who wrote the lock last, in words."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"process {found['pid']} ({found['purpose']}) since {found['since']}"
    except (FileNotFoundError, ValueError, KeyError):
        return "another process"


def _acquire(handle: IO[str], path: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    Problem(
                        f"{holder(path)} is still at work after {timeout_s:g} s of waiting",
                        where=str(path.parent.parent),
                        next_step="wait for it, or raise TIDEWAITER_LOCK_TIMEOUT_S",
                    )
                ) from None
            time.sleep(_POLL_SECONDS)
