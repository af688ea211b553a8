"""Making a delimited file readable: UTF-8, no byte-order mark, one kind of line end, a known header.

DuckDB loses rows without a word where line ends are mixed, and gives positions in transcoded bytes
where the encoding is not UTF-8 (duckdb 1.5). Files that are fine as they are, are read in place;
the others are read from a mended copy with the same lines.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tidewaiter import files
from tidewaiter.contracts import CsvFormat
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.decoding import CHUNK_BYTES, check_mark, utf8_chunks
from tidewaiter.landing.line_ends import Mender
from tidewaiter.landing.marks import MarkFinder, Marks, count_byte

_UNIT_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class PreparedText:
    """A file that DuckDB can read.

    Attributes:
        path: The file itself or its mended copy. The name is plain: no character of it is a glob.
        lines: Physical lines, header included.
        header: Column names as they stand in the file, or in the contract where the file has none,
            without outer white space.
        header_lines: Physical lines up to the end of the header, skipped ones included.
        header_records: What DuckDB must skip: blank or emptied lines before the header, and the header.
        line_end_bytes: 1 for LF, 2 for CR LF.
        marks: What its values may hold.
    """

    path: Path
    lines: int
    header: tuple[str, ...]
    header_lines: int
    header_records: int
    line_end_bytes: int
    marks: Marks


class Survey:
    """Line ends and marks of a text of UTF-8 that comes in chunks. What its first line holds marks no value.

    Args:
        text_format: Its dialect.
    """

    def __init__(self, text_format: CsvFormat) -> None:
        self.size_bytes = self.lf = self.cr = self.crlf = 0
        self._last: bytes | bytearray = b""
        self._finder = MarkFinder(text_format.quote)
        self._is_header = not text_format.columns

    def look(self, chunk: bytes | bytearray) -> None:
        """Look at the next bytes of the text."""
        self._finder.look(chunk.partition(b"\n")[2] if self._is_header else chunk)
        self._is_header = False
        self.lf += count_byte(chunk, b"\n")
        if b"\r" in chunk:  # nowhere, in most files: to look is faster than to count
            self.cr += chunk.count(b"\r")
            self.crlf += chunk.count(b"\r\n")
        if self._last == b"\r" and chunk[:1] == b"\n":
            self.crlf += 1
        self._last = chunk[-1:]
        self.size_bytes += len(chunk)

    @property
    def are_ends_uniform(self) -> bool:
        """Whether all lines end alike."""
        return self.cr == 0 or self.cr == self.crlf == self.lf

    @property
    def lines(self) -> int:
        """Physical lines."""
        return self.lf + (self._last not in (b"", b"\n"))

    @property
    def marks(self) -> Marks:
        """What the values may hold."""
        return self._finder.marks()


def prepare_text(
    source: Path, text_format: CsvFormat, folder: Path, where: str, survey: Survey | None = None
) -> PreparedText:
    """Return the file in a form that DuckDB reads without losing a row.

    Args:
        source: The raw file.
        text_format: Encoding and dialect from the contract.
        folder: Empty folder for a mended copy or a link.
        where: Member and file, for messages.
        survey: What was seen of the file's bytes before, if it was all of them.

    Raises:
        TidewaiterError: The bytes are not in the contract's encoding, or there is no header line.
    """
    check_mark(source, text_format.encoding, where)
    readable = folder / "source.csv"
    is_plain = text_format.encoding == "utf-8" and not text_format.skip_lines
    if not is_plain or _starts_with_mark(source):
        survey = None
    elif survey is None or survey.size_bytes != source.stat().st_size:
        survey = _surveyed(_chunks(source), text_format)
    if survey is not None and survey.are_ends_uniform:
        # A link, because DuckDB would take a bracket or a star in the name for a pattern.
        readable.symlink_to(source)
    else:
        _write_mended(source, text_format, readable, where)
        survey = _surveyed(_chunks(readable), text_format)
    if text_format.columns:
        if not survey.lines:
            raise _empty(where)
        header = tuple(name.strip() for name in text_format.columns)
        lines = records = text_format.skip_lines
    else:
        header, lines, records = _read_header(readable, text_format, where)
    line_end_bytes = 2 if survey.crlf else 1
    return PreparedText(readable, survey.lines, header, lines, records, line_end_bytes, survey.marks)


def _chunks(path: Path) -> Iterator[bytes | bytearray]:
    with path.open("rb") as handle:
        yield from files.read_chunks(handle, CHUNK_BYTES)


def _starts_with_mark(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _surveyed(chunks: Iterable[bytes | bytearray], text_format: CsvFormat) -> Survey:
    survey = Survey(text_format)
    for chunk in chunks:
        survey.look(chunk)
    return survey


def _write_mended(source: Path, text_format: CsvFormat, target: Path, where: str) -> None:
    encoding, to_blank = text_format.encoding, text_format.skip_lines
    ends = _surveyed(utf8_chunks(source, encoding, where), text_format)
    # Old Macintosh files end their lines with CR alone.
    mender = Mender(text_format, cr_ends_lines=ends.cr - ends.crlf > ends.lf)
    with target.open("wb") as writer:
        for text in mender.mended(utf8_chunks(source, encoding, where)):
            # Lines above the table are emptied and not taken out, so that every line keeps its number.
            while to_blank and text:
                _, line_feed, text = text.partition(b"\n")
                writer.write(line_feed)
                to_blank -= len(line_feed)
            writer.write(text)


def _read_header(path: Path, text_format: CsvFormat, where: str) -> tuple[tuple[str, ...], int, int]:
    """Return column names, physical lines and records up to the end of the header."""
    blank_lines = 0
    with path.open(encoding="utf-8", errors="replace", newline="") as handle:
        reader = csv.reader(
            _with_single_delimiter(handle, text_format.delimiter),
            delimiter=_UNIT_SEPARATOR if len(text_format.delimiter) > 1 else text_format.delimiter,
            quotechar=text_format.quote or None,
            escapechar=None if text_format.escape == text_format.quote else text_format.escape,
            doublequote=text_format.escape in (None, text_format.quote),
            quoting=csv.QUOTE_MINIMAL if text_format.quote else csv.QUOTE_NONE,
        )
        try:
            for names in reader:
                if names:
                    header = tuple(name.strip() for name in names)
                    return header, reader.line_num, blank_lines + 1
                blank_lines += 1
        except csv.Error as error:
            raise TidewaiterError(
                Problem(
                    f"the header line cannot be read: {error}",
                    where=where,
                    expected=f"names of at most {csv.field_size_limit():,} characters",
                    next_step="correct format.quote in the contract, or have the file sent again",
                )
            ) from None
    raise _empty(where)


def _empty(where: str) -> TidewaiterError:
    return TidewaiterError(Problem("the file is empty", where=where, expected="at least one line"))


def _with_single_delimiter(lines: Iterable[str], delimiter: str) -> Iterable[str]:
    if len(delimiter) == 1:
        return lines
    return (line.replace(delimiter, _UNIT_SEPARATOR) for line in lines)
