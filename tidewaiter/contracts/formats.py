"""Formats: how the bytes of a file read. Part of the contract; `kind` says which one it is.

Source columns are called as the file calls them. Where a format has no header, the contract gives
the names. What a format's columns mean belongs to the fields of the extract.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from tidewaiter.contracts.strict import Strict
from tidewaiter.errors import closest

# Codecs of Python's own that are no way to write a file of records.
_NO_FILE_ENCODINGS = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
_USUAL_SPELLINGS = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8",
    "iso8859-1": "latin-1",
    "utf-16": "utf-16",
}
_COMMON_ENCODINGS = ("utf-8", "latin-1", "utf-16", "cp1252", "cp437", "cp850", "iso8859-15", "shift_jis")
_JSON_KEY = re.compile(r'"(?:[^"]|"")*"|[^."]+')
_JSON_PATH = re.compile(rf"(?:{_JSON_KEY.pattern})(?:\.(?:{_JSON_KEY.pattern}))*")
_NAMES = Field(default=None, min_length=1)


class Unpivot(Strict):
    """Wide records: blocks of columns side by side, such as one for each month. Each block is a row.

    A row has all columns of its record, and those named here. Its place in the file is counted in
    blocks: that of block b of n in record r is (r - 1) n + b.

    Attributes:
        name: Column that holds the label of the block.
        blocks: Labels, in the order of the blocks.
        columns: Column of the row to the source columns that it comes from: a name with `{block}` where
            the label stands, or a list with one name for each block; null where a block has no such column.
        row_if: Columns of which one must hold something for a block to be a row, such as the time of an
            event; all of `columns` by default.
        nothing: Spellings of "nothing" in a block: one that holds nothing else is no row.
    """

    name: str = Field(min_length=1)
    blocks: tuple[str, ...] = Field(min_length=2)
    columns: dict[str, str | tuple[str | None, ...]] = Field(min_length=1)
    row_if: tuple[str, ...] = ()
    nothing: tuple[str, ...] = ("",)

    @property
    def deciding(self) -> tuple[str, ...]:
        """The columns that decide whether a block is a row."""
        return self.row_if or tuple(self.columns)

    def source_columns(self, column: str) -> tuple[str | None, ...]:
        """Return the names of a column's source columns, block by block; None where a block has none."""
        given = self.columns[column]
        if isinstance(given, str):
            return tuple(given.replace("{block}", block) for block in self.blocks)
        return given

    @model_validator(mode="after")
    def _blocks_are_whole(self) -> Self:
        _check_distinct(self.blocks)
        _check_distinct((self.name, *self.columns))
        for column, given in self.columns.items():
            if isinstance(given, str) and "{block}" not in given:
                raise ValueError(
                    f"'{column}': write {{block}} where the label of the block stands in '{given}'"
                )
            if not isinstance(given, str) and len(given) != len(self.blocks):
                raise ValueError(f"'{column}' has {len(given)} source columns for {len(self.blocks)} blocks")
            if not any(self.source_columns(column)):
                raise ValueError(f"'{column}' has no source column in any block")
        for column in self.row_if:
            if column not in self.columns:
                raise ValueError(f"row_if: '{column}' is none of columns{closest(column, self.columns)}")
        for number, block in enumerate(self.blocks):
            if not any(self.source_columns(column)[number] for column in self.deciding):
                raise ValueError(f"nothing tells whether the block '{block}' is a row: it has no column")
        return self


class _Format(Strict):
    """What all formats share: how numbers are written in text.

    Attributes:
        decimal_mark: Mark before the decimals of a number that is written as text. Numbers that are no
            text, as in Parquet or Excel, are read with this mark too.
        thousands_mark: Mark between groups of three digits, where there is one.
        unpivot: How a wide record becomes several rows.
    """

    decimal_mark: Literal[".", ","] = "."
    thousands_mark: Literal[".", ",", " ", "'"] | None = None
    unpivot: Unpivot | None = None

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal_mark == self.thousands_mark:
            raise ValueError("decimal_mark and thousands_mark must differ")
        return self


def _known_encoding(value: str) -> str:
    try:
        name = codecs.lookup(value).name
        # Knows what a codec is for: raises LookupError for hex, zlib and the like.
        io.TextIOWrapper(io.BytesIO(), encoding=value)
        codecs.getincrementaldecoder(value)
    except LookupError:
        raise ValueError(f"unknown encoding '{value}'{closest(value, _COMMON_ENCODINGS)}") from None
    if name in _NO_FILE_ENCODINGS or value in _NO_FILE_ENCODINGS:
        raise ValueError(f"'{value}' is no encoding of files")
    return _USUAL_SPELLINGS.get(name, value)


Encoding = Annotated[str, AfterValidator(_known_encoding)]


class _TextFormat(_Format):
    """A format of text: its bytes are characters in an encoding.

    Attributes:
        encoding: Any encoding that Python can decode, such as `utf-8`, `latin-1`, `cp1252`, `gb18030`.
            A byte that the encoding does not have costs its record, not the file; in a JSON array or
            document, which reads as a whole or not at all, it costs the file.
    """

    encoding: Encoding = "utf-8"


