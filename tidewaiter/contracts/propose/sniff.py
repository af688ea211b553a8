"""Reading a sample without a contract: encoding, dialect, header, and the first rows as text.

A guess throughout: the sample is read far enough to propose a contract, and landing reads the whole
file under the contract that came of it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tidewaiter.errors import Problem, UsageProblem
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

_SAMPLE_BYTES = 8 << 20
_CHARSET_BYTES = 1 << 18
SAMPLE_ROWS = 20_000
# One encoding for each script: a few accents cannot tell Windows-1250 from 1252, and 1252 is what the
# languages of the vocabulary are written in.
_LIKELY_ENCODINGS = ("cp1252", "cp1251", "cp1253", "cp1256", "gb18030", "shift_jis", "euc_kr")
_ASCII_AND_LATIN = "latin-1"
_SUFFIXES = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_UNSUPPORTED = {".xml", ".xlsx", ".xls", ".gz", ".zst", ".zip", ".bz2", ".xz"}


@dataclass(frozen=True)
class Sample:
    """The first rows of a file.

    Attributes:
        path: The file.
        format: The contract's `format` as far as it could be seen, without marks of numbers.
        columns: Names of the columns, as they stand in the header or as they were made up.
        table: Relation that holds the rows, all text, columns named `c0`, `c1` and so on.
        notes: What to look at again, in words.
    """

    path: Path
    format: dict[str, Any]
    columns: tuple[str, ...]
    table: str
    notes: tuple[str, ...] = ()


@contextmanager
def read_sample(path: Path, connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[Sample]:
    """Yield the first rows of a file as a table of the connection.

    Raises:
        UsageProblem: There is no such file, it is empty, or its form cannot be guessed.
    """
    if not path.is_file() or not path.stat().st_size:
        what = "the sample is empty" if path.is_file() else "no such file"
        raise UsageProblem(Problem(what, where=str(path), expected="a file as the member sends it"))
    suffix = path.suffix.lower()
    if suffix in _UNSUPPORTED:
        raise UsageProblem(
            Problem(
                f"a sample that ends in {suffix} cannot be sniffed",
                where=str(path),
                expected="delimited text, JSON records, or Parquet",
                next_step="unpack it, or write the contract by hand: docs/reference/contract.md",
            )
        )
    with TemporaryDirectory(prefix="tidewaiter-sample-") as folder:
        if suffix in _SUFFIXES:
            yield _read_records(path, _SUFFIXES[suffix], connection, table)
        else:
            yield _read_text(path, connection, table, Path(folder))


def guess_encoding(head: bytes) -> tuple[str, str]:
    """Return the encoding of a text and why, from its first bytes."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "byte-order mark"
    if _is_utf8(head):
        return "utf-8", "decodes as such"
    from charset_normalizer import from_bytes

    best = from_bytes(head, cp_isolation=list(_LIKELY_ENCODINGS), threshold=0.5).best()
    found = best.encoding.replace("_", "-") if best else _ASCII_AND_LATIN
    # Windows-1252 and Latin-1 are the same where none of the 27 added signs occurs.
    is_latin = found == "cp1252" and not any(0x80 <= byte <= 0x9F for byte in head)
    return (_ASCII_AND_LATIN if is_latin else found), "most likely by its letters; look at the accents"


