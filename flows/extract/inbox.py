"""The inbox of one source: what has arrived whole, what is still coming, and the record of both."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from tidewaiter import files, fingerprint
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.home import Home
from tidewaiter.landing import arrived_files

_OWNER_ONLY_FOLDER = 0o700  # original bytes hold identities in clear
_OWNER_ONLY_FILE = 0o600
_NOT_IN_A_NAME = re.compile(r"[^\w.() -]")
_LONGEST_NAME = 120


class Version(BaseModel):
    """What a server says about a file's bytes without sending them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    etag: str | None = None
    modified: str | None = None
    size: int | None = None

    def matches(self, other: Version) -> bool:
        """Whether both are the same bytes; an ETag says so whatever the time of writing."""
        if self.etag is not None and other.etag is not None:
            return self.etag == other.etag and self.size == other.size
        return self == other


class FileRecord(BaseModel):
    """One remote file that has come."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version
    sha256: str
    arrival: str
    arrived_at: datetime


class Waiting(BaseModel):
    """Rows of a database that are in the inbox, until they are known to have landed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arrival: str
    sha256: str
    watermark: str


class Record(BaseModel):
    """What came from one source. Written after the bytes are safe, so it never promises too much.

    Attributes:
        source: Where that is, in words.
        files: Remote path or URL to what came of it last.
        watermark: Rows up to here have landed.
        waiting: Later rows that have come, oldest first.
    """

    model_config = ConfigDict(extra="forbid")

    source: str = ""
    files: dict[str, FileRecord] = {}
    watermark: str | None = None
    waiting: list[Waiting] = []


@dataclass(frozen=True)
class Arrival:
    """A file in the inbox.

    Attributes:
        path: `<inbox>/<number of arrival>-<first digits of sha256>/<name>`.
        is_new: Whether these bytes had not come before.
    """

    path: Path
    sha256: str
    is_new: bool

    @property
    def key(self) -> str:
        """Its folder's name: what the record calls it."""
        return self.path.parent.name


@dataclass(frozen=True)
class Inbox:
    """The folder and the record of one source."""

    description: str
    folder: Path
    record_path: Path
    lock_path: Path

    @classmethod
    def of(cls, home: Home, member_iso2: str, source: str, description: str) -> Inbox:
        """Return the inbox of a member's source."""
        return cls(
            description=description,
            folder=home.inbox / member_iso2 / source,
            record_path=home.state / "extract" / member_iso2 / f"{source}.json",
            lock_path=home.state / "locks" / f"extract-{member_iso2}-{source}.lock",
        )

    @contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """Let one process at a time fetch from the source. A kill frees it.

        Raises:
            TidewaiterError: Another process held it for `timeout_s`.
        """
        self.lock_path.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY_FOLDER)
        try:
            with FileLock(self.lock_path, timeout=timeout_s):
                yield
        except Timeout:
            raise TidewaiterError(
                Problem(
                    f"another process has been fetching from this source for {timeout_s:.0f} s",
                    where=str(self.lock_path),
                    next_step="wait for it, or raise lock_timeout_s",
                )
            ) from None

    def record(self) -> Record:
        """Return the record; an empty one where nothing has come."""
        found = files.read_json(self.record_path)
        return Record() if found is None else Record.model_validate(found)

    def write_record(self, record: Record) -> None:
        """Replace the record."""
        written = record.model_copy(update={"source": self.description})
        files.write_json_atomically(self.record_path, written.model_dump(mode="json"))

    def partial(self, *identity: object) -> Path:
        """Return where the bytes of one version of one remote file are gathered."""
        return self.folder / f"{files.PARTIAL_PREFIX}{fingerprint.of_json(identity)[:16]}"

    def take_in(self, partial: Path, name: str) -> Arrival:
        """Move a complete file into the inbox, unless the same bytes are there already."""
        partial.chmod(_OWNER_ONLY_FILE)
        sha256 = fingerprint.of_file(partial)
        arrived = arrived_files(self.folder)
        for path in arrived:
            if path.parent.name.endswith(f"-{sha256[:12]}") and fingerprint.of_file(path) == sha256:
                partial.unlink()
                return Arrival(path, sha256, is_new=False)
        number = 1 + max((int(path.parent.name.partition("-")[0]) for path in arrived), default=0)
        target = self.folder / f"{number:06d}-{sha256[:12]}"
        with files.folder_replaced_atomically(target) as folder:
            folder.chmod(_OWNER_ONLY_FOLDER)
            partial.rename(folder / plain_name(name))
        return Arrival(target / plain_name(name), sha256, is_new=True)

    def note_file(self, key: str, version: Version, arrival: Arrival) -> None:
        """Record that a version of a remote file is in the inbox."""
        record = self.record()
        record.files[key] = FileRecord(
            version=version,
            sha256=arrival.sha256,
            arrival=arrival.key,
            arrived_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        )
        self.write_record(record)

    def sweep(self) -> None:
        """Remove what was left of versions that nobody asks for any more."""
        for leftover in self.folder.glob(f"{files.PARTIAL_PREFIX}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def plain_name(name: str) -> str:
    """Return a file name without folders, control characters or a leading dot.

    What a server calls its file is data: it decides neither where a file goes nor whether it is hidden.
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    kept = _NOT_IN_A_NAME.sub("_", last).lstrip(". ").rstrip()
    return kept[-_LONGEST_NAME:].lstrip(". ") or "download"