class CsvFormat(_TextFormat):
    """A delimited text file.

    Attributes:
        delimiter: What stands between two values; more than one character will do.
        quote: What opens and closes a value that holds a delimiter; empty for none.
        escape: What stands before a quote within a quoted value; the quote itself, doubled, by default.
        header: Whether the first line has the names of the columns.
        columns: Names of all columns in order, where there is no header.
        skip_lines: Lines above the header, or above the first record, that are none of the table.
    """

    kind: Literal["csv"] = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=4)
    quote: str = Field(default='"', max_length=1)
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    header: bool = True
    columns: tuple[str, ...] | None = _NAMES
    skip_lines: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _names_come_from_one_place(self) -> Self:
        _check_names(self.header, self.columns)
        if self.escape is not None and not self.quote:
            raise ValueError("escape needs a quote")
        return self


class FixedWidthColumn(Strict):
    """One column of a fixed-width file, by place: characters count from 1, both ends included.

    Attributes:
        name: What the contract calls it.
        start: First character; left out, the one after the previous column.
        end: Last character.
        width: Number of characters, instead of `end`.
    """

    name: str = Field(min_length=1)
    start: int | None = Field(default=None, ge=1)
    end: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _has_an_extent(self) -> Self:
        if (self.end is None) == (self.width is None):
            raise ValueError(f"give '{self.name}' exactly one of end, width")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError(f"'{self.name}' ends before it starts")
        return self


class FixedWidthFormat(_TextFormat):
    """A text file in which a column is a place on the line.

    Attributes:
        columns: Where each column stands; what is not listed is not read.
        header_lines: Lines above the first record.
        record_length: Characters of every record; another length is a fault of the record.
        short_lines: A line that ends before the last column does: a fault, or padded with blanks.
    """

    kind: Literal["fixed_width"] = "fixed_width"
    columns: tuple[FixedWidthColumn, ...] = Field(min_length=1)
    header_lines: int = Field(default=0, ge=0)
    record_length: int | None = Field(default=None, ge=1)
    short_lines: Literal["reject", "pad"] = "reject"

    @property
    def places(self) -> tuple[tuple[str, int, int], ...]:
        """Name, first character from 1, and number of characters of each column."""
        found, after = [], 1
        for column in self.columns:
            start = column.start or after
            width = column.width or (column.end or start) - start + 1
            found.append((column.name, start, width))
            after = start + width
        return tuple(found)

    @property
    def last_character(self) -> int:
        """Where the last column ends."""
        return max(start + width - 1 for _, start, width in self.places)

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        _check_distinct(column.name for column in self.columns)
        for name, _, width in self.places:
            if width < 1:
                raise ValueError(f"'{name}' ends before it starts")
        if self.record_length is not None and self.last_character > self.record_length:
            raise ValueError(f"the columns end at {self.last_character}, the record at {self.record_length}")
        return self


