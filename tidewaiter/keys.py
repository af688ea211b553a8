"""Keys on disk: generated once, closed to others, replaced in one step, retired with a last day.

Values of keys never leave this module except to those who compute with them; messages and logs show
the `key_id` at most.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from tidewaiter import files
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.home import Home

MINIMUM_KEY_BYTES = 32

_OTHERS_MAY = 0o077
_OWNER_ONLY_FOLDER = 0o700
_OWNER_ONLY_FILE = 0o600


def load_key(home: Home, file_name: str, variable: str, environment: Mapping[str, str]) -> bytes:
    """Return a key from the environment, or else from its file, generated where there is none.

    Raises:
        UsageProblem: The key is too short or not hexadecimal.
        TidewaiterError: The key file can be read by others, or cannot be written.
    """
    if given := environment.get(variable):
        return _parse_key(given, where=variable)
    path = home.keys / file_name
    if not path.exists():
        _generate_key_file(path, variable)
    return read_key(path)


def read_key(path: Path) -> bytes:
    """Return the key in a file.

    Raises:
        UsageProblem: It is too short or not hexadecimal.
        TidewaiterError: Others can read the file.
    """
    if path.stat().st_mode & _OTHERS_MAY:
        raise TidewaiterError(
            Problem(
                "the key can be read by others",
                where=str(path),
                expected="mode 600",
                next_step=f"chmod 600 {path}",
            )
        )
    return _parse_key(path.read_text(encoding="ascii", errors="replace"), where=str(path))


def replace_key(home: Home, file_name: str) -> bytes:
    """Write a new key in the place of the old one and return it; a kill leaves either."""
    key = secrets.token_hex(MINIMUM_KEY_BYTES)
    files.write_text_atomically(home.keys / file_name, key + "\n", mode=_OWNER_ONLY_FILE)
    return bytes.fromhex(key)


def set_aside(home: Home, file_name: str, key_id: str, keep_until: datetime) -> Path:
    """Copy the present key to `keys/retired/`, to be removed after `keep_until` (naive UTC)."""
    folder = home.keys / "retired"
    folder.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY_FOLDER)
    path = folder / f"{key_id}.key"
    key = read_key(home.keys / file_name).hex()
    files.write_json_atomically(path.with_suffix(".json"), {"keep_until": keep_until.isoformat()})
    files.write_text_atomically(path, key + "\n", mode=_OWNER_ONLY_FILE)
    return path


def release(home: Home, key_id: str, keep_until: datetime) -> None:
    """Set the last day of a key that was set aside; nothing happens where there is none."""
    record = home.keys / "retired" / f"{key_id}.json"
    if record.exists():
        files.write_json_atomically(record, {"keep_until": keep_until.isoformat()})


def remove_expired_keys(home: Home, now: datetime) -> list[str]:
    """Remove retired keys whose day has come; return their ids."""
    removed = []
    for record in sorted((home.keys / "retired").glob("*.json")):
        if datetime.fromisoformat((files.read_json(record) or {})["keep_until"]) <= now:
            # The key first: a kill in between leaves a record, never a forgotten key.
            record.with_suffix(".key").unlink(missing_ok=True)
            record.unlink()
            removed.append(record.stem)
    return removed


def _generate_key_file(path: Path, variable: str) -> None:
    """Create the key file in one step: of two racing processes one wins, and both read its key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY_FOLDER)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY_FILE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(secrets.token_hex(MINIMUM_KEY_BYTES) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        # A link fails where the name is taken and never shows a half-written file.
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was first; its key is the key
    except OSError as error:
        raise TidewaiterError(
            Problem(
                f"the key cannot be written: {error.strerror}",
                where=str(path),
                next_step=f"set {variable}, or put TIDEWAITER_HOME on a disk that can hold it",
            )
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def _parse_key(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < MINIMUM_KEY_BYTES:
        raise UsageProblem(
            Problem(
                "the key is not usable",  # its value is a secret and stays out of the message
                where=where,
                expected=f"at least {MINIMUM_KEY_BYTES} bytes as hexadecimal digits",
                next_step="python3 -c 'import secrets; print(secrets.token_hex(32))' makes one",
            )
        )
    return key
