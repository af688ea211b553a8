"""Cutting a long text into pieces between two records, each of which is read by itself.

A piece that fits into memory gives its rows in file order from all threads, and its lines are known
from those of the pieces before it. DuckDB numbers the rows of a text only with one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path

from tidewaiter.contracts import CsvFormat
from tidewaiter.landing.marks import count_byte
from tidewaiter.landing.text import PreparedText

# A tenth of a gigabyte of memory once its rows are typed; deterministic, so that landed bytes are too.
PIECE_BYTES = 32 << 20
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
    if text.marks.has_quote and text_format.escape not in (None, text_format.quote):
        raise CutsUncertain  # an escaped quote would be counted
    quote = text_format.quote.encode() if text.marks.has_quote else None
    lines_before = text.header_lines
    with text.path.open("rb") as handle, mmap(handle.fileno(), 0, access=ACCESS_READ) as content:
        start = _after_lines(content, text.header_lines)
        for number, end in enumerate(_ends(content, start, quote)):
            path = folder / f"piece-{number}.csv"
            with memoryview(content) as whole_view, whole_view[start:end] as view:
                path.write_bytes(view)
                lines = count_byte(view, _LINE_FEED) + (content[end - 1 : end] != _LINE_FEED)
            piece = replace(text, path=path, lines=lines, header_lines=0, header_records=0)
            yield Piece(piece, lines_before, is_whole=False)
            lines_before += lines
            start = end


def whole(text: PreparedText) -> Piece:
    """Return the text itself as its only piece."""
    return Piece(text, 0, is_whole=True)


def _after_lines(content: mmap, lines: int) -> int:
    position = 0
    for _ in range(lines):
        position = content.find(_LINE_FEED, position) + 1
    return position


def _ends(content: mmap, start: int, quote: bytes | None) -> Iterator[int]:
    """Yield where each piece ends: after a record that surely ends there."""
    size = len(content)
    while start < size:
        for pieces in range(1, _LONGEST_WITHOUT_END + 1):
            limit = start + pieces * PIECE_BYTES
            end = size if limit >= size else _last_record_end(content, start, limit, quote)
            if end > start:
                break
        else:
            raise CutsUncertain
        yield end
        start = end


def _last_record_end(content: mmap, start: int, limit: int, quote: bytes | None) -> int:
    """Return where the last record ends that surely does, or `start`: an even number of quotes before it."""
    end = content.rfind(_LINE_FEED, start, limit) + 1 or start
    if quote is None:
        return end
    with memoryview(content) as view:
        quotes = count_byte(view[start:end], quote)
        while end > start and quotes % 2:
            before = content.rfind(_LINE_FEED, start, end - 1) + 1 or start
            quotes -= count_byte(view[before:end], quote)
            end = before
    return end