class JsonFormat(_TextFormat):
    """JSON: an array of records, one record on each line, or one document that holds them.

    A column is called by its path in the record, keys joined by points: `goods.hs`; a key that has a
    point or a double quote in it is written in double quotes. A list, or an object where other
    records have a text, is read as JSON text.

    Attributes:
        layout: `array` one array of records; `lines` one record per line; `document` one document.
        items: Path to the list of items below each record or document; lists on the way are walked.
            Each item is then a record.
        header_fields: Name of a column to the path, from the top of the document, of a value above the
            items that is repeated on each of them. A list of paths names the columns by their paths.
        record: `object` with names in each record, or `array` of values in the order of the header.
        columns: Names of the values, where records are arrays and no header says them.
        columns_path: Path to the list of names in a document (of texts, or of one key of objects).
            Without either, the first record holds the names.
        largest_document_mb: A document is read as a whole, in about ten times its size of memory; a
            larger one is refused.
    """

    kind: Literal["json"] = "json"
    layout: Literal["array", "lines", "document"] = "array"
    items: str | None = Field(default=None, min_length=1)
    header_fields: dict[str, str] = Field(default={})
    record: Literal["object", "array"] = "object"
    columns: tuple[str, ...] | None = _NAMES
    columns_path: str | None = Field(default=None, min_length=1)
    largest_document_mb: int = Field(default=256, ge=1, le=2000)

    @field_validator("header_fields", mode="before")
    @classmethod
    def _paths_are_names(cls, value: Any) -> Any:
        return {path: path for path in value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        problems = []
        if self.header_fields and self.items is None:
            problems.append("header_fields stand above items: give the path of the items")
        if self.record == "object" and (self.columns or self.columns_path):
            problems.append("columns and columns_path are for records that are arrays")
        if self.columns and self.columns_path:
            problems.append("give columns or columns_path")
        if self.columns_path and self.layout != "document":
            problems.append("columns_path is for a document")
        items = split_path(self.items) if self.items else ()
        for path in self.header_fields.values():
            if items and split_path(path)[: len(items)] == items:
                problems.append(f"'{path}' stands in the items and is a column without header_fields")
        if problems:
            raise ValueError("; ".join(problems))
        _check_distinct((*(self.columns or ()), *self.header_fields))
        return self


class XmlFormat(_Format):
    """XML in which one element, repeated, is a record. Entities and document types are refused.

    A column is called by its path in the record: `Goods/HsCode`, `Goods/@unit`, `@id`; `.` is the
    text of the record itself. Namespaces are left out. An element that stands several times in a
    record is read as a JSON list of its texts.

    Attributes:
        record: Name of the element that is a record.
        header_fields: Name of a column to the path of a value outside the record that is repeated on
            it. The path starts with the name of an element around the record: `Declaration/Office`.
        encoding: Where the file's own declaration of its encoding is wrong.
    """

    kind: Literal["xml"] = "xml"
    record: str = Field(pattern=r"^[^/@{}\s]+$")
    header_fields: dict[str, Annotated[str, Field(pattern=r"^[^/@{}\s]+/[^\s]+$")]] = Field(default={})
    encoding: Encoding | None = None


class ParquetFormat(_Format):
    """A Parquet file. Values are read as text: ISO 8601 dates, `true` and `false`.

    One with more than ten rows to a byte is refused: those are no records.
    """

    kind: Literal["parquet"] = "parquet"


class ExcelFormat(_Format):
    """A sheet of an Excel workbook (xlsx). Values only: formulas are not computed, macros not run.

    Attributes:
        sheet: Name of the sheet; the first one by default.
        header: Whether the first row has the names of the columns.
        columns: Names of all columns in order, where there is no header.
        skip_rows: Rows above the header, or above the first record.
        largest_unpacked_mb: A workbook is a zip archive; one that unpacks to more is refused.
    """

    kind: Literal["excel"] = "excel"
    sheet: str | None = None
    header: bool = True
    columns: tuple[str, ...] | None = _NAMES
    skip_rows: int = Field(default=0, ge=0)
    largest_unpacked_mb: int = Field(default=1024, ge=1)

    @model_validator(mode="after")
    def _names_come_from_one_place(self) -> Self:
        _check_names(self.header, self.columns)
        return self


class Archive(Strict):
    """What a compressed file or archive (gz, zst, zip) may hold. Others are read as they are.

    Each file in a zip archive is an extract of its own, called `archive.zip/name`.

    Attributes:
        members: Glob patterns of the files in a zip archive that belong to this extract.
        most_members: Files in one archive above which it is refused.
        largest_unpacked_gb: Size of all that is unpacked above which it is refused.
        largest_ratio: Unpacked size over packed size, of a file above 10 MB, above which it is refused.
    """

    members: tuple[str, ...] = Field(default=("*",), min_length=1)
    most_members: int = Field(default=1000, ge=1)
    largest_unpacked_gb: float = Field(default=50, gt=0)
    largest_ratio: float = Field(default=200, gt=1)


def split_path(path: str) -> tuple[str, ...]:
    """Return the keys of a JSON path: joined by points, in double quotes where they hold one.

    Raises:
        ValueError: The path has an empty or half-quoted key.
    """
    if not _JSON_PATH.fullmatch(path):
        raise ValueError(f"'{path}' is no path of keys joined by points")
    return tuple(
        key[1:-1].replace('""', '"') if key.startswith('"') else key for key in _JSON_KEY.findall(path)
    )


def join_path(keys: Iterable[str]) -> str:
    """Return the path of keys; see `split_path`."""
    return ".".join(
        key if key and "." not in key and '"' not in key else '"' + key.replace('"', '""') + '"'
        for key in keys
    )


def _kind_of(value: Any) -> Any:
    """Return the kind that a format says it is; CSV where it says none."""
    if isinstance(value, dict):
        return value.get("kind", "csv")
    return getattr(value, "kind", "csv")


Format = Annotated[
    Annotated[CsvFormat, Tag("csv")]
    | Annotated[FixedWidthFormat, Tag("fixed_width")]
    | Annotated[JsonFormat, Tag("json")]
    | Annotated[XmlFormat, Tag("xml")]
    | Annotated[ParquetFormat, Tag("parquet")]
    | Annotated[ExcelFormat, Tag("excel")],
    Discriminator(_kind_of),
]
AnyFormat = CsvFormat | FixedWidthFormat | JsonFormat | XmlFormat | ParquetFormat | ExcelFormat
FORMATS: tuple[type[AnyFormat], ...] = (
    CsvFormat,
    FixedWidthFormat,
    JsonFormat,
    XmlFormat,
    ParquetFormat,
    ExcelFormat,
)


def _check_names(header: bool, columns: tuple[str, ...] | None) -> None:
    if header and columns:
        raise ValueError("columns are for a file without a header: add 'header: false' or leave them out")
    if not header and not columns:
        raise ValueError("a file without a header needs the names of its columns")
    _check_distinct(columns or ())


def _check_distinct(names: Iterable[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
