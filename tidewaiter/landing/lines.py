"""Which line of the file a row stands on, and the proof that no line went missing.

DuckDB gives rows in file order and rejected lines by byte position. Where every row is one line, the
rest is counting. Where values hold line feeds or the file has blank lines, each row's extent is
counted in its values and the lines are handed out in order; handing out all of them, and none twice,
is the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tidewaiter.errors import Problem, TidewaiterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tidewaiter.landing.text import PreparedText

    Integers = NDArray[np.int64]

_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Rejected:
    """Records that DuckDB could not split into columns; arrays of one element per record.

    Attributes:
        offsets: First byte of the record, from 0, or of the blank lines before it.
        extra_lines: Line feeds within the record, blank lines before and after it left out.
        is_open_quote: The record runs on because a quote is never closed: each of its lines is a row.
    """

    offsets: Integers
    extra_lines: Integers
    is_open_quote: NDArray[np.bool_]


NONE_REJECTED = Rejected(
    np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
)


@dataclass(frozen=True)
class RowLines:
    """Where rows and rejected records stand.

    Attributes:
        shift_from_row: Row (from 0, in file order) from which `shift` holds.
        shift: Line of a row minus its number.
        rejected_record: For each rejected line the index of its record in `Rejected`.
        rejected_line: For each rejected line its number, from 1.
    """

    shift_from_row: Integers
    shift: Integers
    rejected_record: Integers
    rejected_line: Integers


@dataclass(frozen=True)
class _Index:
    """Physical lines of the file, header left out.

    Attributes:
        starts: First byte of each line.
        is_blank: Lines that hold nothing.
    """

    starts: Integers
    is_blank: NDArray[np.bool_]


def rows_fill_all_lines(text: PreparedText, rows: int, rejected: int) -> bool:
    """Return whether rows and rejected records are one line each, with no line over."""
    return text.header_lines + rows + rejected == text.lines


def consecutive_lines(text: PreparedText) -> RowLines:
    """Return the lines of a file in which every line below the header is a row."""
    none = np.empty(0, dtype=np.int64)
    return RowLines(np.zeros(1, dtype=np.int64), np.array([text.header_lines + 1]), none, none)


def locate_rows(
    text: PreparedText, rejected: Rejected, extra_lines: Integers, blank_lines_within: Integers, where: str
) -> RowLines:
    """Return the lines of rows and rejected records.

    Args:
        text: The file as it was read.
        rejected: Records that could not be read.
        extra_lines: For each row, in file order, the line feeds in its values.
        blank_lines_within: For each row, how many lines of its values are blank.
        where: Member and file, for messages.

    Raises:
        TidewaiterError: The lines do not add up: some would be lost.
    """
    index = _index_lines(text)
    # Blank lines between rows are no rows. In a file of one column they are rows without a value.
    counts = np.ones_like(index.is_blank) if len(text.header) == 1 else ~index.is_blank
    first = np.searchsorted(index.starts, rejected.offsets)
    if not _start_on_lines(index, first, rejected.offsets):
        raise _lines_missing(text, where)
    counted = np.flatnonzero(counts)
    first = counted[np.minimum(np.searchsorted(counted, first), counted.size - 1)]
    record, line = _spread(first, rejected.extra_lines)
    within = line < counts.size
    record, line = record[within], line[within]
    is_free = counts.copy()
    is_free[line] = False
    free = np.flatnonzero(is_free)
    lines_of_row = 1 + extra_lines - (0 if len(text.header) == 1 else blank_lines_within)
    if int(lines_of_row.sum()) != free.size:
        raise _lines_missing(text, where)
    row_line = free[np.cumsum(lines_of_row) - lines_of_row] + text.header_lines + 1
    shift_from_row, shift = _runs(row_line - np.arange(row_line.size, dtype=np.int64))
    # A record is one row, except that an open quote swallows whole rows: each of its lines is one.
    is_row = (line == first[record]) | (rejected.is_open_quote[record] & counts[line])
    return RowLines(shift_from_row, shift, record[is_row], line[is_row] + text.header_lines + 1)


def _index_lines(text: PreparedText) -> _Index:
    ends = _line_feeds(text.path)
    if ends.size < text.lines:
        # The last line has no line feed: end it where one would stand.
        ends = np.append(ends, text.path.stat().st_size + text.line_end_bytes - 1)
    starts = np.concatenate(([0], ends[:-1] + 1)).astype(np.int64)
    is_blank = ends - starts < text.line_end_bytes
    return _Index(starts[text.header_lines :], is_blank[text.header_lines :])


def _line_feeds(path: Path) -> Integers:
    found = [np.empty(0, dtype=np.int64)]
    position = 0
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            found.append(np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == ord("\n")) + position)
            position += len(chunk)
    return np.concatenate(found)


def _start_on_lines(index: _Index, line: Integers, offsets: Integers) -> bool:
    return bool((line < index.starts.size).all() and (index.starts[line] == offsets).all())


def _spread(first: Integers, extra: Integers) -> tuple[Integers, Integers]:
    """Return for every line of every record its record and its number: [5], [2] gives 5, 6, 7."""
    record = np.repeat(np.arange(first.size, dtype=np.int64), extra + 1)
    start_of_record = np.cumsum(extra + 1) - (extra + 1)
    return record, first[record] + np.arange(record.size, dtype=np.int64) - start_of_record[record]


def _runs(values: Integers) -> tuple[Integers, Integers]:
    starts = np.flatnonzero(np.diff(values, prepend=values[:1] - 1))
    return starts, values[starts]


def _lines_missing(text: PreparedText, where: str) -> TidewaiterError:
    return TidewaiterError(
        Problem(
            f"the file cannot be split into rows such that all of its {text.lines} lines are accounted for",
            where=where,
            expected="every quote that opens a value to close it on the same row",
            next_step="correct format.quote or format.delimiter in the contract, or have the file sent again",
        )
    )
