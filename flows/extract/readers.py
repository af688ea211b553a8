"""Reading a database: DuckDB reads PostgreSQL and SQLite, SQLAlchemy whatever else has a driver."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from flows.extract.failures import SourceFailed, failed, interrupted
from flows.extract.source import Errand
from tidewaiter.contracts import DatabaseLocation
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb
    import sqlalchemy

# What a watermark's values are when they are compared.
COMPARED_AS = {"timestamp": "timestamp", "date": "date", "integer": "bigint", "text": "varchar"}

_FOR_NOW = re.compile(
    r"(?i)connection refused|time[d-]? ?out|server closed|terminating connection|could not (send|receive)"
    r"|reset by peer|broken pipe|is locked|starting up|shutting down|too many (clients|connections)"
    r"|temporar|lost connection"
)


@dataclass(frozen=True)
class Selection:
    """Which rows are wanted.

    Attributes:
        above: Lowest watermark that is not wanted any more; None for all rows.
    """

    location: DatabaseLocation
    above: str | None

    def source(self) -> str:
        """Return the table or the query as something to select from."""
        if self.location.query is not None:
            return f"({self.location.query.rstrip().rstrip(';')}) as wanted"
        return ".".join(quote_identifier(part) for part in str(self.location.table).split("."))

    def condition(self, compared: str, literal: str) -> str:
        """Return the WHERE clause. A row without a mark is read too, to be told rather than missed."""
        return "" if self.above is None else f" where {compared} > {literal} or {compared} is null"


@contextmanager
def reader_for(selection: Selection, errand: Errand, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Yield a relation of the wanted rows, to be read once; errors within the block are told like its own.

    A column is what the source has, or text where DuckDB would round or refuse a value.

    Raises:
        SourceInterrupted: The database is not to be reached, or broke off.
        SourceFailed: It refuses, or the contract asks for what it does not have.
    """
    import duckdb
    from sqlalchemy.exc import SQLAlchemyError

    try:
        url = _url(selection.location, errand)
        match url.get_backend_name():
            case "sqlite":
                yield _read_sqlite(selection, errand, connection, Path(url.database or ""))
            case "postgresql" | "postgres":
                yield _read_postgres(selection, errand, connection, url)
            case _:
                yield _read_by_driver(selection, errand, url)
    except (duckdb.Error, SQLAlchemyError, OSError) as error:
        raise _told(error, errand) from None


def _url(location: DatabaseLocation, errand: Errand) -> URL:
    if location.sqlite is not None:
        return URL.create("sqlite", database=str(errand.member_folder / location.sqlite))
    text = errand.secrets.value(location.url) if location.url else ""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise failed(
            f"what the {location.url} holds is no database URL",
            errand.where,
            expected="one such as postgresql://user:password@host/database",
        ) from None
    if url.password:
        errand.secrets.remember(str(url.password))
    return url


def _read_sqlite(
    selection: Selection, errand: Errand, connection: duckdb.DuckDBPyConnection, path: Path
) -> str:
    if not path.is_file():
        raise failed(f"no such file: {path}", errand.where)
    _load_extension(connection, "sqlite", errand)
    # SQLite keeps any value in any column. As text, a stray one is its own row's trouble.
    connection.execute("set sqlite_all_varchar = true")
    connection.execute(f"attach {quote_literal(path)} as source (type sqlite, read_only)")

    def relation(sql: str) -> str:
        return f"sqlite_query('source', {quote_literal(sql)})"

    everything = f"select * from {selection.source()}"
    names = [quote_identifier(name) for name in _columns(connection, relation(everything), errand, selection)]
    columns = ", ".join(
        f"case typeof({name}) when 'blob' then hex({name}) else {name} end as {name}" for name in names
    )
    condition = ""
    if (mark := selection.location.watermark) is not None:
        kind = COMPARED_AS[mark.type]
        condition = selection.condition(
            f"try_cast({quote_identifier(mark.column)} as {kind})",
            f"cast({quote_literal(selection.above or '')} as {kind})",
        )
    return f"(select * from {relation(f'select {columns} from {selection.source()}')}{condition})"


