"""How rows become the bytes of a file: delimited text, fixed width, JSON, XML, Parquet, a workbook.

A form gets columns of text and yields lines; what the columns say belongs to the dialects. Compression
follows the end of the file's name. Nothing here depends on the clock: same rows, same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_LINES_PER_WRITE = 100_000
_ZIP_DATE = (2024, 1, 1, 0, 0, 0)


class Form(Protocol):
    """A way of writing rows as text."""

    @property
    def encoding(self) -> str:
        """Encoding of the text."""

    @property
    def null_text(self) -> str:
        """How no value is written."""

    @property
    def separator(self) -> str:
        """What stands between two rows."""

    def head(self, headers: list[str]) -> str:
        """Return what stands before the first row."""

    def tail(self) -> str:
        """Return what stands after the last row."""

    def lines(self, texts: pa.Table) -> pa.Array:
        """Return one text per row."""

    @property
    def first_line(self) -> int:
        """Number by which landing calls the first row."""

    def cut(self, lines: pa.Array) -> pa.Array | None:
        """Return the lines as a broken transfer would leave them; None where the form has no such fault."""

    def lengthened(self, lines: pa.Array) -> pa.Array | None:
        """Return the lines with something in them that does not belong there, or None."""


@dataclass(frozen=True)
class Delimited:
    """Delimited text.

    Attributes:
        quoted: Headers whose values are always in double quotes.
        title: A line above everything else; empty for none.
        has_header: Whether a line names the columns.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    null_text: str = ""
    quoted: frozenset[str] = frozenset()
    separator: str = "\n"
    title: str = ""
    has_header: bool = True

    @property
    def first_line(self) -> int:
        """Number of the first line below title and header."""
        return 1 + bool(self.title) + self.has_header

    def head(self, headers: list[str]) -> str:
        """Return title and header line."""
        above = [self.title] * bool(self.title) + [self.delimiter.join(headers)] * self.has_header
        return "".join(f"{line}\n" for line in above)

    def tail(self) -> str:
        """Return nothing."""
        return ""

    def lines(self, texts: pa.Table) -> pa.Array:
        """Join the columns."""
        columns = [
            pc.binary_join_element_wise('"', column, '"', "") if header in self.quoted else column
            for header, column in zip(texts.column_names, texts.columns, strict=True)
        ]
        return joined(columns, self.delimiter, self.null_text)

    def cut(self, lines: pa.Array) -> pa.Array:
        """Cut the last three columns."""
        mark = f"[{self.delimiter}]"
        pattern = f"({mark}[^{self.delimiter}]*){{3}}$"
        return pc.replace_substring_regex(lines, pattern=pattern, replacement="")

    def lengthened(self, lines: pa.Array) -> pa.Array:
        """Add a column."""
        return pc.binary_join_element_wise(lines, "?", self.delimiter)


@dataclass(frozen=True)
class FixedWidth:
    """Columns by place, no header.

    Attributes:
        widths: Characters of each column, in order; longer texts do not occur.
    """

    widths: Mapping[str, int]
    encoding: str = "latin-1"
    null_text: str = ""
    separator: str = "\n"
    first_line: int = 1

    def head(self, headers: list[str]) -> str:
        """Return nothing."""
        return ""

    def tail(self) -> str:
        """Return nothing."""
        return ""

    def lines(self, texts: pa.Table) -> pa.Array:
        """Pad the columns with blanks and join them."""
        padded = []
        for name in texts.column_names:
            column = pc.fill_null(texts[name], self.null_text)
            longest = pc.max(pc.utf8_length(column)).as_py() or 0
            if longest > self.widths[name]:
                raise ValueError(f"column {name} has {longest} characters and place for {self.widths[name]}")
            padded.append(pc.utf8_rpad(column, self.widths[name]))
        return joined(padded, "", "")

    def cut(self, lines: pa.Array) -> pa.Array:
        """Cut the last characters."""
        return pc.utf8_slice_codeunits(lines, 0, sum(self.widths.values()) - 9)

    def lengthened(self, lines: pa.Array) -> pa.Array:
        """Add characters."""
        return pc.binary_join_element_wise(lines, "?", "")


