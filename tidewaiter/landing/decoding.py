"""From bytes in any encoding to UTF-8, in chunks, with the same lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from tidewaiter import files
from tidewaiter.errors import Problem, TidewaiterError

CHUNK_BYTES = 1 << 22

_BYTE_ORDER_MARK = "\ufeff"
# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNDECODABLE = "tidewaiter.undecodable"
# Units of several bytes: after a broken one nothing can be trusted, so the file as a whole is wrong.
_ALL_OR_NOTHING = ("utf-16", "utf-32")


def _as_broken_utf8(error: UnicodeError) -> tuple[str, int]:
    """Let each undecodable sequence become the byte FF, which is not UTF-8 wherever it stands."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(_UNDECODABLE, _as_broken_utf8)


def check_mark(source: Path, encoding: str, where: str) -> None:
    """Refuse a file whose byte-order mark says another encoding than the contract.

    Read on, the mark would become part of the first value or of the first column's name.

    Raises:
        TidewaiterError: It says another one.
    """
    with source.open("rb") as handle:
        start = handle.read(4)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if marked is not None and codecs.lookup(encoding).name not in (marked, marked[:6]):
        raise TidewaiterError(
            Problem(
                f"the file begins with the byte-order mark of {marked}",
                where=where,
                expected=f"{encoding}, as the contract says",
                next_step=f"if it is, write encoding: {marked[:6].rstrip('-')} under format in the contract",
            )
        )


def utf8_chunks(source: Path, encoding: str, where: str) -> Iterator[bytes | bytearray]:
    """Yield a file's text as UTF-8 without a byte-order mark, in chunks like those of `files.read_chunks`.

    What cannot be decoded becomes invalid UTF-8, so that it costs its line and not the file.

    Raises:
        TidewaiterError: The bytes cannot be of that encoding at all.
    """
    check_mark(source, encoding, where)
    with source.open("rb") as handle:
        chunks = files.read_chunks(handle, CHUNK_BYTES)
        if encoding == "utf-8":
            yield _after_marks(next(chunks, b""))
            yield from chunks
            return
        try:
            yield from _transcoded(chunks, encoding)
        except UnicodeError as error:
            raise TidewaiterError(
                Problem(
                    f"not written in {encoding}: {getattr(error, 'reason', error)}",
                    where=where,
                    expected=f"{encoding}, as the contract says",
                    next_step="correct format.encoding in the contract"
                    + (f": {encoding}-le or {encoding}-be without a mark" if _needs_mark(encoding) else ""),
                )
            ) from None


def _needs_mark(encoding: str) -> bool:
    return codecs.lookup(encoding).name in _ALL_OR_NOTHING


def _after_marks(start: bytes | bytearray) -> bytes | bytearray:
    """Return a text without its byte-order marks: a program that does not know them adds another."""
    while start.startswith(codecs.BOM_UTF8):
        start = start.removeprefix(codecs.BOM_UTF8)
    return start


def _transcoded(chunks: Iterator[bytes | bytearray], encoding: str) -> Iterator[bytes]:
    strict = codecs.lookup(encoding).name.startswith(_ALL_OR_NOTHING)
    decoder = codecs.getincrementaldecoder(encoding)("strict" if strict else _UNDECODABLE)
    is_first = True
    for chunk in chunks:
        text = decoder.decode(chunk)
        if is_first and text:
            text, is_first = text.lstrip(_BYTE_ORDER_MARK), False
        yield text.encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")
