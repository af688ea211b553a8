"""Landing what arrived: a file as one extract, an archive as one extract for each file in it.

Of an archive the original is kept, and its files are unpacked for as long as they are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tidewaiter import files
from tidewaiter.contracts import Contract, Extract
from tidewaiter.errors import GateRefused, Problem, TidewaiterError
from tidewaiter.files import printable
from tidewaiter.landing.archives import Packed, Packing, Unpacked, list_packed, packing_of, unpack
from tidewaiter.landing.land import (
    land_file,
    land_stored,
    landed_receipt,
    work_folder,
)
from tidewaiter.landing.raw import CONTENTS_FILE, StoredRaw
from tidewaiter.landing.receipts import Receipt
from tidewaiter.landing.receive import one_landing_at_a_time, received
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings


def land_files(
    path: Path,
    extract: Extract,
    contract: Contract,
    settings: Settings,
    pseudonymiser: Pseudonymiser,
    *,
    sha256: str | None = None,
) -> list[Receipt]:
    """Land a file, or every file of an archive that belongs to the extract; see `land_file`.

    The files of an archive are landed or refused each on its own: one that fails leaves the others
    landed.

    Returns:
        A receipt for each file, in the order of the archive.

    Raises:
        ExtractRefused: The only file was refused.
        GateRefused: Some file of an archive was refused; carries the problems of all.
        TidewaiterError: The file or archive, or a file in it, cannot be read; carries all problems.
    """
    with _told(path, contract):
        packing = packing_of(path, extract.format)
        if packing is None:
            return [land_file(path, extract, contract, settings, pseudonymiser, sha256=sha256)]
        with received(path, contract.member, settings, sha256) as archive:
            landing = _ArchiveLanding(archive, packing, extract, contract, settings, pseudonymiser)
            return landing.land()


@contextmanager
def _told(path: Path, contract: Contract) -> Iterator[None]:
    """Tell what the machine refuses, such as a file that may not be read or a full disk, of this file."""
    try:
        yield
    except OSError as error:
        about = error.filename if error.filename is not None else path
        raise TidewaiterError(
            Problem(
                f"{error.strerror or type(error).__name__}: {printable(os.fsdecode(about))}",
                where=f"member {contract.member}, file {printable(path.name)}",
                expected="a file that may be read, and room in the home folder",
                next_step="correct that, then: tidewaiter ingest",
            )
        ) from None


class _ArchiveLanding:
    """Lands the files of one archive whose original bytes are kept."""

    def __init__(
        self,
        archive: StoredRaw,
        packing: Packing,
        extract: Extract,
        contract: Contract,
        settings: Settings,
        pseudonymiser: Pseudonymiser,
    ) -> None:
        self._archive, self._packing = archive, packing
        self._extract, self._contract = extract, contract
        self._settings, self._pseudonymiser = settings, pseudonymiser
        self._where = f"member {contract.member}, file {archive.file_name}"

    def land(self) -> list[Receipt]:
        """Land what is not landed yet."""
        packed = list_packed(self._archive.path, self._packing, self._extract.archive, self._where)
        if (landed := self._landed_already(packed)) is not None:
            return landed
        with work_folder(self._archive) as work:
            unpacked = unpack(
                self._archive.path,
                self._packing,
                packed,
                self._extract.archive,
                self._extract.format.kind,
                work,
                self._where,
            )
            self._note_contents(unpacked)
            return self._land_all(unpacked)

    def _land_all(self, unpacked: list[Unpacked]) -> list[Receipt]:
        receipts: list[Receipt] = []
        errors: list[TidewaiterError] = []
        for one in unpacked:
            try:
                with one_landing_at_a_time(self._contract.member, one.sha256, self._settings):
                    receipts.append(
                        land_stored(
                            self._stored(one),
                            self._extract,
                            self._contract,
                            self._settings,
                            self._pseudonymiser,
                        )
                    )
            except TidewaiterError as error:
                errors.append(error)
        if len(errors) == 1 and len(unpacked) == 1:
            raise errors[0]
        if errors:
            refused = any(isinstance(error, GateRefused) for error in errors)
            kind = GateRefused if refused else TidewaiterError
            raise kind(problem for error in errors for problem in error.problems)
        return receipts

    def _stored(self, unpacked: Unpacked) -> StoredRaw:
        return StoredRaw(
            path=unpacked.path,
            folder=self._archive.folder,
            sha256=unpacked.sha256,
            size_bytes=unpacked.size_bytes,
            file_name=unpacked.packed.label,
            received_at=self._archive.received_at,
            archive_sha256=self._archive.sha256,
        )

    def _landed_already(self, packed: list[Packed]) -> list[Receipt] | None:
        """Return the receipts of all files without unpacking any, or None where one is not landed."""
        known = self._contents()
        found = [
            landed_receipt(digest, self._extract, self._contract, self._settings, self._pseudonymiser)
            for one in packed
            if (digest := known.get(one.name)) is not None
        ]
        receipts = [receipt for receipt in found if receipt is not None and not receipt.refused]
        return receipts if len(receipts) == len(packed) else None

    def _contents(self) -> dict[str, Any]:
        return files.read_json(self._archive.folder / CONTENTS_FILE) or {}

    def _note_contents(self, unpacked: list[Unpacked]) -> None:
        """Keep the digests of the files, so that the next run need not unpack them to know them."""
        known = self._contents() | {one.packed.name: one.sha256 for one in unpacked}
        if known != self._contents():
            files.write_json_atomically(self._archive.folder / CONTENTS_FILE, known)