@dataclass(frozen=True)
class JsonRows:
    """One JSON object per row, nested where a column's name has points.

    Attributes:
        plain: Columns written as they are, without quotes: numbers and booleans.
        before, after: Text around all rows.
        separator: Between rows; a line break for one record per line.
    """

    plain: frozenset[str] = frozenset()
    before: str = ""
    after: str = ""
    separator: str = "\n"
    encoding: str = "utf-8"
    null_text: str = "null"
    first_line: int = 1

    def head(self, headers: list[str]) -> str:
        """Return the text before."""
        return self.before

    def tail(self) -> str:
        """Return the text after."""
        return self.after

    def lines(self, texts: pa.Table) -> pa.Array:
        """Build each object: keys as text between the columns."""
        parts: list[Any] = []
        for key, opening in zip(texts.column_names, _openings(texts.column_names), strict=True):
            column = texts[key]
            if key not in self.plain:
                column = pc.binary_join_element_wise('"', column, '"', "")
            parts += [opening, pc.fill_null(column, "null")]
        depth = texts.column_names[-1].count(".") + 1
        return joined([*parts, "}" * depth], "", "null")

    def cut(self, lines: pa.Array) -> pa.Array:
        """Cut the last characters."""
        return pc.utf8_slice_codeunits(lines, 0, 60)

    def lengthened(self, lines: pa.Array) -> pa.Array | None:
        """Return none: landing takes another key for another column."""
        return None


@dataclass(frozen=True)
class JsonArrays:
    """One JSON document in which each row is an array of texts, the names of the columns apart."""

    encoding: str = "utf-8"
    null_text: str = ""
    separator: str = ",\n"
    first_line: int = 1

    def head(self, headers: list[str]) -> str:
        """Return the names, and what opens the rows."""
        return f'{{"columns": {json.dumps(headers)}, "rows": [\n'

    def tail(self) -> str:
        """Return what closes the rows and the document."""
        return "\n]}\n"

    def lines(self, texts: pa.Table) -> pa.Array:
        """Put each row into an array."""
        return pc.binary_join_element_wise('["', joined(texts.columns, '", "', self.null_text), '"]', "")

    def cut(self, lines: pa.Array) -> pa.Array | None:
        """Return none: a broken document is refused as a whole."""
        return None

    def lengthened(self, lines: pa.Array) -> pa.Array | None:
        """Return none."""
        return None


