"""Cutting a long text into pieces between two records, each of which is read by itself.

A piece that fits into memory gives its rows in file order, and its lines are known from those of the
pieces before it. DuckDB numbers the rows of a text only with one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BufferedReader
from itertools import islice
from typing import TYPE_CHECKING

from tidewaiter import files
from tidewaiter.contracts import CsvFormat
from tidewaiter.landing.marks import count_byte
from tidewaiter.landing.text import PreparedText

if TYPE_CHECKING:
    from pathlib import Path

# Some tenths of a gigabyte of memory once its rows are typed; deterministic, so that landed bytes are too.
PIECE_BYTES = 32 << 20
# A text in which no record seems to end for so many pieces has a quote that is never closed.
_LONGEST_WITHOUT_END = 4
_LINE_FEED = b"\n"


class CutsUncertain(Exception):
    """A quote is open somewhere, so that a piece may begin within a value: read the text whole."""


@dataclass(frozen=True)
class Piece:
    """Some records of a text.

    Attributes:
        text: The piece as a text of its own: without a header, unless it is the whole text.
        lines_before: Lines of the file before it.
        is_whole: It is the only one.
        content: Begins with its records, without a header; None of a text too long to be in memory.
        content_bytes: How many bytes of it are the piece's.
        spare: Buffers that are free to be used again: fresh memory costs as much as reading into it.
    """

    text: PreparedText
    lines_before: int
    is_whole: bool
    content: bytes | bytearray | None
    content_bytes: int
    spare: list[bytearray] = field(default_factory=list)

    def done(self) -> None:
        """Give the content back, once nobody reads it any more."""
        if isinstance(self.content, bytearray):
            self.spare.append(self.content)

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """Have the text at its path, which a piece is only for so long."""
        if self.is_whole or self.content is None:
            yield self.text.path
            return
        try:
            self.text.path.write_bytes(memoryview(self.content)[: self.content_bytes])
            yield self.text.path
        finally:
            self.text.path.unlink(missing_ok=True)


def is_long(text: PreparedText) -> bool:
    """Whether a text is more than one piece."""
    return text.path.stat().st_size > PIECE_BYTES


def cut(text: PreparedText, text_format: CsvFormat, folder: Path) -> Iterator[Piece]:
    """Yield the pieces of a text.

    Args:
        text: The readable file.
        text_format: Its dialect; a line feed between two quotes ends no record.
        folder: Where a piece is put while it has to be on disk.

    Raises:
        CutsUncertain: Places between two records cannot be told for sure.
    """
    if text.marks.has_quote and text_format.escape not in (None, text_format.quote):
        raise CutsUncertain  # an escaped quote would be counted
    quote = text_format.quote.encode() if text.marks.has_quote else None
    lines_before = text.header_lines
    spare: list[bytearray] = []
    with text.path.open("rb") as handle:
        _skip_header(handle, text)
        for number, (content, size) in enumerate(_contents(handle, quote, spare)):
            with memoryview(content) as view:
                lines = count_byte(view[:size], _LINE_FEED) + (view[size - 1] != ord(_LINE_FEED))
            path = folder / f"piece-{number}.csv"
            piece = replace(text, path=path, lines=lines, header_lines=0, header_records=0)
            yield Piece(piece, lines_before, is_whole=False, content=content, content_bytes=size, spare=spare)
            lines_before += lines


def whole(text: PreparedText) -> Piece:
    """Return the text itself as its only piece."""
    if is_long(text):
        return Piece(text, 0, is_whole=True, content=None, content_bytes=0)
    with text.path.open("rb") as handle:
        _skip_header(handle, text)
        content = handle.read()
    return Piece(text, 0, is_whole=True, content=content, content_bytes=len(content))


def _skip_header(handle: BufferedReader, text: PreparedText) -> None:
    for _ in islice(handle, text.header_lines):
        pass


def _contents(
    handle: BufferedReader, quote: bytes | None, spare: list[bytearray]
) -> Iterator[tuple[bytearray, int]]:
    """Yield each piece as the beginning of a buffer: up to the end of a record that surely ends there."""
    rest = b""
    let_go_to = 0
    while True:
        for pieces in range(1, _LONGEST_WITHOUT_END + 1):
            content = spare.pop() if spare and pieces == 1 else bytearray(pieces * PIECE_BYTES)
            size = pieces * PIECE_BYTES
            with memoryview(content) as view:
                view[: len(rest)] = rest
                filled = len(rest) + handle.readinto(view[len(rest) : size])
            files.let_go(handle.fileno(), let_go_to, handle.tell() - let_go_to)
            let_go_to = handle.tell()
            is_last = filled < size
            end = filled if is_last else _last_record_end(content, filled, quote)
            if end or is_last:
                break
            rest = bytes(memoryview(content)[:filled])
        else:
            raise CutsUncertain
        rest = bytes(memoryview(content)[end:filled])
        if end:
            yield content, end
        if is_last:
            return


def _last_record_end(content: bytearray, size: int, quote: bytes | None) -> int:
    """Return where the last record ends that surely does, or 0: an even number of quotes before it."""
    end = content.rfind(_LINE_FEED, 0, size) + 1
    if quote is None:
        return end
    with memoryview(content) as view:
        quotes = count_byte(view[:end], quote)
        while end and quotes % 2:
            before = content.rfind(_LINE_FEED, 0, end - 1) + 1
            quotes -= count_byte(view[before:end], quote)
            end = before
    return end
