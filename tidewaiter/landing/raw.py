"""Keeping the original bytes, so that a mended contract can land them again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidewaiter import files, fingerprint
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.fence import refuse_truth
from tidewaiter.home import Home

RECEIVED_FILE = "received.json"
CONTENTS_FILE = "contents.json"  # digests of the files of an archive, by name
ERASED_FILE = "erased.json"  # lines that an erasure emptied, or that the file was removed
_OUR_FILES = (RECEIVED_FILE, CONTENTS_FILE, ERASED_FILE)
_CHUNK_BYTES = 1 << 22
_OWNER_ONLY_FOLDER = 0o700  # original bytes hold identities in clear
_OWNER_ONLY_FILE = 0o600


@dataclass(frozen=True)
class StoredRaw:
    """One file as it arrived.

    Attributes:
        path: The kept copy; the file where it lies, where the copy was removed after an erasure.
        folder: Where the copy and what is known of it are kept.
        sha256: Digest of its bytes, 64 hex digits.
        size_bytes: Its length.
        file_name: Name under which these bytes first arrived.
        received_at: First arrival, naive UTC; never rewritten.
        archive_sha256: Digest of the archive that the file was unpacked from. `folder` is then the
            archive's, and `path` is gone once the file is landed.
    """

    path: Path
    folder: Path
    sha256: str
    size_bytes: int
    file_name: str
    received_at: datetime
    archive_sha256: str | None = None

    @property
    def extract_id(self) -> str:
        """First 12 hex digits of the SHA-256: the name of the extract."""
        return self.sha256[:12]

    @property
    def kept_path(self) -> Path:
        """Where the bytes are kept as they arrived: the archive, where the file came in one."""
        return self.folder / self.file_name.partition("/")[0]

    @property
    def is_kept(self) -> bool:
        """Whether the copy is there; bytes elsewhere are the member's, and only read."""
        return self.path.parent == self.folder


def store_raw(
    path: Path,
    member_iso2: str,
    sha256: str,
    home: Home,
    look: Callable[[bytes], None] | None = None,
) -> StoredRaw:
    """Copy a file to `raw/<MEMBER>/<sha256>/` unless its bytes are there already; link what was fetched.

    Args:
        path: The file as the member sent it; it is only read.
        member_iso2: Whose file it is.
        sha256: Digest of the file, from `fingerprint.of_file`.
        home: Layout of the output folder.
        look: Given the bytes in chunks while they are copied; nothing where they are not.

    Raises:
        TidewaiterError: The file changed between the digest and the copy.
        UsageProblem: The file is the truth behind synthetic extracts.
    """
    refuse_truth(path)
    folder = home.raw / member_iso2 / sha256
    received = files.read_json(folder / RECEIVED_FILE)
    if received is None:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY_FOLDER)
        received = _receive(path, sha256, folder, look, ours=path.is_relative_to(home.inbox))
    return _stored(folder, received, otherwise=path)


def kept_raw(member_iso2: str, sha256: str, home: Home) -> StoredRaw | None:
    """Return the kept bytes of a digest, or None where they never arrived or were removed since.

    The digest names the bytes as they arrived: an erasure may have emptied lines of them.
    """
    folder = home.raw / member_iso2 / sha256
    received = files.read_json(folder / RECEIVED_FILE)
    if received is None or not (folder / received["source_file"]).is_file():
        return None
    return _stored(folder, received, otherwise=folder)


def _stored(folder: Path, received: dict[str, Any], otherwise: Path) -> StoredRaw:
    kept = folder / received["source_file"]
    return StoredRaw(
        # Bytes that were removed after an erasure are read where they lie, and not kept again.
        path=kept if kept.is_file() else otherwise,
        folder=folder,
        sha256=received["source_sha256"],
        size_bytes=received["source_bytes"],
        file_name=received["source_file"],
        received_at=datetime.fromisoformat(received["received_at"]),
    )


def _receive(
    path: Path, sha256: str, folder: Path, look: Callable[[bytes], None] | None, *, ours: bool
) -> dict[str, Any]:
    with files.folder_replaced_atomically(folder) as partial:
        partial.chmod(_OWNER_ONLY_FOLDER)
        # A source that calls its file like our records must not overwrite one.
        name = files.printable(path.name)
        name = f"source-{name}" if name in _OUR_FILES else name
        # What was fetched lies in our own inbox and is never changed in place: both names, one copy.
        copied = (ours and _link(path, partial / name)) or _copy(path, partial / name, look)
        if copied != sha256:
            raise TidewaiterError(
                Problem(
                    "the file changed while it was read",
                    where=str(path),
                    next_step="run again once the upload has finished",
                )
            )
        received = {
            "source_file": name,
            "source_bytes": (partial / name).stat().st_size,
            "source_sha256": sha256,
            "received_at": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds"),
        }
        files.write_json_atomically(partial / RECEIVED_FILE, received)
    return received


def _link(source: Path, target: Path) -> str | None:
    """Give the file a second name and return its digest; None where the file system has no such links."""
    try:
        target.hardlink_to(source)
    except OSError:
        return None
    target.chmod(_OWNER_ONLY_FILE)
    return fingerprint.of_file(target)


def _copy(source: Path, target: Path, look: Callable[[bytes], None] | None) -> str:
    """Copy a file and return its digest, which is made in a thread beside: it takes as long as writing."""
    digest = hashlib.sha256()

    def see(chunk: bytes) -> None:
        digest.update(chunk)
        if look is not None:
            look(chunk)

    with (
        source.open("rb") as reader,
        target.open("xb") as writer,
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        target.chmod(_OWNER_ONLY_FILE)
        seeing: Future[None] | None = None
        while chunk := reader.read(_CHUNK_BYTES):
            if seeing is not None:
                seeing.result()
            seeing = beside.submit(see, chunk)
            writer.write(chunk)
        if seeing is not None:
            seeing.result()
    return digest.hexdigest()
