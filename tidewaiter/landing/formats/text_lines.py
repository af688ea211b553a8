"""Lines of a text file as a relation: every line with its number, decoded or marked as broken.

Whole chunks become Arrow arrays; no line passes through Python on its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tidewaiter.landing.decoding import utf8_chunks
from tidewaiter.landing.staged import SOURCE_LINE

if TYPE_CHECKING:
    from tidewaiter.landing.formats.opening import Opening

UNDECODABLE = "the line has bytes that are not of the file's encoding"

# Far beyond any record; a file without line ends must not be taken into memory as one.
_LONGEST_LINE_BYTES = 1 << 26
_SCHEMA = pa.schema([("number", pa.int64()), ("bytes", pa.large_binary())])


def copy_lines(opening: Opening, encoding: str, skip_lines: int) -> str:
    """Write the lines of the file to Parquet and return SQL that reads them.

    Returns:
        SQL of a relation with `source_line` (from 1) and `line` without its line end, null where its
        bytes are not of the encoding. Blank lines and the skipped ones are left out.

    Raises:
        TidewaiterError: The file is empty, or a line is longer than 64 MiB.
    """
    if opening.path.stat().st_size == 0:
        raise opening.error("the file is empty", expected="at least one line")
    reader = pa.RecordBatchReader.from_batches(_SCHEMA, _batches(opening, encoding))
    opening.connection.register("handed_over_lines", reader)
    try:
        return opening.copy(
            f"select * from (select number as {SOURCE_LINE},"
            " rtrim(try(decode(bytes)), chr(13) || chr(10)) as line"
            f" from handed_over_lines where number > {skip_lines}) where line is null or line <> ''",
            "lines.parquet",
        )
    finally:
        opening.connection.unregister("handed_over_lines")


def undecodable_sql(lines: str) -> str:
    """Return SQL of the rejects for lines whose bytes are not of the encoding."""
    return (
        f"select {SOURCE_LINE}, '{UNDECODABLE.replace(chr(39), chr(39) * 2)}' as kind, kind as message"
        f" from {lines} where line is null"
    )


def _batches(opening: Opening, encoding: str) -> Iterator[pa.RecordBatch]:
    number, held = 1, b""
    for chunk in _with_line_feeds(utf8_chunks(opening.path, encoding, opening.where)):
        text = held + chunk
        end = text.rfind(b"\n") + 1
        held = text[end:]
        if len(held) > _LONGEST_LINE_BYTES:
            raise opening.error(f"line {number} or one after it is longer than 64 MiB")
        if end:
            batch = _batch(text, end, number)
            number += len(batch)
            yield batch
    if held:
        yield _batch(held + b"\n", len(held) + 1, number)


def _batch(text: bytes, end: int, number: int) -> pa.RecordBatch:
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8, count=end) == ord("\n")) + 1
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    lines = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), ends.size, [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    )
    return pa.record_batch([pa.array(np.arange(number, number + ends.size)), lines], schema=_SCHEMA)


def _with_line_feeds(chunks: Iterator[bytes | bytearray]) -> Iterator[bytes | bytearray]:
    """Yield the chunks of a file that ends its lines with CR alone, as old Macintoshes do, with LF."""
    first = next(chunks, b"")
    if b"\n" in first or b"\r" not in first:
        yield first
        yield from chunks
        return
    yield first.replace(b"\r", b"\n")
    for chunk in chunks:
        yield chunk.replace(b"\r", b"\n")
