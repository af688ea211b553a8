"""From bytes in any encoding to UTF-8, in chunks, with the same lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from tidewaiter.errors import Problem, TidewaiterError

CHUNK_BYTES = 1 << 22

_BYTE_ORDER_MARK = "\ufeff"
_UNDECODABLE = "tidewaiter.undecodable"
# Units of several bytes: after a broken one nothing can be trusted, so the file as a whole is wrong.
_ALL_OR_NOTHING = ("utf-16", "utf-32")


def _as_broken_utf8(error: UnicodeError) -> tuple[str, int]:
    """Let each undecodable sequence become the byte FF, which is not UTF-8 wherever it stands."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(_UNDECODABLE, _as_broken_utf8)


def utf8_chunks(source: Path, encoding: str, where: str) -> Iterator[bytes]:
    """Yield a file's text as UTF-8 without a byte-order mark.

    What cannot be decoded becomes invalid UTF-8, so that it costs its line and not the file.

    Raises:
        TidewaiterError: The bytes cannot be of that encoding at all.
    """
    with source.open("rb") as handle:
        chunks = iter(lambda: handle.read(CHUNK_BYTES), b"")
        if encoding == "utf-8":
            yield next(chunks, b"").removeprefix(codecs.BOM_UTF8)
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
                    next_step="correct format.encoding in the contract",
                )
            ) from None


def _transcoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    strict = codecs.lookup(encoding).name.startswith(_ALL_OR_NOTHING)
    decoder = codecs.getincrementaldecoder(encoding)("strict" if strict else _UNDECODABLE)
    is_first = True
    for chunk in chunks:
        text = decoder.decode(chunk)
        if is_first and text:
            text, is_first = text.removeprefix(_BYTE_ORDER_MARK), False
        yield text.encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")
