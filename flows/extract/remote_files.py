"""Whole files of a file system that fsspec speaks to and that can read from the middle: S3 and SFTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeVar

from flows.extract.failures import SourceFailed, SourceInterrupted, failed, interrupted, with_retries
from flows.extract.inbox import Version
from flows.extract.source import Errand
from tidewaiter.contracts import S3Location, SftpLocation
from tidewaiter.errors import Problems

_log = logging.getLogger(__name__)
# What a break takes with it is less than this: SFTP answers in such blocks, and a line that breaks off
# every megabyte must still get on.
_CHUNK_BYTES = 1 << 15
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class RemoteFile:
    """A file as its server lists it."""

    path: str
    version: Version


class Peer(Protocol):
    """A server of files. Its methods raise SourceInterrupted or SourceFailed, cleaned of secrets."""

    def find(self, patterns: Collection[str]) -> list[RemoteFile]:
        """Return the files that match, in any order."""
        ...

    def version(self, path: str) -> Version:
        """Return what a file is now."""
        ...

    def reading(self, file: RemoteFile, offset: int) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading from `offset` on; errors within the block are told like its own."""
        ...

    def forget(self) -> None:
        """Drop the connection, so that the next request makes a new one."""
        ...


class FileSource:
    """Takes in the files of a peer that have not come yet, or have changed since."""

    def __init__(self, location: S3Location | SftpLocation, errand: Errand, peer: Peer) -> None:
        self._location = location
        self._errand = errand
        self._peer = peer

    def fetch(self) -> list[Path]:
        """Take in new and changed files, oldest first. One that fails leaves the others taken in."""
        inbox, problems, arrived = self._errand.inbox, Problems(SourceFailed), []
        with inbox.held(self._errand.settings.lock_timeout_s), self._connection():
            known = inbox.record().files
            for file in self._listed():
                if file.path in known and known[file.path].version.matches(file.version):
                    continue
                try:
                    arrived += self._take_in(file)
                except SourceFailed as error:
                    problems.found += error.problems
            if not problems.found:
                inbox.sweep()
        problems.raise_if_any()
        return arrived

    def settle(self, landed: Collection[str]) -> None:
        """Do nothing: a file that has come is not asked for again, whether or not it lands."""

    @contextmanager
    def _connection(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._peer.forget()

    def _listed(self) -> list[RemoteFile]:
        found = self._retried(lambda: self._peer.find(self._errand.patterns))
        seen = [file for file in found if not PurePosixPath(file.path).name.startswith(".")]
        return sorted(seen, key=lambda file: (file.version.modified or "", file.path))

    def _take_in(self, file: RemoteFile) -> list[Path]:
        where = f"{self._errand.where}, {file.path}"
        size = file.version.size or 0
        if size > self._location.max_bytes:
            raise failed(
                f"{size} bytes",
                where,
                expected=f"at most {self._location.max_bytes}",
                next_step="raise max_bytes in the contract, or have it sent in parts",
            )
        partial = self._errand.inbox.partial(file.path, file.version.model_dump())
        self._retried(lambda: self._download(file, partial, where))
        arrival = self._errand.inbox.take_in(partial, PurePosixPath(file.path).name)
        self._errand.inbox.note_file(file.path, file.version, arrival)
        _log.info("%s: %d bytes as %s", where, size, arrival.key)
        return [arrival.path] if arrival.is_new else []

    def _download(self, file: RemoteFile, partial: Path, where: str) -> None:
        """Add to `partial` until it is whole. The version is in its name: all of it is of one file."""
        size = file.version.size or 0
        done = partial.stat().st_size if partial.exists() else 0
        if done < size or not partial.exists():
            with self._peer.reading(file, done) as reader, partial.open("ab") as writer:
                while done < size and (chunk := reader.read(min(_CHUNK_BYTES, size - done))):
                    done += writer.write(chunk)
        if done < size:
            raise interrupted(f"ended after {done} of {size} bytes", where)
        if not self._peer.version(file.path).matches(file.version):
            partial.unlink()
            raise failed(
                "the file changed while it was read",
                where,
                next_step="run again once the upload has finished",
            )

    def _retried(self, action: Callable[[], _Result]) -> _Result:
        def attempt() -> _Result:
            try:
                return action()
            except SourceInterrupted:
                self._peer.forget()
                raise

        return with_retries(self._location.attempts, attempt)
