"""Cutting a long text into pieces between two records, each of which is read by itself.

A piece that fits into memory gives its rows in file order from all threads, and its lines are known
from those of the pieces before it. DuckDB numbers the rows of a text only with one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from tidewaiter.contracts import CsvFormat
from tidewaiter.landing.text import PreparedText

# A quarter of a gigabyte of memory once its rows are typed; deterministic, so that landed bytes are too.
PIECE_BYTES = 64 << 20
# A text in which no record seems to end for so many pieces has a quote that is never closed.
_LONGEST_WITHOUT_END = 4
_LINE_FEED = b"\n"


class CutsUncertain(Exception):
    """A quote is open somewhere, so that a piece may begin within a value: read the text whole."""


@dataclass(frozen=True)
class Piece:
    """Some records of a text, as a text of its own without a header.

    Attributes:
        text: The piece.
        lines_before: Lines of the file before it.
        is_whole: It is the only one.
    """

    text: PreparedText
    lines_before: int
    is_whole: bool


def is_long(text: PreparedText) -> bool:
    """Whether a text is more than one piece."""
    return text.path.stat().st_size > PIECE_BYTES


def cut(text: PreparedText, text_format: CsvFormat, folder: Path) -> Iterator[Piece]:
    """Yield the pieces of a text, each a file that whoever reads it removes.

    Args:
        text: The readable file.
        text_format: Its dialect; a line feed between two quotes ends no record.
        folder: Work folder.

    Raises:
        CutsUncertain: Places between two records cannot be told for sure.
    """
    if text_format.escape not in (None, text_format.quote):
        raise CutsUncertain  # an escaped quote would be counted
    lines_before, number = text.header_lines, 0
    with text.path.open("rb") as handle:
        for _ in range(text.header_lines):
            handle.readline()
        for content in _contents(handle, text_format.quote.encode()):
            path = folder / f"piece-{number}.csv"
            path.write_bytes(content)
            lines = content.count(_LINE_FEED) + (not content.endswith(_LINE_FEED))
            piece = replace(text, path=path, lines=lines, header_lines=0, header_records=0)
            yield Piece(piece, lines_before, is_whole=False)
            lines_before += lines
            number += 1


def whole(text: PreparedText) -> Piece:
    """Return the text itself as its only piece."""
    return Piece(text, 0, is_whole=True)


def _contents(handle: BinaryIO, quote: bytes) -> Iterator[bytes]:
    held = b""
    while chunk := handle.read(PIECE_BYTES):
        held += chunk
        if len(held) > _LONGEST_WITHOUT_END * PIECE_BYTES:
            raise CutsUncertain
        if end := _last_record_end(held, quote):
            yield held[:end]
            held = held[end:]
    if held:
        yield held


def _last_record_end(content: bytes, quote: bytes) -> int:
    """Return where the last record ends that surely does, or 0: an even number of quotes before it."""
    end = content.rfind(_LINE_FEED) + 1
    if not quote:
        return end
    quotes = content.count(quote, 0, end)
    while end and quotes % 2:
        before = content.rfind(_LINE_FEED, 0, end - 1) + 1
        quotes -= content.count(quote, before, end)
        end = before
    return end
