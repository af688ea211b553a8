"""Keeping the original bytes, so that a mended contract can land them again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
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


@dataclass(frozen=True)
class Copied:
    """A copy of a file that is not among the kept ones yet.

    Attributes:
        path: Where it lies, on the file system of the kept ones.
        sha256: Digest of its bytes.
    """

    path: Path
    sha256: str


def store_raw(
    path: Path,
    member_iso2: str,
    sha256: str,
    home: Home,
    look: Callable[[bytes | bytearray], None] | None = None,
    copied: Copied | None = None,
) -> StoredRaw:
    """Keep a file as `raw/<MEMBER>/<sha256>/` unless its bytes are there already; link what was fetched.

    Args:
        path: The file as the member sent it; it is only read.
        member_iso2: Whose file it is.
        sha256: Digest of the file, from `fingerprint.of_file`.
        home: Layout of the output folder.
        look: Given the bytes in chunks while they are copied; nothing where they are not.
        copied: A copy that was made of it, to be moved; otherwise one is made.

    Raises:
        TidewaiterError: The file changed between the digest and the copy.
        UsageProblem: The file is the truth behind synthetic extracts.
    """
    refuse_truth(path)
    folder = home.raw / member_iso2 / sha256
    received = files.read_json(folder / RECEIVED_FILE)
    if received is None:
        files.make_folder(folder.parent, mode=_OWNER_ONLY_FOLDER)
        with files.folder_replaced_atomically(folder) as partial:
            partial.chmod(_OWNER_ONLY_FOLDER)
            received = _receive(path, sha256, partial, copied or copy_to(partial, path, home, look))
    return _stored(folder, received, otherwise=path)


def is_size_kept(size_bytes: int, member_iso2: str, home: Home) -> bool:
    """Whether any file of so many bytes was kept for the member: only then can the same one have come."""
    records = map(files.read_json, (home.raw / member_iso2).glob(f"[!.]*/{RECEIVED_FILE}"))
    return any(record is not None and record["source_bytes"] == size_bytes for record in records)


def copy_to(
    folder: Path, path: Path, home: Home, look: Callable[[bytes | bytearray], None] | None = None
) -> Copied:
    """Copy a file into a folder that only its owner may open; link what was fetched.

    Args:
        folder: Made where there is none.
        path: The file as the member sent it; it is only read.
        home: Layout of the output folder.
        look: Given the bytes in chunks; nothing where they are linked.

    Raises:
        UsageProblem: The file is the truth behind synthetic extracts.
    """
    refuse_truth(path)
    files.make_folder(folder, mode=_OWNER_ONLY_FOLDER)
    # A source that calls its file like our records must not overwrite one.
    name = files.printable(path.name)
    target = folder / (f"source-{name}" if name in _OUR_FILES else name)
    # What was fetched lies in our own inbox and is never changed in place: both names, one copy.
    linked = _link(path, target) if path.is_relative_to(home.inbox) else None
    return Copied(target, linked or _copy(path, target, look))


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


def _receive(path: Path, sha256: str, folder: Path, copied: Copied) -> dict[str, Any]:
    if copied.sha256 != sha256:
        raise TidewaiterError(
            Problem(
                "the file changed while it was read",
                where=str(path),
                next_step="run again once the upload has finished",
            )
        )
    kept = copied.path.rename(folder / copied.path.name)
    received = {
        "source_file": kept.name,
        "source_bytes": kept.stat().st_size,
        "source_sha256": sha256,
        "received_at": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds"),
    }
    files.write_json_atomically(folder / RECEIVED_FILE, received)
    return received


def _link(source: Path, target: Path) -> str | None:
    """Give the file a second name and return its digest; None where the file system has no such links."""
    try:
        target.hardlink_to(source)
    except OSError:
        return None
    target.chmod(_OWNER_ONLY_FILE)
    return fingerprint.of_file(target)


def _copy(source: Path, target: Path, look: Callable[[bytes | bytearray], None] | None) -> str:
    """Copy a file and return its digest.

    The digest is made in a thread beside, of one buffer while the other is filled: it takes as long as
    all the rest.
    """
    digest = hashlib.sha256()
    with (
        source.open("rb") as reader,
        target.open("xb") as writer,
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        target.chmod(_OWNER_ONLY_FILE)
        early = files.WrittenEarly(writer.fileno(), is_read_again=False)
        digesting: Future[None] | None = None
        for buffer in cycle((bytearray(_CHUNK_BYTES), bytearray(_CHUNK_BYTES))):
            size = reader.readinto(buffer)
            if digesting is not None:
                digesting.result()
            if not size:
                break
            # Not a new chunk each time: memory that is new to the process costs more than the copying.
            chunk = buffer if size == _CHUNK_BYTES else bytes(memoryview(buffer)[:size])
            digesting = beside.submit(digest.update, chunk)
            writer.write(chunk)
            early.wrote(writer.tell())
            if look is not None:
                look(chunk)
    return digest.hexdigest()
