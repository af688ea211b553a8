"""Knowing a file again without reading it: the digest noted for bytes that have not been touched since.

A file counts as untouched where device, inode, size, and times of writing and of change are what they
were; the time of change cannot be set by a program. What was written within a moment of being noted is
read again, because clocks tick slower than files are written.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import asdict, dataclass
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
    known = noted_digest(path, home)
    if known is not None:
        return known
    before = Touched.last(path)
    sha256 = fingerprint.of_file(path)
    note_digest(path, before, sha256, home)
    return sha256


def is_noted(path: Path) -> bool:
    """Whether a file is long enough for a note."""
    return path.stat().st_size >= NOTED_BYTES


def noted_digest(path: Path, home: Home) -> str | None:
    """Return the digest noted for a file that is untouched since, or None."""
    if not is_noted(path):
        return None
    known = files.read_json(_note(path, home))
    if known is None or known["file"] != asdict(Touched.last(path)):
        return None
    return str(known["sha256"])


def note_digest(path: Path, before: Touched, sha256: str, home: Home) -> None:
    """Note the digest of a file for the next time, unless it may have been touched meanwhile.

    Args:
        path: The file.
        before: What was seen of it before its bytes were read.
        sha256: Their digest.
        home: Where notes are kept.
    """
    is_settled = time.time_ns() - max(before.mtime_ns, before.ctime_ns) > _TICK_NS
    if is_noted(path) and is_settled and Touched.last(path) == before:
        files.write_json_atomically(_note(path, home), {"file": asdict(before), "sha256": sha256})


@dataclass(frozen=True)
class Touched:
    """Which file it is, and when it was last touched: what cannot stay the same where bytes change."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def last(cls, path: Path) -> Touched:
        """Look at a file as it is now."""
        found = path.stat()
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _note(path: Path, home: Home) -> Path:
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
    return home.state / "digests" / f"{name}.json"
