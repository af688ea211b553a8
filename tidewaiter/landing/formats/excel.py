"""Excel workbooks: the values of one sheet. Formulas are not computed, and nothing of the file is run."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from tidewaiter.contracts import ExcelFormat
from tidewaiter.errors import closest
from tidewaiter.landing.formats.opening import Opening
from tidewaiter.landing.formats.rows import RowWriter
from tidewaiter.landing.staged import SOURCE_LINE, Staged, raw_column
from tidewaiter.warehouse import quote_literal

_MIB = 1 << 20
_RECORDS_FILE = "records.parquet"
_BROKEN_CONTAINER = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
)
_TOO_MANY = "the row has more values than the header has columns"
_NOT_COMPUTED = "a formula of the row has no value: the workbook was written without computing it"
_MARKUP_TOO_MUCH = (
    b"<!DOCTYPE",
    b"<!ENTITY",
    "<!DOCTYPE".encode("utf-16-le"),
    "<!DOCTYPE".encode("utf-16-be"),
)


@dataclass(frozen=True)
class ExcelSource:
    """One sheet; `source_line` is the number of the row in the sheet."""

    opening: Opening
    excel_format: ExcelFormat
    header: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        _check_container(self.opening, self.excel_format)
        with self._rows() as rows:
            object.__setattr__(self, "header", self._read_header(rows))

    def stage(self, positions: Sequence[int]) -> Staged:
        """Read the sheet row by row in bounded batches; see `Source.stage`."""
        path = self.opening.folder / _RECORDS_FILE
        above = self.excel_format.skip_rows + self.excel_format.header
        with self._rows() as rows, RowWriter(path) as writer:
            for number, values, formulas in rows:
                if number > above and any(value is not None for value in (*values, *formulas)):
                    fault = self._fault(values, formulas, positions)
                    writer.add(
                        number,
                        [_as_text(value, self.excel_format.decimal_mark) for value in values],
                        (),
                        fault,
                    )
        read = f"read_parquet({quote_literal(path)})"
        columns = "".join(f", values[{place + 1}] as {raw_column(place)}" for place in positions)
        return self.opening.staged(
            f"select number as {SOURCE_LINE}{columns} from {read} where fault is null",
            f"select number as {SOURCE_LINE}, fault as kind, fault as message from {read}"
            " where fault is not null",
        )

    def _read_header(self, rows: Iterator[tuple[int, Sequence[Any], Sequence[Any]]]) -> tuple[str, ...]:
        if self.excel_format.columns:
            return self.excel_format.columns
        for number, values, _ in rows:
            if number > self.excel_format.skip_rows:
                names = [(_as_text(value) or "").strip() for value in values]
                while names and not names[-1]:
                    names.pop()
                return tuple(names)
        raise self.opening.error("the sheet is empty", expected="a row with the names of the columns")

    def _fault(self, values: Sequence[Any], formulas: Sequence[Any], positions: Sequence[int]) -> str | None:
        if any(value is not None for value in values[len(self.header) :]):
            return _TOO_MANY
        for place in positions:
            if place < len(values) and values[place] is None and formulas[place] is not None:
                return _NOT_COMPUTED
        return None

    @contextmanager
    def _rows(self) -> Iterator[Iterator[tuple[int, Sequence[Any], Sequence[Any]]]]:
        """Yield (row number, values, formulas or values) of the sheet.

        Raises:
            TidewaiterError: Not a workbook, or no such sheet.
        """
        import openpyxl

        opened: list[Any] = []
        readable = self.opening.folder / "source.xlsx"
        if not readable.is_symlink():
            readable.symlink_to(self.opening.path)
        try:
            # Read-only leaves formulas and links alone; `data_only` gives the values kept with formulas.
            for data_only in (True, False):
                # A link with a name that openpyxl takes for a workbook's.
                opened.append(
                    openpyxl.load_workbook(readable, read_only=True, data_only=data_only, keep_links=False)
                )
            sheets = [self._sheet(book) for book in opened]
            both = zip(*(sheet.iter_rows(values_only=True) for sheet in sheets), strict=True)
            yield ((number, values, formulas) for number, (values, formulas) in enumerate(both, start=1))
        except (LookupError, ValueError, TypeError, AttributeError, SyntaxError, OverflowError) as error:
            # openpyxl meets a broken workbook with whatever its parts raise.
            raise self.opening.error(f"not a readable workbook: {type(error).__name__}") from None
        except _BROKEN_CONTAINER as error:
            raise self.opening.error(f"not a readable workbook: {error}") from None
        finally:
            for book in opened:
                book.close()

    def _sheet(self, book: Any) -> Any:
        wanted = self.excel_format.sheet
        names = [sheet.title for sheet in book.worksheets if hasattr(sheet, "iter_rows")]
        if wanted is not None and wanted not in names:
            raise self.opening.error(f"no sheet '{wanted}'{closest(wanted, names)}")
        if not names:
            raise self.opening.error("the workbook has no sheet")
        sheet = book[wanted or names[0]]
        # The size that the file gives may be wrong, and rows beyond it would go missing.
        sheet.reset_dimensions()
        return sheet


def _check_container(opening: Opening, excel_format: ExcelFormat) -> None:
    """Refuse a workbook that unpacks to too much, or whose XML declares entities."""
    try:
        with zipfile.ZipFile(opening.path) as container:
            size = 0
            for member in container.infolist():
                with container.open(member) as reader:
                    tail = b""
                    while chunk := reader.read(_MIB):
                        size += len(chunk)
                        if size > excel_format.largest_unpacked_mb * _MIB:
                            raise opening.error(
                                f"the workbook unpacks to more than {excel_format.largest_unpacked_mb} MB",
                                next_step="raise format.largest_unpacked_mb if it is trusted",
                            )
                        if any(mark in tail + chunk for mark in _MARKUP_TOO_MUCH) and _is_xml(
                            member.filename
                        ):
                            raise opening.error("the workbook's XML declares a document type or entities")
                        tail = chunk[-32:]
    except _BROKEN_CONTAINER as error:
        raise opening.error(f"not an Excel workbook (xlsx): {error}") from None


def _is_xml(name: str) -> bool:
    return name.lower().endswith((".xml", ".rels", ".vml"))


def _as_text(value: Any, decimal_mark: str = ".") -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case datetime():
            # Excel has no dates, only instants; midnight is how it keeps a date.
            return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case float():
            return str(value).replace(".", decimal_mark)
        case _:
            return str(value)
