"""Writing what was staged: sound rows, quarantined rows, and the counts that the receipt proves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewaiter.canonical import Dataset
from tidewaiter.landing.checks import PROBLEMS_TYPE, problem_sql
from tidewaiter.landing.persons import join_pseudonyms, make_pseudonym_tables
from tidewaiter.landing.read import STAGED, UNREADABLE, FileReader
from tidewaiter.landing.receipts import QUARANTINE_FILE, ROWS_FILE
from tidewaiter.pseudonyms import Pseudonymiser, purpose_of
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.landing.raw import StoredRaw

# Sound rows that are not landed all the same: source_line, problems.
_SET_ASIDE = "set_aside"
# Raw text of the quarantined rows: source_line, raw columns.
_EVIDENCE = "evidence"

_DUPLICATE_KIND = "same key as an earlier row of the file"
_HELD_BACK_KIND = "sound, but held back with the refused extract"


@dataclass(frozen=True)
class Outcome:
    """The part of the receipt that the rows decide."""

    rows_in: int
    rows_landed: int
    rows_quarantined: int
    reasons: dict[str, int]
    min_registered_date: date | None
    max_registered_date: date | None
    refused: bool


def write_extract(
    reader: FileReader,
    raw: StoredRaw,
    member_iso2: str,
    refuse_above: float,
    pseudonymiser: Pseudonymiser,
    target: Path,
) -> Outcome:
    """Write `rows.parquet` and `quarantine.parquet` of a staged file, both ordered by line.

    A refused extract has no `rows.parquet`, so that nothing downstream can pick it up.

    Args:
        reader: The file, staged.
        raw: Its original bytes, for the lineage.
        member_iso2: Whose file it is.
        refuse_above: Share of faulty rows above which nothing is landed.
        pseudonymiser: Replaces parties and officers, in rows and in quarantined records.
        target: Folder to write into.
    """
    connection = reader.connection
    _set_aside_duplicates(connection, reader.mapping.dataset)
    rows_in = _count(connection, STAGED) + _count(connection, UNREADABLE)
    faulty = _count(connection, UNREADABLE) + _count(connection, _SET_ASIDE)
    faulty += _count(connection, f"{STAGED} where problems is not null")
    refused = rows_in > 0 and faulty / rows_in > refuse_above
    if refused:
        _set_aside_all(connection)
    _make_evidence(reader)
    _make_pseudonyms(reader, member_iso2, pseudonymiser)
    landed = 0
    if not refused:
        _copy_ordered(connection, _rows_sql(reader.mapping.dataset, raw), target / ROWS_FILE)
        landed = _count(connection, f"read_parquet({quote_literal(target / ROWS_FILE)})")
    _copy_ordered(connection, _quarantine_sql(reader, raw, member_iso2), target / QUARANTINE_FILE)
    quarantined = _count(connection, f"read_parquet({quote_literal(target / QUARANTINE_FILE)})")
    if rows_in != landed + quarantined:
        raise AssertionError(f"{rows_in} rows in, {landed} landed and {quarantined} quarantined")
    first, last = _registered_range(connection, reader.mapping.dataset, target / ROWS_FILE, landed)
    return Outcome(rows_in, landed, quarantined, _reasons(connection), first, last, refused)


def _set_aside_duplicates(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
    """Make `set_aside` with the sound rows whose primary key an earlier sound row has."""
    key = [name for name in dataset.primary_key if name != "member_iso2"]
    columns = ", ".join(quote_identifier(name) for name in key)
    message = f"{quote_literal('same ' + ', '.join(key) + ' as line ')} || first_line"
    connection.execute(f"""
        create table {_SET_ASIDE} as
        with sound as (select source_line, {columns} from {STAGED} where problems is null),
        repeated as (
            select {columns}, min(source_line) as first_line from sound group by all having count(*) > 1
        )
        select
            source_line,
            cast([{problem_sql(_DUPLICATE_KIND, message)}] as {PROBLEMS_TYPE}) as problems
        from sound join repeated using ({columns})
        where source_line > first_line
    """)


def _set_aside_all(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"""
        insert into {_SET_ASIDE}
        select source_line, [{problem_sql(_HELD_BACK_KIND, quote_literal(_HELD_BACK_KIND))}]
        from {STAGED} where problems is null and source_line not in (select source_line from {_SET_ASIDE})
    """)


def _make_evidence(reader: FileReader) -> None:
    """Make `evidence` with the raw text of all quarantined rows that could be read."""
    connection = reader.connection
    raws = ", ".join(["source_line", *(column.raw for column in reader.mapping.columns)])
    if _count(connection, _SET_ASIDE):
        query = (
            f"select * from ({reader.reread_raw_sql()}) where"
            f" source_line in (select source_line from {_SET_ASIDE})"
            f" or source_line in (select source_line from {STAGED} where problems is not null)"
        )
    else:
        query = f"select {raws} from {STAGED} where problems is not null"
    connection.execute(f"create table {_EVIDENCE} as {query}")


def _make_pseudonyms(reader: FileReader, member_iso2: str, pseudonymiser: Pseudonymiser) -> None:
    columns: dict[str, list[tuple[str, str]]] = {}
    for field in reader.mapping.dataset.fields:
        if field.is_pseudonymised:
            columns.setdefault(purpose_of(field.name), []).append((STAGED, field.name))
    for column, field_name in reader.mapping.party_fields.items():
        columns[purpose_of(field_name)].append((_EVIDENCE, column.raw))
    make_pseudonym_tables(reader.connection, pseudonymiser, member_iso2, columns)


def _rows_sql(dataset: Dataset, raw: StoredRaw) -> str:
    parties = {field.name: field.name for field in dataset.fields if field.is_pseudonymised}
    pseudonyms, joins = join_pseudonyms(parties, "sound")
    lineage = _lineage(raw)
    columns = ", ".join(
        f"cast({lineage.get(name) or pseudonyms.get(name) or f'sound.{quote_identifier(name)}'} as {kind})"
        f" as {quote_identifier(name)}"
        for name, kind in dataset.landed_columns.items()
    )
    return (
        f"select {columns} from {STAGED} as sound{joins} where sound.problems is null"
        f" and sound.source_line not in (select source_line from {_SET_ASIDE})"
    )


def _lineage(raw: StoredRaw) -> dict[str, str]:
    return {
        "extract_id": quote_literal(raw.extract_id),
        "source_file": quote_literal(raw.file_name),
        "source_line": "sound.source_line",
    }


def _quarantine_sql(reader: FileReader, raw: StoredRaw, member_iso2: str) -> str:
    """Return SQL of the quarantine: rows with their used columns as JSON, lines by their place only.

    A line that cannot be split may hold a name anywhere, so its text stays in the raw file.
    """
    parties = {column.raw: field for column, field in reader.mapping.party_fields.items()}
    pseudonyms, joins = join_pseudonyms(parties, _EVIDENCE)
    pairs = ", ".join(
        f"{quote_literal(column.name)}, {pseudonyms.get(column.raw, f'{_EVIDENCE}.{column.raw}')}"
        for column in reader.mapping.columns
    )
    place = quote_literal(f"raw/{member_iso2}/{raw.sha256}/{raw.file_name}")
    return f"""
        with found as (
            select source_line, problems, true as is_row from {STAGED} where problems is not null
            union all select source_line, problems, true from {_SET_ASIDE}
            union all select source_line, problems, false from {UNREADABLE}
        )
        select
            found.source_line,
            list_transform(found.problems, lambda problem: problem.message) as reasons,
            cast(case when is_row then json_object({pairs})
                else json_object('text_kept_in', {place}, 'line', found.source_line) end as VARCHAR)
                as record,
            {quote_literal(raw.extract_id)} as extract_id,
            {quote_literal(raw.file_name)} as source_file
        from found
        left join {_EVIDENCE} on found.is_row and found.source_line = {_EVIDENCE}.source_line{joins}
    """


def _reasons(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    rows = connection.execute(f"""
        with found as (
            select problems from {STAGED} where problems is not null
            union all select problems from {_SET_ASIDE}
            union all select problems from {UNREADABLE}
        )
        select problem.kind, count(*)
        from (select unnest(problems) as problem from found)
        group by all order by all
    """).fetchall()
    return {str(kind): int(count) for kind, count in rows}


def _registered_range(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, rows: Path, landed: int
) -> tuple[date | None, date | None]:
    if not landed or "registered_date" not in dataset.by_name:
        return None, None
    found: Any = connection.execute(
        f"select min(registered_date), max(registered_date) from read_parquet({quote_literal(rows)})"
    ).fetchone()
    return found[0], found[1]


def _copy_ordered(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    connection.execute(
        f"copy (from ({query}) order by source_line) to {quote_literal(target)}"
        " (format parquet, compression zstd)"
    )


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = connection.execute(f"select count(*) from {relation}").fetchone()
    return int(row[0]) if row else 0
