"""Taking one subject out of a landed extract and out of the raw bytes it came from.

Rows go from `rows.parquet` and `quarantine.parquet`, and the receipt's counts follow. In a raw file
of lines the subject's records become empty lines, so that every other row keeps its place; any other
raw file is removed. What stands in the warehouse, the marts and the publications is not known here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tidewaiter import files
from tidewaiter.canonical import DatasetName
from tidewaiter.contracts import CsvFormat, Extract
from tidewaiter.erasures import normalise_identifier
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.raw import ERASED_FILE
from tidewaiter.landing.receipts import QUARANTINE_FILE, REPEATS_FILE, ROWS_FILE
from tidewaiter.landing.text import prepare_text
from tidewaiter.pseudonyms import party_fields
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.landing.raw import StoredRaw
    from tidewaiter.settings import Settings

_TEXT_KEPT_IN = "text_kept_in"  # the record of a line that could not be split has this key
# Read byte by byte where a line feed and a quote are the same bytes as in ASCII.
_WIDE_ENCODINGS = ("utf-16", "utf-32")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")


@dataclass(frozen=True)
class Dropped:
    """What was taken out of one landed extract.

    Attributes:
        landed, quarantined: Rows taken out of either file.
        lines: Their lines in the source.
        counts: The counts of the receipt as they are now.
    """

    landed: int
    quarantined: int
    lines: frozenset[int]
    counts: dict[str, Any]

    @property
    def rows(self) -> int:
        """Rows taken out in all."""
        return self.landed + self.quarantined


def find_lines(
    folder: Path,
    dataset: DatasetName,
    subjects: Collection[str],
    settings: Settings,
    declarations: Collection[str] = (),
) -> set[int]:
    """Return the lines of an extract whose rows, landed or quarantined, hold one of the pseudonyms.

    Args:
        folder: The extract's folder.
        dataset: Its dataset.
        subjects: Pseudonyms under the key that it was landed with.
        settings: For the connection.
        declarations: Declarations whose landed rows are the subject's, whomever the rows themselves name.
    """
    with open_duckdb(settings) as connection:
        found = set(_lines(connection, folder, dataset, subjects, frozenset()))
        if declarations and (folder / ROWS_FILE).exists():
            query = (
                f"select source_line from {_read(folder / ROWS_FILE)} where list_contains(?, declaration_id)"
            )
            rows = connection.execute(query, [sorted(declarations)]).fetchall()
            found |= {int(line) for (line,) in rows}
        return found


def find_declarations(folder: Path, subjects: Collection[str], settings: Settings) -> set[str]:
    """Return the declarations of an extract of headers whose header holds one of the pseudonyms."""
    if not (folder / ROWS_FILE).exists():
        return set()
    with open_duckdb(settings) as connection:
        named = _names_subject("declarations", subjects)
        query = f"select declaration_id from {_read(folder / ROWS_FILE)} where {named}"
        return {str(declaration) for (declaration,) in connection.execute(query).fetchall()}


def unreadable_lines(folder: Path, settings: Settings) -> set[int]:
    """Return the lines of an extract that could not be split into columns."""
    with open_duckdb(settings) as connection:
        found = connection.execute(
            f"select source_line from {_read(folder / QUARANTINE_FILE)}"
            f" where record like '%{_TEXT_KEPT_IN}%' and json_exists(record, '$.{_TEXT_KEPT_IN}')"
        ).fetchall()
    return {int(line) for (line,) in found}


def drop_rows(
    folder: Path,
    dataset: DatasetName,
    subjects: Collection[str],
    settings: Settings,
    lines: Collection[int] = (),
) -> Dropped | None:
    """Take the subjects' rows out of a landed extract's files, in place; None where there are none.

    Args:
        folder: The extract's folder, or a copy that is not yet in place.
        dataset: Its dataset.
        subjects: Pseudonyms under the key that it was landed with.
        settings: For the connection.
        lines: Further lines to take out, such as those that could not be read.

    Raises:
        TidewaiterError: The extract was landed by a version that kept no kinds of reasons.
    """
    with open_duckdb(settings) as connection:
        found = frozenset(_lines(connection, folder, dataset, subjects, frozenset(lines)))
        if not found:
            return None
        connection.execute("create table erased_lines (source_line BIGINT)")
        connection.execute("insert into erased_lines select unnest(?::BIGINT[])", [sorted(found)])
        landed = _rewrite(connection, folder / ROWS_FILE) + _rewrite(connection, folder / REPEATS_FILE)
        quarantined = _rewrite(connection, folder / QUARANTINE_FILE)
        return Dropped(landed, quarantined, found, _counts(connection, folder, dataset))


def scrub_raw(
    raw: StoredRaw,
    extract: Extract | None,
    lines: Collection[int],
    *,
    unreadable: Collection[int] = (),
    identifier: str | None = None,
) -> set[int]:
    """Make the records on these lines of a raw file empty lines, or remove the file where that cannot be.

    Args:
        raw: The kept bytes; nothing happens where they were removed before.
        extract: The contract's entry that reads them; None removes the file.
        lines: First lines of the records to empty; of wide records, places of their blocks.
        unreadable: Lines without columns that are emptied too where the identifier is in their text.
        identifier: The subject in clear, where it is known.

    Returns:
        The unreadable lines that hold the identifier.
    """
    if raw.archive_sha256 is not None:
        if lines and raw.kept_path.is_file():
            _note(raw, set(), removed=True)
            raw.kept_path.unlink()
        return set()
    if not raw.is_kept:
        return set()
    if (
        extract is None
        or not isinstance(extract.format, CsvFormat)
        or _is_compressed(raw.path)
        or _has_other_lines(raw, extract.format)
    ):
        if not lines:
            return set()  # what could not be read is not searched in a form of which we know no lines
        _note(raw, set(), removed=True)
        raw.path.unlink()
        return set()
    wanted = None if identifier is None else normalise_identifier(identifier)
    blocks = 1 if extract.format.unpivot is None else len(extract.format.unpivot.blocks)
    of_file, unreadable_of_file = (
        frozenset((line - 1) // blocks + 1 for line in some) for some in (lines, unreadable)
    )
    scrubber = _Scrubber(extract.format, of_file, unreadable_of_file, wanted)
    with files.replace_file_atomically(raw.path) as partial:
        scrubber.copy(raw.path, partial)
        partial.chmod(0o600)
        _note(raw, scrubber.emptied, removed=False)
    return {(line - 1) * blocks + 1 for line in scrubber.found}


def rows_scrubbed(raw_folder: Path) -> int:
    """Return how many rows of a raw file were made empty lines."""
    return len((files.read_json(raw_folder / ERASED_FILE) or {"lines": []})["lines"])


def is_removed(raw_folder: Path) -> bool:
    """Whether the raw file was removed because it held an erased subject and cannot be mended."""
    return bool((files.read_json(raw_folder / ERASED_FILE) or {}).get("removed"))


def _lines(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    dataset: DatasetName,
    subjects: Collection[str],
    more: frozenset[int],
) -> set[int]:
    found = set(more)
    if (folder / ROWS_FILE).exists():
        condition = _names_subject(dataset, subjects)
        query = f"select source_line from {_read(folder / ROWS_FILE)} where {condition}"
        found |= {int(line) for (line,) in connection.execute(query).fetchall()}
    # A record is JSON of the source columns; a pseudonym stands there as a whole value.
    values = [quote_literal(f'"{one}"') for one in sorted(subjects)]
    condition = " or ".join(f"contains(record, {value})" for value in values)
    query = f"select source_line from {_read(folder / QUARANTINE_FILE)} where {condition or 'false'}"
    found |= _repeating(connection, folder / REPEATS_FILE, found)
    return found | {int(line) for (line,) in connection.execute(query).fetchall()}


def _names_subject(dataset: DatasetName, subjects: Collection[str]) -> str:
    """Return the condition that a landed row names one of the subjects."""
    listed = ", ".join(quote_literal(subject) for subject in sorted(subjects)) or "null"
    return " or ".join(f"{quote_identifier(name)} in ({listed})" for name in party_fields(dataset)) or "false"


def _repeating(connection: duckdb.DuckDBPyConnection, path: Path, lines: set[int]) -> set[int]:
    """Return the lines that repeat one of these: what they hold stands on the source's line only."""
    if not path.exists() or not lines:
        return set()
    query = f"select source_line from {_read(path)} where list_contains(?::BIGINT[], repeats_line)"
    return {int(line) for (line,) in connection.execute(query, [sorted(lines)]).fetchall()}


