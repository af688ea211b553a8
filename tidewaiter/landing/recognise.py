"""Knowing a file again without reading it: the digest noted for bytes that have not been touched since.

A file counts as untouched where device, inode, size, and times of writing and of change are what they
were; the time of change cannot be set by a program. What was written within a moment of being noted is
read again, because clocks tick slower than files are written.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from tidewaiter import files, fingerprint
from tidewaiter.home import Home

# A smaller file is read in less time than a note of it is worth.
NOTED_BYTES = 16 << 20
_TICK_NS = 2_000_000_000


def digest_of(path: Path, home: Home) -> str:
    """Return the SHA-256 of a file's bytes, from a note where the file is untouched since.

    Args:
        path: The file; it is only read.
        home: Where notes are kept, under `state/`.
    """
    before = _look(path)
    if before["size"] < NOTED_BYTES:
        return fingerprint.of_file(path)
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
    note = home.state / "digests" / f"{name}.json"
    known = files.read_json(note)
    if known is not None and known["file"] == before:
        return str(known["sha256"])
    sha256 = fingerprint.of_file(path)
    if _look(path) == before and time.time_ns() - max(before["mtime_ns"], before["ctime_ns"]) > _TICK_NS:
        files.write_json_atomically(note, {"file": before, "sha256": sha256})
    return sha256


def _look(path: Path) -> dict[str, int]:
    found = path.stat()
    return {
        "device": found.st_dev,
        "inode": found.st_ino,
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
    }