@dataclass(frozen=True)
class XmlRows:
    """One element per row, its columns elements within.

    Attributes:
        above: Elements that stand before all rows, with their texts.
    """

    record: str
    root: str
    above: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    null_text: str = ""
    separator: str = "\n"
    first_line: int = 1

    def head(self, headers: list[str]) -> str:
        """Return the declaration, the opening tag of the root, and what stands before the rows."""
        above = "".join(f"  <{name}>{text}</{name}>\n" for name, text in self.above.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<{self.root}>\n{above}'

    def tail(self) -> str:
        """Return the closing tag of the root."""
        return f"</{self.root}>\n"

    def lines(self, texts: pa.Table) -> pa.Array:
        """Put each value into its element."""
        parts: list[Any] = [f"  <{self.record}>"]
        for name in texts.column_names:
            parts += [f"<{name}>", pc.fill_null(texts[name], ""), f"</{name}>"]
        return joined([*parts, f"</{self.record}>"], "", "")

    def cut(self, lines: pa.Array) -> pa.Array | None:
        """Return none: a broken XML file is refused as a whole."""
        return None

    def lengthened(self, lines: pa.Array) -> pa.Array | None:
        """Return none."""
        return None


@dataclass(frozen=True)
class ParquetRows:
    """A Parquet file of text columns; for small tables."""


@dataclass(frozen=True)
class Workbook:
    """An Excel workbook of one sheet; for small tables."""

    sheet: str = "Sheet1"


@dataclass
class TextFile:
    """A file that grows by rows.

    Attributes:
        rows: How many it has.
    """

    path: Path
    form: Form
    rows: int = 0
    _stack: list[Any] = field(default_factory=list)

    def append(self, headers: list[str], lines: pa.Array) -> None:
        """Write lines behind those that are there."""
        encoding = self.form.encoding
        if not self._stack:
            self._open()
            self._stack[-1].write(self.form.head(headers).encode(encoding))
        for start in range(0, len(lines), _LINES_PER_WRITE):
            chunk = lines.slice(start, _LINES_PER_WRITE)
            whole = pa.ListArray.from_arrays(pa.array([0, len(chunk)], pa.int32()), chunk)
            text = pc.binary_join(whole, self.form.separator)[0].as_py()
            before = self.form.separator if self.rows and self.form.separator != "\n" else ""
            after = "\n" if self.form.separator == "\n" else ""
            self._stack[-1].write((before + text + after).encode(encoding))
            self.rows += len(chunk)

    def close(self) -> None:
        """Finish the file; a file without rows is not written."""
        if self._stack:
            self._stack[-1].write(self.form.tail().encode(self.form.encoding))
        while self._stack:
            self._stack.pop().close()

    def _open(self) -> None:
        suffix = self.path.suffix
        handle: Any = self.path.open("wb")
        self._stack.append(handle)
        if suffix == ".gz":
            # No name and no time in the header: same rows, same bytes.
            self._stack.append(
                gzip.GzipFile(filename="", mode="wb", fileobj=handle, compresslevel=4, mtime=0)
            )
        elif suffix == ".zst":
            self._stack.append(pa.CompressedOutputStream(handle, "zstd"))
        elif suffix == ".zip":
            archive = zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED, compresslevel=4)
            self._stack.append(archive)
            inner = zipfile.ZipInfo(self.path.stem, _ZIP_DATE)
            inner.compress_type = zipfile.ZIP_DEFLATED
            self._stack.append(archive.open(inner, "w", force_zip64=True))


def write_parquet(path: Path, texts: pa.Table) -> None:
    """Write a small table of text columns."""
    pq.write_table(texts, path, compression="zstd")


def write_workbook(path: Path, texts: pa.Table, sheet: str) -> None:
    """Write a small table as a workbook; times within the archive are fixed."""
    from openpyxl import Workbook as Book

    book = Book(write_only=True)
    page = book.create_sheet(sheet)
    page.append(texts.column_names)
    for row in zip(*(column.to_pylist() for column in texts.columns), strict=True):
        page.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as written, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(written.namelist()):
            # The document's own properties say when it was made.
            if name != "docProps/core.xml":
                archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), written.read(name))
            else:
                archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), _CORE_PROPERTIES)


_CORE_PROPERTIES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><cp:coreProperties'
    ' xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"/>'
)


def joined(parts: list[Any], delimiter: str, null_text: str) -> pa.Array:
    """Join texts row by row."""
    lines = pc.binary_join_element_wise(
        *parts, delimiter, null_handling="replace", null_replacement=null_text
    )
    return lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines


def _openings(names: list[str]) -> list[str]:
    """Return what stands before each value: the keys that lead to it, opened and closed as needed.

    Columns of one object stand together.
    """
    found: list[str] = []
    before: list[str] = []
    for place, name in enumerate(names):
        *path, key = name.split(".")
        shared = 0
        while shared < min(len(path), len(before)) and path[shared] == before[shared]:
            shared += 1
        text = "{" if place == 0 else "}" * (len(before) - shared) + ","
        text += "".join(f'"{part}":{{' for part in path[shared:])
        found.append(f'{text}"{key}":')
        before = path
    return found
