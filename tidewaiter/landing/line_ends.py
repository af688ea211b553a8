"""One kind of line end for a text that has several: LF, whatever the programs before wrote.

CR LF becomes LF. A CR alone is a line end between two records that have as many values as the first
line; within quotes, and anywhere else, it is a blank in a text. Left as it is, DuckDB would lose rows
(duckdb 1.5): a quote that is never closed makes it unsure what stands within quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tidewaiter.contracts import CsvFormat

    Places = NDArray[np.int64]

_LF, _BLANK = 10, 32
# A text without a line feed is not held any longer to see where its line ends.
_LONGEST_HELD_BYTES = 1 << 26


@dataclass
class Mender:
    """Mends the line ends of one delimited text, chunk by chunk.

    Attributes:
        text_format: Its dialect.
        cr_ends_lines: Every CR alone is a line end, as on old Macintoshes.
    """

    text_format: CsvFormat
    cr_ends_lines: bool
    _delimiters_in_line: int | None = None
    _lines_to_skip: int = 0
    _is_quoted: bool = False

    def mended(self, chunks: Iterable[bytes | bytearray]) -> Iterator[bytes]:
        """Yield a text in UTF-8 with LF as its only line end outside of quotes."""
        self._lines_to_skip = self.text_format.skip_lines
        held = b""
        for chunk in chunks:
            text = held + chunk
            end = self._end_of_whole_lines(text)
            held = text[end:]
            yield self._mend(text[:end].replace(b"\r\n", b"\n"))
        yield self._mend(held.replace(b"\r\n", b"\n"))

    def _end_of_whole_lines(self, text: bytes) -> int:
        if self.cr_ends_lines or len(text) > _LONGEST_HELD_BYTES:
            return len(text) - text.endswith(b"\r")  # its LF may be the first byte of the next chunk
        return text.rfind(b"\n") + 1

    def _mend(self, text: bytes) -> bytes:
        if self.cr_ends_lines:
            return text.replace(b"\r", b"\n")
        self._note_first_line(text)
        quotes = self._quotes(text)
        lone = _places(text, b"\r")
        if lone.size:
            mended = np.frombuffer(text, dtype=np.uint8).copy()
            mended[lone] = _BLANK
            outside = self._unquoted(lone, quotes)
            mended[outside[self._are_ends(text, outside, quotes)]] = _LF
            text = mended.tobytes()
        self._is_quoted ^= bool(quotes.size % 2)
        return text

    def _unquoted(self, places: Places, quotes: Places) -> Places:
        is_outside = (np.searchsorted(quotes, places) + self._is_quoted) % 2 == 0
        return np.asarray(places[is_outside], dtype=np.int64)

    def _quotes(self, text: bytes) -> Places:
        """Return the places of the quotes that open or close a value."""
        quote, escape = self.text_format.quote, self.text_format.escape
        if not quote:
            return _places(b"", b'"')
        if escape is not None and escape != quote:
            # Escaped characters, the escape itself among them, are no quotes; the places stay.
            text = _without_escaped(text, escape.encode())
        return _places(text, quote.encode())

    def _note_first_line(self, text: bytes) -> None:
        while self._delimiters_in_line is None and text:
            line, line_feed, text = text.partition(b"\n")
            if self._lines_to_skip:
                self._lines_to_skip -= bool(line_feed)
            elif line.strip():
                self._delimiters_in_line = line.split(b"\r")[0].count(self._delimiter)

    @property
    def _delimiter(self) -> bytes:
        return self.text_format.delimiter.encode()

    def _are_ends(self, text: bytes, lone: Places, quotes: Places) -> NDArray[np.bool_]:
        """Return which of these CR end a record: all of a line, where they cut it into whole records."""
        feeds = self._unquoted(_places(text, b"\n"), quotes)
        delimiters = self._unquoted(_places(text, self._delimiter), quotes)
        # A part ends at a CR, at a line feed, or where the text ends.
        ends = np.unique(np.concatenate([lone, feeds, [len(text)]]))
        counts = np.diff(np.searchsorted(delimiters, ends), prepend=0)
        line_of_part = np.searchsorted(feeds, ends)
        first_parts = np.flatnonzero(np.diff(line_of_part, prepend=-1))
        are_whole = np.logical_and.reduceat(counts == self._delimiters_in_line, first_parts)
        line = np.searchsorted(line_of_part[first_parts], np.searchsorted(feeds, lone))
        return np.asarray(are_whole[line], dtype=bool)


def _places(text: bytes, mark: bytes) -> Places:
    if len(mark) == 1:
        return np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(mark))
    return np.array([found.start() for found in re.finditer(re.escape(mark), text)], dtype=np.int64)


def _without_escaped(text: bytes, escape: bytes) -> bytes:
    for escaped in (escape + escape, *(escape + mark for mark in (b'"', b"'"))):
        text = text.replace(escaped, b"  ")
    return text
