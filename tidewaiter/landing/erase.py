"""Taking one subject out of a landed extract: rows go, and the receipt's counts follow.

What becomes of the raw bytes is `landing.scrub`'s business; what stands in the warehouse, the marts and
the publications is not known here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewaiter import files
from tidewaiter.canonical import DatasetName
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.receipts import QUARANTINE_FILE, REPEATS_FILE, ROWS_FILE
from tidewaiter.pseudonyms import party_fields
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings

_TEXT_KEPT_IN = "text_kept_in"  # the record of a line that could not be split has this key


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


def _read(path: Path) -> str:
    return f"read_parquet({quote_literal(path)}, hive_partitioning = false)"


def _scalar(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