def _read_postgres(
    selection: Selection, errand: Errand, connection: duckdb.DuckDBPyConnection, url: URL
) -> str:
    _load_extension(connection, "postgres", errand)
    url = url.set(drivername="postgresql")
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(max(2, round(selection.location.timeout_s)))})
    target = url.render_as_string(hide_password=False)
    errand.secrets.remember(target)
    connection.execute(f"attach {quote_literal(target)} as source (type postgres, read_only)")

    def relation(sql: str) -> str:
        return f"postgres_query('source', {quote_literal(sql)})"

    everything = f"select * from {selection.source()}"
    types = _columns(connection, relation(everything), errand, selection)
    # NUMERIC without a precision would come as a rounded DOUBLE: the server writes such numbers out.
    columns = ", ".join(
        f"{quote_identifier(name)}::text as {quote_identifier(name)}"
        if kind == "DOUBLE"
        else quote_identifier(name)
        for name, kind in types.items()
    )
    condition = ""
    if (mark := selection.location.watermark) is not None:
        condition = selection.condition(
            *_postgres_comparison(mark.column, types[mark.column], mark.type, selection)
        )
    return relation(f"select {columns} from {selection.source()}{condition}")


def _columns(
    connection: duckdb.DuckDBPyConnection, relation: str, errand: Errand, selection: Selection
) -> dict[str, str]:
    """Return the columns of a relation with their DuckDB types; the watermark is one of them."""
    described = connection.execute(f"describe select * from {relation}").fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described}
    mark = selection.location.watermark
    if mark is not None and mark.column not in types:
        raise failed(f"no column '{mark.column}'", errand.where, expected=f"one of {', '.join(types)}")
    return types


def _postgres_comparison(column: str, kind: str, compared: str, selection: Selection) -> tuple[str, str]:
    above, name = selection.above or "", quote_identifier(column)
    if compared == "timestamp" and kind == "TIMESTAMP WITH TIME ZONE":
        return name, f"cast({quote_literal(f'{above}+00')} as timestamptz)"
    if compared == "text":  # in the order of DuckDB, which finds the highest
        return f'{name} collate "C"', quote_literal(above)
    return name, f"cast({quote_literal(above)} as {COMPARED_AS[compared]})"


def _read_by_driver(selection: Selection, errand: Errand, url: URL) -> str:
    import sqlalchemy

    mark = selection.location.watermark
    if mark is not None and mark.type == "text":
        raise failed(
            "a text watermark is compared by each database in its own order",
            errand.where,
            expected="a watermark of type timestamp, date or integer",
        )
    try:
        engine = sqlalchemy.create_engine(url)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError):
        raise failed(
            f"no driver for {url.drivername} is installed",
            errand.where,
            next_step="install the SQLAlchemy dialect and driver that the URL names",
        ) from None
    sql, values = f"select * from {selection.source()}", {}
    if mark is not None and selection.above is not None:
        name = engine.dialect.identifier_preparer.quote_identifier(mark.column)
        sql += selection.condition(name, ":above")
        values["above"] = _typed(selection.above, mark.type)
    staged = errand.inbox.partial("driver")
    try:
        with engine.connect().execution_options(
            stream_results=True, max_row_buffer=selection.location.batch_rows
        ) as driver:
            _write_batches(
                driver.execute(sqlalchemy.text(sql), values), staged, selection.location.batch_rows
            )
    finally:
        engine.dispose()
    return f"read_parquet({quote_literal(staged)})"


def _write_batches(result: sqlalchemy.CursorResult[Any], target: Path, batch_rows: int) -> None:
    """Write rows to Parquet a batch at a time, all columns as text: drivers differ in their types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in result.keys()])  # noqa: SIM118 - not a mapping
    with pq.ParquetWriter(target, schema) as writer:
        for rows in result.partitions(batch_rows):
            columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
            arrays = [pa.array([_as_text(value) for value in column], pa.string()) for column in columns]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _as_text(value: Any) -> str | None:
    """Render a value as landing does: ISO 8601, a decimal point, true and false."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
    return str(value)


def _typed(text: str, kind: str) -> Any:
    if kind == "integer":
        return int(text)
    return date.fromisoformat(text) if kind == "date" else datetime.fromisoformat(text)


def _load_extension(connection: duckdb.DuckDBPyConnection, name: str, errand: Errand) -> None:
    """Load an extension that came as a wheel; DuckDB wants its own copy, which is kept in our home."""
    from duckdb_extensions import import_extension

    folder = errand.settings.paths.state / "duckdb"
    folder.mkdir(parents=True, exist_ok=True)
    connection.execute(f"set extension_directory = {quote_literal(folder)}")
    import_extension(name, con=connection)
    connection.execute(f"load {name}")


def _told(error: Exception, errand: Errand) -> SourceFailed:
    what = f"{type(error).__name__}: {errand.secrets.clean(error)}"
    if _FOR_NOW.search(str(error)):
        return interrupted(what, errand.where)
    return failed(what, errand.where, next_step="check the table, query and credentials of the contract")
