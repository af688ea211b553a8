"""Reading a sample without a contract: encoding, dialect, header, and the first rows as text.

A guess throughout: the sample is read far enough to propose a contract, and landing reads the whole
file under the contract that came of it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tidewaiter.contracts.propose.encoding import guess_encoding
from tidewaiter.contracts.propose.fixed import fixed_width_format
from tidewaiter.contracts.propose.structure import json_format, xml_format
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings

_SAMPLE_BYTES = 8 << 20
_CHARSET_BYTES = 1 << 18
SAMPLE_ROWS = 20_000
_UNSUPPORTED = {".xls", ".bz2", ".xz", ".7z", ".rar"}
_LARGEST_JSON_MB = 256
_WORKBOOK = b"PK\x03\x04"
_PARQUET = b"PAR1"
_PROMISED = {".parquet": _PARQUET, ".xlsx": _WORKBOOK}
_ROWS_ABOVE_A_HEADER = 30
_LINES_TO_COMPARE = 500
_USUAL_DELIMITERS = "\t;|,"
_MOSTLY = 0.8
_LEAST_NAMES = 3


@dataclass(frozen=True)
class Sample:
    """The first rows of a file.

    Attributes:
        path: The file.
        format: The contract's `format` as far as it could be seen, without marks of numbers.
        columns: Names of the columns, as they stand in the header or as they were made up.
        table: Relation that holds the rows, all text, columns named `c0`, `c1` and so on.
        notes: What to look at again, in words.
        name_in_archive: Name of the file in a zip archive, where it came in one.
    """

    path: Path
    format: dict[str, Any]
    columns: tuple[str, ...]
    table: str
    notes: tuple[str, ...] = ()
    name_in_archive: str = ""


@contextmanager
def read_samples(
    path: Path, connection: duckdb.DuckDBPyConnection, table: str, settings: Settings, member: str
) -> Iterator[list[Sample]]:
    """Yield the first rows of a file, or of each file of an archive, as tables of the connection.

    Raises:
        UsageProblem: There is no such file, it is empty, or its form cannot be guessed.
    """
    from tidewaiter.landing.archives import unpacked_files

    if not path.is_file() or not path.stat().st_size:
        what = "the sample is empty" if path.is_file() else "no such file"
        raise UsageProblem(Problem(what, where=str(path), expected="a file as the member sends it"))
    if path.suffix.lower() in _UNSUPPORTED:
        raise UsageProblem(
            Problem(
                f"a sample that ends in {path.suffix.lower()} cannot be sniffed",
                where=str(path),
                expected="text, fixed width, JSON, XML, Parquet or Excel, as such or in gz, zst or zip",
                next_step="save it in one of these forms",
            )
        )
    with TemporaryDirectory(prefix="tidewaiter-sample-") as folder:
        found = []
        try:
            # Landing reads some forms by a link, which must lead there from wherever it stands.
            files = unpacked_files(path.absolute(), Path(folder))
        except TidewaiterError as error:
            raise UsageProblem(error.problems) from None
        for number, (name, file) in enumerate(files):
            there = Path(folder) / f"sample-{number}"
            there.mkdir()
            reader = _Reader(path, connection, f"{table}_{number}", there, settings, member)
            sample = _read_sample(file, reader)
            found.append(replace(sample, path=path, name_in_archive=name))
        yield found


@dataclass(frozen=True)
class _Reader:
    """What reading one sample takes: its name, whose it is, and where its rows come to be."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    table: str
    folder: Path
    settings: Settings
    member: str


def _read_sample(file: Path, reader: _Reader) -> Sample:
    path = reader.path
    with file.open("rb") as handle:
        head = handle.read(_SAMPLE_BYTES)
    promised = _PROMISED.get(file.suffix.lower())
    if promised and not head.startswith(promised):
        raise UsageProblem(
            Problem(
                f"this does not read as {file.suffix[1:].lower()}",
                where=str(path),
                next_step="have it sent again",
            )
        )
    if head.startswith(_PARQUET):
        return _read_as_landing({"kind": "parquet"}, file, reader)
    if head.startswith(_WORKBOOK):
        return _read_as_landing(_excel_format(file, path), file, reader)
    encoding, why = guess_encoding(head[:_CHARSET_BYTES], reader.member)
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace")
    notes = () if encoding in ("utf-8", "utf-16") else (f"encoding {encoding}: {why}",)
    start = text.lstrip()[:1]
    if start == "<" and (found := xml_format(file)):
        return _read_as_landing(found, file, reader)
    if start in ("[", "{") and (taken_apart := json_format(text, file, _LARGEST_JSON_MB)):
        found, more = taken_apart
        if encoding != "utf-8":
            found["encoding"] = encoding
        return _read_as_landing(found, file, reader, (*notes, *more))
    if fixed := fixed_width_format(text):
        fixed["encoding"] = encoding
        places = (
            "places of columns are guessed from blanks, digits and letters, and digits that touch are taken"
            " for one column: write the columns as the record layout has them"
        )
        return _read_as_landing(fixed, file, reader, (*notes, places))
    return _read_text(text, encoding, notes, len(head) == _SAMPLE_BYTES, reader)