def _rewrite(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Write a file of the extract without the erased lines; return how many rows went."""
    if not path.exists():
        return 0
    source = _read(path)
    gone = _scalar(connection, f"select count(*) from {source} semi join erased_lines using (source_line)")
    if gone:
        with files.replace_file_atomically(path) as partial:
            connection.execute(
                f"copy (select * from {source} anti join erased_lines using (source_line)"
                f" order by source_line) to {quote_literal(partial)} (format parquet, compression zstd)"
            )
    return int(gone)


def _counts(connection: duckdb.DuckDBPyConnection, folder: Path, dataset: DatasetName) -> dict[str, Any]:
    import duckdb

    rows, quarantine = folder / ROWS_FILE, _read(folder / QUARANTINE_FILE)
    landed, repeated = (
        int(_scalar(connection, f"select count(*) from {_read(path)}")) if path.exists() else 0
        for path in (rows, folder / REPEATS_FILE)
    )
    quarantined = int(_scalar(connection, f"select count(*) from {quarantine}"))
    try:
        reasons = connection.execute(
            f"select kind, count(*) from (select unnest(reason_kinds) as kind from {quarantine})"
            " group by all order by all"
        ).fetchall()
    except duckdb.BinderException:
        raise TidewaiterError(
            Problem(
                "landed by an earlier version, which kept no kinds of reasons",
                where=str(folder),
                next_step="tidewaiter ingest lands it again; then erase",
            )
        ) from None
    first, last = None, None
    if landed and dataset == "declaration_items":
        first, last = connection.execute(
            f"select min(registered_date), max(registered_date) from {_read(rows)}"
        ).fetchone() or (None, None)
    return {
        "rows_in": landed + repeated + quarantined,
        "rows_landed": landed + repeated,
        "rows_repeated": repeated,
        "rows_quarantined": quarantined,
        "reasons": {str(kind): int(count) for kind, count in reasons},
        "min_registered_date": first,
        "max_registered_date": last,
    }


class _Scrubber:
    """Copies a text line by line and leaves some records empty. Lines count as landing counts them."""

    def __init__(
        self, text_format: CsvFormat, lines: frozenset[int], unreadable: frozenset[int], wanted: str | None
    ) -> None:
        self._encoding = str(text_format.encoding)
        self._quote = text_format.quote
        self._escaped_quote = f"{text_format.escape}{text_format.quote}" if text_format.escape else ""
        self._lines = lines
        self._unreadable = unreadable
        self._wanted = wanted
        self.found: set[int] = set()
        self.emptied: set[int] = set()

    def copy(self, source: Path, target: Path) -> None:
        # Latin-1 gives back every byte as it was; only wide encodings must be understood.
        encoding = self._encoding if _is_wide(self._encoding) else "latin-1"
        line_end = "\r" if _ends_lines_with_cr_alone(source, encoding) else "\n"
        is_open = False
        with (
            source.open(encoding=encoding, newline=line_end) as reader,
            target.open("x", encoding=encoding, newline="") as writer,
        ):
            for number, line in enumerate(reader, start=1):
                is_unreadable = number in self._unreadable and self._names_subject(line)
                if is_unreadable:
                    self.found.add(number)
                starts = number in self._lines or is_unreadable
                if starts:
                    self.emptied.add(number)
                if starts or is_open:
                    # A quote that is not closed carries the record on to the next line.
                    is_open = (is_open != self._turns(line)) and not is_unreadable
                    text = line.rstrip("\r\n")
                    line = line[len(text) :]
                writer.write(line)

    def _turns(self, line: str) -> bool:
        if self._escaped_quote:
            line = line.replace(self._escaped_quote, "")
        return bool(self._quote) and line.count(self._quote) % 2 == 1

    def _names_subject(self, line: str) -> bool:
        if self._wanted is None:
            return False
        if not _is_wide(self._encoding):
            line = line.encode("latin-1").decode(self._encoding, errors="replace")
        return self._wanted in normalise_identifier(line)


def _ends_lines_with_cr_alone(path: Path, encoding: str) -> bool:
    feeds = returns = pairs = 0
    with path.open(encoding=encoding, newline="") as reader:
        while chunk := reader.read(1 << 20):
            feeds += chunk.count("\n")
            returns += chunk.count("\r")
            pairs += chunk.count("\r\n")
    return returns - pairs > feeds


def _has_other_lines(raw: StoredRaw, text_format: CsvFormat) -> bool:
    """Whether landing counted more lines than there are line feeds: CR alone ended some of them."""
    encoding = text_format.encoding if _is_wide(text_format.encoding) else "latin-1"
    if _ends_lines_with_cr_alone(raw.path, encoding):
        return False
    with TemporaryDirectory(prefix=f"{files.PARTIAL_PREFIX}lines-", dir=raw.folder) as folder:
        counted = prepare_text(raw.path, text_format, Path(folder), raw.file_name).lines
    with raw.path.open(encoding=encoding, newline="\n") as reader:
        return counted != sum(1 for _ in reader)


def _is_wide(encoding: str) -> bool:
    return encoding.lower().startswith(_WIDE_ENCODINGS)


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(8).startswith(_COMPRESSED)


def _note(raw: StoredRaw, lines: set[int], *, removed: bool) -> None:
    """Keep which lines were emptied. Before the bytes change, so that a kill leaves no unexplained gap."""
    path = raw.folder / ERASED_FILE
    before = files.read_json(path) or {"lines": [], "removed": False}
    after = {"lines": sorted({*before["lines"], *lines}), "removed": before["removed"] or removed}
    if after != before:
        files.write_json_atomically(path, after)


def _read(path: Path) -> str:
    return f"read_parquet({quote_literal(path)}, hive_partitioning = false)"


def _scalar(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
