"""Reading records that consist of values, delimiters and line ends, and of nothing else.

Where no value is quoted, every reader of CSV splits the same records the same way, and Arrow's does in
half the time of DuckDB's. It reads all records of a piece or none: a piece with anything out of the
ordinary is left to the reader that can say what is wrong with which line.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv

from tidewaiter.landing.staged import raw_column

if TYPE_CHECKING:
    from tidewaiter.contracts import CsvFormat
    from tidewaiter.landing.pieces import Piece

_LINE_FEED = b"\n"
# Longer lines are more than DuckDB reads. One such has a stretch of half its length without an end.
_LONGEST_BYTES = 2_000_000
_STRETCH_BYTES = _LONGEST_BYTES // 2


def read_plain(piece: Piece, text_format: CsvFormat, positions: tuple[int, ...]) -> pa.Table | None:
    """Return the records of a piece as columns `raw_<position>` of text, none of them null.

    Args:
        piece: What is read.
        text_format: Its dialect.
        positions: Columns wanted.

    Returns:
        One row per line of the piece below its header; None where it is not plain, or has a blank line,
        a line of another number of columns, or text that is not UTF-8.
    """
    text = piece.text
    if not piece.content or not positions or not _is_plain(piece, text_format):
        return None
    names = [raw_column(position) for position in range(len(text.header))]
    wanted = [raw_column(position) for position in positions]
    try:
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(memoryview(piece.content)[: piece.content_bytes])),
            csv.ReadOptions(use_threads=False, block_size=piece.content_bytes + 1, column_names=names),
            csv.ParseOptions(
                delimiter=text_format.delimiter,
                quote_char=False,
                double_quote=False,
                ignore_empty_lines=True,  # else each would be a row; this way the rows are too few
            ),
            csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None  # read again by the reader that tells which line it is
    return table if table.num_rows == text.lines - text.header_lines else None


def _is_plain(piece: Piece, text_format: CsvFormat) -> bool:
    content, size, delimiter = piece.content or b"", piece.content_bytes, text_format.delimiter
    special = {text_format.quote, text_format.escape or "", "\0"} - {""}
    return (
        len(piece.text.header) > 1  # of one column, a blank line would be a row
        and len(delimiter) == 1
        and delimiter.isascii()
        and all(content.find(mark.encode(), 0, size) < 0 for mark in special)
        and not content.startswith(codecs.BOM_UTF8)  # Arrow would take it off a piece's first value
        and all(
            content.find(_LINE_FEED, start, start + _STRETCH_BYTES) >= 0
            for start in range(0, size - _STRETCH_BYTES, _STRETCH_BYTES)
        )
    )
