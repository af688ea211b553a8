"""Formats: each opens a file as a `Source` of records, all text, all accounted for.

What belongs here turns bytes into records; what the records mean is the mapping's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from tidewaiter.contracts import (
    AnyFormat,
    CsvFormat,
    ExcelFormat,
    FixedWidthFormat,
    JsonFormat,
    ParquetFormat,
    XmlFormat,
)
from tidewaiter.landing.formats.opening import Opening

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.landing.staged import Source
    from tidewaiter.settings import Settings

__all__ = ["is_read_in_pieces", "open_format"]


def is_read_in_pieces(file_format: AnyFormat) -> TypeGuard[CsvFormat]:
    """Whether landing reads a file piece by piece and need not stage it whole."""
    return isinstance(file_format, CsvFormat) and file_format.unpivot is None


def open_format(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    file_format: AnyFormat,
    folder: Path,
    where: str,
    wanted: tuple[str, ...],
    settings: Settings,
) -> Source:
    """Open a file as a source that is staged whole.

    Args:
        connection: Where the records come to be.
        path: The file; it is only read.
        file_format: How it reads.
        folder: Empty work folder for what is made of it.
        where: Member and file, for messages.
        wanted: Names of the columns that the contract uses.
        settings: Threads, and the memory that they share.

    Raises:
        TidewaiterError: The file does not read as the contract says.
    """
    opening = Opening(connection, path, folder, where, wanted, settings)
    source = _open(opening, file_format)
    if file_format.unpivot is None:
        return source
    from tidewaiter.landing.formats.unpivoted import UnpivotedSource

    return UnpivotedSource(opening, source, file_format.unpivot)


def _open(opening: Opening, file_format: AnyFormat) -> Source:
    match file_format:
        case CsvFormat():
            from tidewaiter.landing.formats.delimited import CsvSource

            return CsvSource(opening, file_format)
        case FixedWidthFormat():
            from tidewaiter.landing.formats.fixed_width import FixedWidthSource

            return FixedWidthSource(opening, file_format)
        case JsonFormat():
            from tidewaiter.landing.formats.json_records import JsonSource

            return JsonSource(opening, file_format)
        case XmlFormat():
            from tidewaiter.landing.formats.xml_records import XmlSource

            return XmlSource(opening, file_format)
        case ParquetFormat():
            from tidewaiter.landing.formats.parquet import ParquetSource

            return ParquetSource(opening, file_format)
        case ExcelFormat():
            from tidewaiter.landing.formats.excel import ExcelSource

            return ExcelSource(opening, file_format)
