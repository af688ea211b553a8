"""Writing files so that a reader sees the old or the new one, and a kill or a power cut leaves either.

A name is given to what is on disk already: bytes are flushed before the rename, and the folder that
holds the name after it. Without that, a power cut can leave the name of a file whose bytes never came.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

PARTIAL_PREFIX = ".partial-"
_WRITTEN_AT_ONCE_BYTES = 16 << 20
_ON_ITS_WAY_BYTES = 64 << 20  # to the disk; what lies further back has come there


def printable(name: str) -> str:
    """Return a file name as text: bytes in it that are not UTF-8 become escapes in hexadecimal."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def write_text_atomically(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write `text` beside `path`, flush it to disk, then rename it into place."""
    make_folder(path.parent)
    partial = path.parent / f"{PARTIAL_PREFIX}{uuid.uuid4().hex}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode or 0o666)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
        flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)  # a full disk leaves nothing behind


def flush(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, on disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Have all that lies in a folder on disk before going on, the names in it last."""
    for path in folder.iterdir():
        if path.is_symlink():
            continue  # no bytes of its own, and what it leads to is not ours
        if path.is_dir():
            flush_tree(path)
        else:
            flush(path)
    flush(folder)


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Make a folder and what is missing above it, and have their names on disk."""
    if folder.is_dir():
        return
    missing = [folder, *(above for above in folder.parents if not above.exists())]
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    for made in reversed(missing):
        flush(made.parent)


def read_chunks(handle: BinaryIO, chunk_bytes: int) -> Iterator[bytes | bytearray]:
    """Yield the bytes of an open file in chunks, each of which lasts until the next one is asked for.

    All are read into one buffer: memory that is new to the process costs several times what reading does.
    """
    buffer = bytearray(chunk_bytes)
    while size := handle.readinto(buffer):  # type: ignore[attr-defined]  # every file opened for bytes has it
        yield buffer if size == chunk_bytes else bytes(memoryview(buffer)[:size])


class WrittenEarly:
    """Has the kernel write a long file to disk while more of it is made, so that its flush finds little left.

    Args:
        descriptor: The file, which is written from its beginning on; whoever opened it closes it.
        is_read_again: Whether the kernel should hold its bytes in memory. Those of a file of gigabytes push
            out what others read, and to a virtual machine memory that is new costs several times what the
            copying does.
    """

    def __init__(self, descriptor: int, *, is_read_again: bool) -> None:
        self._descriptor = descriptor
        self._is_read_again = is_read_again
        self._begun_bytes = 0

    def wrote(self, written_bytes: int) -> None:
        """Take note that so many bytes have been written by now."""
        start, size_bytes = self._begun_bytes, written_bytes - self._begun_bytes
        if size_bytes < _WRITTEN_AT_ONCE_BYTES:
            return
        let_go(self._descriptor, start, size_bytes)  # which cannot be yet, and so is begun to be written
        if not self._is_read_again:
            earlier = max(0, start - _ON_ITS_WAY_BYTES)
            let_go(self._descriptor, earlier, start - earlier)
        self._begun_bytes = written_bytes


def let_go(descriptor: int, start: int, size_bytes: int) -> None:
    """Tell the kernel that a part of a file need not stay in memory. What is not on disk is sent there."""
    if size_bytes > 0 and hasattr(os, "posix_fadvise"):  # Linux
        os.posix_fadvise(descriptor, start, size_bytes, os.POSIX_FADV_DONTNEED)


def write_json_atomically(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text_atomically(path, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def read_json(path: Path) -> Any | None:
    """Return the JSON value in `path`, or None where the file does not exist."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


@contextmanager
def replace_file_atomically(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the place of `path` when the block ends well."""
    make_folder(path.parent)
    partial = path.parent / f"{PARTIAL_PREFIX}{uuid.uuid4().hex}{path.suffix}"
    try:
        yield partial
        flush(partial)
        partial.replace(path)
        flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder_replaced_atomically(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target` when the block ends well.

    A kill leaves the old folder, in its place or beside it, and perhaps a partial one. The next writer of
    the same target puts back the one and sweeps the other. The caller sees to it that only one process
    writes a target.
    """
    make_folder(target.parent)
    _put_back(target)
    sweep_partials(target.parent, target.name)
    partial = target.parent / f"{PARTIAL_PREFIX}{target.name}-{uuid.uuid4().hex}"
    partial.mkdir()
    try:
        yield partial
        flush_tree(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    old = target.parent / f"{PARTIAL_PREFIX}{target.name}-old-{uuid.uuid4().hex}"
    if target.exists():
        target.rename(old)
    partial.rename(target)
    flush(target.parent)  # and only then is the old one gone
    shutil.rmtree(old, ignore_errors=True)


def _put_back(target: Path) -> None:
    """Undo a swap that a kill stopped between its two renames: what was written before is kept."""
    if not target.exists():
        for old in target.parent.glob(f"{PARTIAL_PREFIX}{target.name}-old-*"):
            old.rename(target)
            return


def sweep_partials(parent: Path, name: str) -> None:
    """Remove what killed writers of `parent/name` left behind."""
    for leftover in parent.glob(f"{PARTIAL_PREFIX}{name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
