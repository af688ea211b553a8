"""Compressed files and archives: what they hold, unpacked under limits. Nothing in them is trusted.

Names in an archive are labels and never paths: what is unpacked lies under a number in a work folder.
"""

from __future__ import annotations

import hashlib
import logging
import lzma
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from tidewaiter.contracts import AnyFormat, Archive, CsvFormat, Extract
from tidewaiter.errors import Problem, Problems, TidewaiterError

_log = logging.getLogger(__name__)

Packing = Literal["gz", "zst", "zip"]

_PACKINGS: dict[bytes, Packing] = {
    b"\x1f\x8b": "gz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_CODECS = {"gz": "gzip", "zst": "zstd"}
# What else an archive could hold that is an archive again: bzip2, xz, 7z, rar.
_OTHER_ARCHIVES = (b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!")
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257
_WORKBOOK_PART = "[Content_Types].xml"
_CHUNK_BYTES = 1 << 20
_GIB = 1 << 30
# A small file may be all blanks; a bomb is never small.
_RATIO_COUNTS_FROM_BYTES = 10 << 20
_SEND_AGAIN = "have it sent again"
_NEXT_STEP = "have it sent again without it, or unpacked"
# Written by operating systems beside the files that were meant.
_NOISE = re.compile(r"(^|/)(__MACOSX/|\.[^/]*$|Thumbs\.db$)")


@dataclass(frozen=True)
class Packed:
    """One file in an archive, by its label.

    Attributes:
        label: `archive.zip/name`, or the name of the compressed file itself.
        name: Name within the archive, empty where the archive is one compressed file.
        size_packed: Bytes it takes in the archive.
    """

    label: str
    name: str
    size_packed: int


@dataclass(frozen=True)
class Unpacked:
    """One file out of an archive.

    Attributes:
        packed: Where it was.
        path: Where it lies now.
        sha256: Digest of its bytes.
        size_bytes: Its length.
    """

    packed: Packed
    path: Path
    sha256: str
    size_bytes: int


def unpacked_files(path: Path, folder: Path, extract: Extract | None = None) -> list[tuple[str, Path]]:
    """Return a file, or each file of an archive unpacked, with its name in the archive.

    For a look at a sample; landing keeps what it unpacks apart.

    Args:
        path: The file.
        folder: Where to unpack.
        extract: The contract's entry for it; without one any file in the archive will do.

    Raises:
        TidewaiterError: See `list_packed` and `unpack`.
    """
    file_format = extract.format if extract else CsvFormat()
    is_workbook = extract is None and _starts_as_zip(path) and _is_workbook(path)
    packing = None if is_workbook else packing_of(path, file_format)
    if packing is None:
        return [("", path)]
    rules = extract.archive if extract else Archive()
    wanted = list_packed(path, packing, rules, f"file {path.name}")
    there = folder / "unpacked"
    there.mkdir(mode=0o700)
    # Without a contract a workbook in an archive is no archive in an archive.
    kind = file_format.kind if extract else "excel"
    unpacked = unpack(path, packing, wanted, rules, kind, there, f"file {path.name}")
    return [(one.packed.name, one.path) for one in unpacked]


def _starts_as_zip(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(4) == b"PK\x03\x04"


def packing_of(path: Path, file_format: AnyFormat) -> Packing | None:
    """Return how a file is packed, by its first bytes; None where it is to be read as it is.

    Raises:
        TidewaiterError: The name says that it is packed, and its bytes do not.
    """
    with path.open("rb") as handle:
        start = handle.read(4)
    packing = next((kind for mark, kind in _PACKINGS.items() if start.startswith(mark)), None)
    if packing == "zip" and file_format.kind == "excel" and _is_workbook(path):
        return None  # a workbook is a zip archive itself
    if packing is None and path.suffix.lower() in {".gz", ".zst", ".zip"}:
        raise TidewaiterError(
            Problem(f"not a {path.suffix[1:]} file", where=path.name, next_step="have it sent again")
        )
    return packing


def _is_workbook(path: Path) -> bool:
    with _reading(path.name), zipfile.ZipFile(path) as archive:
        return _WORKBOOK_PART in archive.namelist()


def list_packed(path: Path, packing: Packing, rules: Archive, where: str) -> list[Packed]:
    """Return the files of an archive that belong to the extract, in the archive's order.

    Raises:
        TidewaiterError: The archive cannot be read, or holds what no honest one does: names that point
            elsewhere, links, encrypted files, two files of one name, too many. All of it at once.
    """
    if packing != "zip":
        return [Packed(path.name, "", path.stat().st_size)]
    with _reading(where), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    problems = Problems(TidewaiterError)
    if len(members) > rules.most_members:
        problems.add(
            f"{len(members)} files in the archive", where=where, expected=f"at most {rules.most_members}"
        )
        problems.raise_if_any()
    times = Counter(member.filename for member in members)
    for member in members:
        for fault in _faults(member, times[member.filename]):
            problems.add(
                f"'{member.filename[:200]}' in the archive {fault}", where=where, next_step=_NEXT_STEP
            )
    problems.raise_if_any()
    members = [member for member in members if not _NOISE.search(member.filename)]
    if not members:
        raise TidewaiterError(
            Problem("no file in the archive", where=where, expected="at least one", next_step=_SEND_AGAIN)
        )
    # What an entry says of its size may be a lie, but it cannot be larger than the archive.
    largest = path.stat().st_size
    wanted = [
        Packed(f"{path.name}/{member.filename}", member.filename, min(member.compress_size, largest))
        for member in members
        if _belongs(member.filename, rules)
    ]
    if not wanted:
        # No error: another entry of the contract may be for what this archive holds.
        _log.warning("%s: none of its %d files matches %s", where, len(members), " ".join(rules.members))
    return wanted


def unpack(
    path: Path, packing: Packing, wanted: list[Packed], rules: Archive, kind: str, folder: Path, where: str
) -> list[Unpacked]:
    """Unpack files of an archive into a folder.

    Args:
        path: The archive.
        packing: How it is packed.
        wanted: Which of its files; from `list_packed`.
        rules: The limits.
        kind: Kind of format that they are read as.
        folder: Empty folder that only the owner may read.
        where: Member and file, for messages.

    Raises:
        TidewaiterError: The archive is damaged, holds an archive again, or unpacks beyond a limit.
    """
    found, left = [], int(rules.largest_unpacked_gb * _GIB)
    # A workbook is a zip archive; in an archive of workbooks it is no archive in an archive.
    refused = _OTHER_ARCHIVES + tuple(
        mark for mark, packed_as in _PACKINGS.items() if (packed_as, kind) != ("zip", "excel")
    )
    for number, packed in enumerate(wanted):
        target = folder / f"unpacked-{number:04}"
        with _reading(where), _open(path, packing, packed) as source:
            sha256, size = _copy(source, target, packed, rules, left, refused, where)
        left -= size
        found.append(Unpacked(packed, target, sha256, size))
    return found


def _belongs(name: str, rules: Archive) -> bool:
    inner = PurePosixPath(name)
    return any(inner.match(pattern) for pattern in rules.members)


def _faults(member: zipfile.ZipInfo, times: int) -> Iterator[str]:
    name = member.orig_filename
    parts = re.split(r"[/\\]", name)
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        yield "has a path that leads out of the archive"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        yield "is a link or a device and no file"
    if member.flag_bits & 0x1:
        yield "is encrypted"
    if times > 1:
        yield f"stands in it {times} times"


@contextmanager
def _open(path: Path, packing: Packing, packed: Packed) -> Iterator[IO[bytes]]:
    if packing == "zip":
        with zipfile.ZipFile(path) as archive, archive.open(packed.name) as member:
            yield member
        return
    import pyarrow as pa

    with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, _CODECS[packing]) as stream:
        yield stream


def _copy(
    source: IO[bytes],
    target: Path,
    packed: Packed,
    rules: Archive,
    left: int,
    refused: tuple[bytes, ...],
    where: str,
) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as writer:
        target.chmod(0o600)
        while chunk := source.read(_CHUNK_BYTES):
            if not size and (chunk.startswith(refused) or _is_tar(chunk)):
                raise TidewaiterError(
                    Problem(
                        "an archive in an archive", where=f"{where}, {packed.label}", next_step=_NEXT_STEP
                    )
                )
            size += len(chunk)
            if fault := _beyond_limits(size, packed, rules, left):
                raise TidewaiterError(
                    Problem(
                        f"unpacks to {fault}",
                        where=f"{where}, {packed.label}",
                        next_step="if the sender is trusted, raise the limit under archive in the contract",
                    )
                )
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest(), size


def _beyond_limits(size: int, packed: Packed, rules: Archive, left: int) -> str:
    if size > left:
        return f"more than {rules.largest_unpacked_gb:g} GB"
    if size > _RATIO_COUNTS_FROM_BYTES and size > rules.largest_ratio * packed.size_packed:
        return f"more than {rules.largest_ratio:g} times its size"
    return ""


def _is_tar(start: bytes) -> bool:
    return start[_TAR_MARK_AT : _TAR_MARK_AT + len(_TAR_MARK)] == _TAR_MARK


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Tell a damaged archive in words."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise TidewaiterError(
            Problem(
                f"the archive cannot be read: {str(error).splitlines()[0] if str(error) else 'cut short'}",
                where=where,
                next_step=_SEND_AGAIN,
            )
        ) from None
