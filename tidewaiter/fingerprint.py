"""Content-derived identities: same input, same name, whoever computes it and however often."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits; the file need not fit into memory."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def of_json(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def of_tree(root: Path, patterns: Iterable[str]) -> str:
    """Return the SHA-256 over the names and bytes of the files below `root` that match.

    Args:
        root: Folder whose relative paths enter the digest, so that a moved checkout is the same.
        patterns: Glob patterns relative to `root`, such as `models/**/*.sql`.
    """
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})
    return of_json([[path.relative_to(root).as_posix(), of_file(path)] for path in files])