def _is_utf8(head: bytes) -> bool:
    try:
        # A character may be cut where the sample ends.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _read_text(path: Path, connection: duckdb.DuckDBPyConnection, table: str, folder: Path) -> Sample:
    import duckdb

    with path.open("rb") as handle:
        head = handle.read(_SAMPLE_BYTES)
    encoding, why = guess_encoding(head[:_CHARSET_BYTES])
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace")
    if len(head) == _SAMPLE_BYTES and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    readable = folder / "sample.csv"
    readable.write_text(text, encoding="utf-8", newline="")
    try:
        dialect = _sniff(readable, connection)
        names = _make_table(readable, dialect, connection, table)
    except (duckdb.Error, IndexError) as error:
        raise UsageProblem(
            Problem(
                f"this does not read as delimited text: {str(error).splitlines()[0]}",
                where=str(path),
                expected="lines of equally many values between delimiters",
                next_step="write the contract by hand: docs/reference/contract.md",
            )
        ) from None
    found: dict[str, Any] = {"kind": "csv", "delimiter": dialect["delimiter"]}
    if dialect["quote"] != '"':
        found["quote"] = dialect["quote"]
    found["encoding"] = encoding
    notes = [] if encoding in ("utf-8", "utf-16") else [f"encoding {encoding}: {why}"]
    if dialect["skip"]:
        found["skip_lines"] = dialect["skip"]
    if not dialect["header"]:
        found |= {"header": False, "columns": list(names)}
        notes.append("no header line was found: the names of the columns are made up; say what they are")
    return Sample(path, found, names, table, tuple(notes))


def _sniff(path: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    row = connection.execute(
        f"select Delimiter, Quote, SkipRows, HasHeader from sniff_csv({quote_literal(path)},"
        f" sample_size = {SAMPLE_ROWS}, all_varchar = false, ignore_errors = true)"
    ).fetchall()[0]
    delimiter, quote, skip, header = row
    quote = "" if quote in (None, "(empty)", "\x00") else str(quote)
    return {"delimiter": str(delimiter), "quote": quote or '"', "skip": int(skip), "header": bool(header)}


def _make_table(
    path: Path, dialect: dict[str, Any], connection: duckdb.DuckDBPyConnection, table: str
) -> tuple[str, ...]:
    options = (
        f"delim = {quote_literal(dialect['delimiter'])}, quote = {quote_literal(dialect['quote'])},"
        f" escape = {quote_literal(dialect['quote'])}, header = false, auto_detect = true,"
        " all_varchar = true, null_padding = false, ignore_errors = true, strict_mode = false"
    )
    source = f"read_csv({quote_literal(path)}, {options}, skip = {dialect['skip']})"
    described = connection.execute(f"describe select * from {source}").fetchall()
    columns = [str(row[0]) for row in described]
    renamed = ", ".join(f"{quote_identifier(name)} as c{position}" for position, name in enumerate(columns))
    first = connection.execute(f"select {renamed} from {source} limit 1").fetchone() or ()
    names = tuple(f"column_{position + 1}" for position in range(len(columns)))
    skip = dialect["skip"]
    if dialect["header"]:
        names = tuple((str(name) if name is not None else "").strip() for name in first)
        skip += 1
    body = f"read_csv({quote_literal(path)}, {options}, skip = {skip})"
    connection.execute(
        f"create table {quote_identifier(table)} as select {renamed} from {body} limit {SAMPLE_ROWS}"
    )
    return names


def _read_records(path: Path, kind: str, connection: duckdb.DuckDBPyConnection, table: str) -> Sample:
    import duckdb

    reader = "read_parquet" if kind == "parquet" else "read_json_auto"
    try:
        described = connection.execute(f"describe select * from {reader}({quote_literal(path)})").fetchall()
        names = tuple(str(row[0]) for row in described)
        renamed = ", ".join(
            f"cast({quote_identifier(name)} as VARCHAR) as c{position}" for position, name in enumerate(names)
        )
        connection.execute(
            f"create table {quote_identifier(table)} as"
            f" select {renamed} from {reader}({quote_literal(path)}) limit {SAMPLE_ROWS}"
        )
    except duckdb.Error as error:
        raise UsageProblem(
            Problem(f"this does not read as {kind}: {str(error).splitlines()[0]}", where=str(path))
        ) from None
    nested = [str(row[0]) for row in described if str(row[1]).startswith(("STRUCT", "MAP")) or "[]" in row[1]]
    notes = [f"column '{name}' is nested: say how its parts become rows or columns" for name in nested]
    return Sample(path, {"kind": kind}, names, table, tuple(notes))
