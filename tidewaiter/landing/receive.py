"""Receiving a file: its bytes are kept, its digest is known, and nobody lands the same ones meanwhile."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tidewaiter import files
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.raw import Copied, StoredRaw, copy_to, is_size_kept, store_raw
from tidewaiter.landing.recognise import Touched, digest_of, note_digest, noted_digest
from tidewaiter.settings import Settings

# Of a shorter file the digest costs less than to look through what is kept.
_COPIED_FIRST_BYTES = 1 << 28


@contextmanager
def received(
    path: Path,
    member_iso2: str,
    settings: Settings,
    sha256: str | None = None,
    look: Callable[[bytes | bytearray], None] | None = None,
) -> Iterator[StoredRaw]:
    """Keep the bytes of a file and yield them; meanwhile nobody else lands them.

    A long file whose bytes cannot have come before is read once: its digest is made of what is copied.
    Of any other the digest comes first, so that nothing is copied twice.

    Args:
        path: The file; it is only read.
        member_iso2: Whose file it is.
        settings: Where the home is.
        sha256: Its digest, where it is known.
        look: Given the bytes in chunks while they are copied; nothing where they are not.

    Raises:
        TidewaiterError: The file changed while it was read, or another process lands it.
    """
    home = settings.paths
    sha256 = sha256 or noted_digest(path, home)
    size = path.stat().st_size
    if sha256 is None and size >= _COPIED_FIRST_BYTES and not is_size_kept(size, member_iso2, home):
        with (
            _copied(path, member_iso2, settings, look) as copied,
            one_landing_at_a_time(member_iso2, copied.sha256, settings),
        ):
            yield store_raw(path, member_iso2, copied.sha256, home, copied=copied)
        return
    sha256 = sha256 or digest_of(path, home)
    with one_landing_at_a_time(member_iso2, sha256, settings):
        yield store_raw(path, member_iso2, sha256, home, look)


@contextmanager
def one_landing_at_a_time(member_iso2: str, sha256: str, settings: Settings) -> Iterator[None]:
    """Let two processes that are given the same file land it once. A kill frees the lock."""
    with _locked(f"landing-{member_iso2}-{sha256[:12]}", settings):
        yield


@contextmanager
def _copied(
    path: Path, member_iso2: str, settings: Settings, look: Callable[[bytes | bytearray], None] | None
) -> Iterator[Copied]:
    """Yield a copy under a name that the file's place decides: its bytes are not known yet.

    Two processes that are given the same place come one after the other, so that what a killed one
    left can be told from what is being written.
    """
    place = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
    folder = settings.paths.raw / member_iso2 / f"{files.PARTIAL_PREFIX}arriving-{place}"
    with _locked(f"arriving-{member_iso2}-{place}", settings):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            before = Touched.last(path)
            copied = copy_to(folder, path, settings.paths, look)
            if Touched.last(path) != before:
                raise TidewaiterError(
                    Problem(
                        "the file changed while it was read",
                        where=str(path),
                        next_step="run again once the upload has finished",
                    )
                )
            note_digest(path, before, copied.sha256, settings.paths)
            yield copied
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(name: str, settings: Settings) -> Iterator[None]:
    path = settings.paths.state / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=settings.lock_timeout_s):
            yield
    except Timeout:
        raise TidewaiterError(
            Problem(
                f"another process has been landing this file for {settings.lock_timeout_s:.0f} s",
                where=str(path),
                next_step="wait for it, or raise lock_timeout_s",
            )
        ) from None
