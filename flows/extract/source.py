"""The protocol of a source, and which class reads which location."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from flows.extract.inbox import Inbox
from flows.extract.secrets import Secrets
from tidewaiter.contracts import (
    Contract,
    DatabaseLocation,
    Extract,
    HttpLocation,
    RemoteLocation,
    S3Location,
    source_name,
)
from tidewaiter.settings import Settings


class Source(Protocol):
    """One remote location of one kind of file."""

    def fetch(self) -> list[Path]:
        """Take in what is new and return it, in the order in which it came.

        Everything that has come is kept: calling it again after a kill or a failure goes on from there.

        Raises:
            TidewaiterError: What could not be fetched; carries the problems of all its files.
        """
        ...

    def settle(self, landed: Collection[str]) -> None:
        """Say which arrivals have landed, by the SHA-256 of their bytes."""
        ...


@dataclass(frozen=True)
class Errand:
    """What every source is given.

    Attributes:
        member_iso2: Whose source it is.
        where: Member and location in words, for problems.
        patterns: The extract's `files`.
        member_folder: What relative paths of a contract start from.
        today: At the member.
    """

    member_iso2: str
    where: str
    patterns: tuple[str, ...]
    member_folder: Path
    today: date
    inbox: Inbox
    secrets: Secrets
    settings: Settings


def open_source(extract: Extract, contract: Contract, settings: Settings) -> Source | None:
    """Return the source of an extract, or None where it lies in a folder and nothing is to be fetched.

    Nothing is connected to yet, and no credential looked up.
    """
    location = extract.location
    if not isinstance(location, RemoteLocation):
        return None
    where = f"member {contract.member}, {location.describe()}"
    errand = Errand(
        member_iso2=contract.member,
        where=where,
        patterns=extract.files,
        member_folder=settings.members_dir / contract.member.lower(),
        today=datetime.now(ZoneInfo(contract.time_zone)).date(),
        inbox=Inbox.of(
            settings.paths, contract.member, source_name(location, extract.files), location.describe()
        ),
        secrets=Secrets(where),
        settings=settings,
    )
    return _source(location, errand)


def _source(location: RemoteLocation, errand: Errand) -> Source:
    # Each brings a library of its own that takes its time to import: only where it is used.
    if isinstance(location, HttpLocation):
        from flows.extract.http_files import HttpSource

        return HttpSource(location, errand)
    if isinstance(location, DatabaseLocation):
        from flows.extract.database import DatabaseSource

        return DatabaseSource(location, errand)
    from flows.extract.remote_files import FileSource

    if isinstance(location, S3Location):
        from flows.extract.s3_peer import S3Peer

        return FileSource(location, errand, S3Peer(location, errand))
    from flows.extract.sftp_peer import SftpPeer

    return FileSource(location, errand, SftpPeer(location, errand))