def _read_as_landing(
    found: dict[str, Any],
    file: Path,
    reader: _Reader,
    notes: tuple[str, ...] = (),
) -> Sample:
    """Read a sample under the guessed format, as landing will."""
    from pydantic import TypeAdapter

    from tidewaiter.contracts.formats import Format
    from tidewaiter.landing.formats import open_format
    from tidewaiter.landing.staged import raw_column

    try:
        source = open_format(
            reader.connection,
            file,
            TypeAdapter(Format).validate_python(found),
            reader.folder,
            f"file {reader.path.name}",
            (),
            reader.settings,
        )
        names = source.header
        staged = source.stage(range(len(names)))
    except TidewaiterError as error:
        raise UsageProblem(error.problems) from None
    columns = ", ".join(f"{raw_column(place)} as c{place}" for place in range(len(names)))
    reader.connection.execute(
        f"create table {quote_identifier(reader.table)} as"
        f" select {columns or 'true as c0'} from {staged.records} limit {SAMPLE_ROWS}"
    )
    return Sample(reader.path, found, names, reader.table, notes)


def _excel_format(file: Path, path: Path) -> dict[str, Any]:
    """Return the format of a workbook: its first sheet with a table, and the row with the names."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        for number, sheet in enumerate(book.worksheets):
            sheet.reset_dimensions()
            rows = list(sheet.iter_rows(values_only=True, max_row=_ROWS_ABOVE_A_HEADER))
            above = next((place for place, row in enumerate(rows) if _are_names(row, rows)), None)
            if above is not None:
                found: dict[str, Any] = {"kind": "excel"}
                return (
                    found
                    | ({"sheet": sheet.title} if number else {})
                    | ({"skip_rows": above} if above else {})
                )
    except Exception as error:  # openpyxl meets a broken workbook with whatever its parts raise
        raise UsageProblem(
            Problem(f"not a readable workbook: {type(error).__name__}", where=str(path))
        ) from None
    raise UsageProblem(
        Problem(
            "no sheet has a row with the names of columns",
            where=str(path),
            expected=f"at least {_LEAST_NAMES} texts side by side in the first {_ROWS_ABOVE_A_HEADER} rows",
            next_step="write the contract by hand: docs/reference/contract.md",
        )
    )


def _are_names(row: Sequence[Any], rows: Sequence[Sequence[Any]]) -> bool:
    """Whether a row has nothing but texts, nearly as many as the fullest row has values."""
    filled = [value for value in row if value is not None]
    fullest = max(sum(value is not None for value in one) for one in rows)
    return (
        len(filled) >= max(_LEAST_NAMES, fullest // 2)
        and all(isinstance(value, str) for value in filled)
        and len(set(filled)) > len(filled) // 2
    )


def _read_text(
    text: str,
    encoding: str,
    notes: tuple[str, ...],
    is_cut: bool,
    reader: _Reader,
) -> Sample:
    import duckdb

    folder = reader.folder

    if is_cut and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    readable, table_alone = folder / "sample.csv", folder / "table.csv"
    readable.write_text(text, encoding="utf-8", newline="")
    above = _lines_above(text)
    table_alone.write_text("".join(text.splitlines(keepends=True)[above:]), encoding="utf-8", newline="")
    try:
        dialect = _sniff(table_alone, reader.connection)
    except (duckdb.Error, IndexError) as error:
        raise UsageProblem(
            Problem(
                f"this does not read as delimited text: {str(error).splitlines()[0]}",
                where=str(reader.path),
                expected="lines of equally many values between delimiters",
                next_step="write the contract by hand: docs/reference/contract.md",
            )
        ) from None
    found: dict[str, Any] = {"kind": "csv", "delimiter": dialect["delimiter"]}
    if dialect["quote"] != '"':
        found["quote"] = dialect["quote"]
    found["encoding"] = encoding
    if above + dialect["skip"]:
        found["skip_lines"] = above + dialect["skip"]
    if not dialect["header"]:
        columns = [f"column_{place + 1}" for place in range(dialect["columns"])]
        found |= {"header": False, "columns": columns}
        notes = (*notes, "no header line was found: the names of the columns are made up; say what they are")
    there = folder / "read"
    there.mkdir()
    decoded = found | {"encoding": "utf-8"}
    sample = _read_as_landing(decoded, readable, replace(reader, folder=there), notes)
    return replace(sample, format=found)


def _lines_above(text: str) -> int:
    """Return how many lines stand above the table: a title has not as many delimiters as the lines below."""
    lines = text.splitlines()[:_LINES_TO_COMPARE]
    for delimiter in _USUAL_DELIMITERS:
        counts = [_delimiters(line, delimiter) for line in lines]
        number, times = (
            Counter(count for count in counts if count).most_common(1)[0] if any(counts) else (0, 0)
        )
        if times >= _MOSTLY * sum(map(bool, lines)):
            first = counts.index(number)
            return first if first <= _ROWS_ABOVE_A_HEADER else 0
    return 0


def _delimiters(line: str, delimiter: str) -> int:
    """Return how many delimiters of a line stand outside quotes."""
    try:
        return max(0, len(next(csv.reader([line], delimiter=delimiter), [])) - 1)
    except csv.Error:
        return line.count(delimiter)


def _sniff(path: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    row = connection.execute(
        f"select Delimiter, Quote, SkipRows, HasHeader, len(Columns) from sniff_csv({quote_literal(path)},"
        f" sample_size = {SAMPLE_ROWS}, all_varchar = false, ignore_errors = true)"
    ).fetchall()[0]
    delimiter, quote, skip, header, columns = row
    quote = "" if quote in (None, "(empty)", "\x00") else str(quote)
    return {
        "delimiter": str(delimiter),
        "quote": quote or '"',
        "skip": int(skip),
        "header": bool(header),
        "columns": int(columns),
    }
