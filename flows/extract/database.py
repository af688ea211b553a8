"""Rows of a database, as one Parquet file per fetch: those above what has come already."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flows.extract.failures import failed, with_retries
from flows.extract.inbox import Record, Waiting
from flows.extract.readers import COMPARED_AS, Selection, reader_for
from flows.extract.source import Errand
from tidewaiter.contracts import DatabaseLocation
from tidewaiter.contracts.remote import Watermark
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger(__name__)


class DatabaseSource:
    """Takes in the rows above the watermark, or all rows where the contract names none.

    The watermark advances when rows have landed. Rows that have come and wait to be landed are not
    read again as long as their file is in the inbox.
    """

    def __init__(self, location: DatabaseLocation, errand: Errand) -> None:
        self._location = location
        self._errand = errand

    def fetch(self) -> list[Path]:
        """Read the new rows into one file and take it in; nothing where there are none."""
        inbox = self._errand.inbox
        with inbox.held(self._errand.settings.lock_timeout_s):
            record = inbox.record()
            record.waiting = self._still_there(record)
            above = record.waiting[-1].watermark if record.waiting else record.watermark
            partial = inbox.partial("rows")
            rows, highest = with_retries(self._location.attempts, lambda: self._read(above, partial))
            if rows == 0:
                inbox.sweep()
                return []
            arrival = inbox.take_in(partial, f"{self._table}.parquet")
            if highest is not None and (arrival.is_new or highest != above):
                record.waiting.append(Waiting(arrival=arrival.key, sha256=arrival.sha256, watermark=highest))
                inbox.write_record(record)
            inbox.sweep()
        _log.info("%s: %d rows as %s", self._errand.where, rows, arrival.key)
        return [arrival.path] if arrival.is_new else []

    def settle(self, landed: Collection[str]) -> None:
        """Advance the watermark over the arrivals that have landed, oldest first."""
        inbox = self._errand.inbox
        with inbox.held(self._errand.settings.lock_timeout_s):
            record = inbox.record()
            if not record.waiting or record.waiting[0].sha256 not in landed:
                return
            while record.waiting and record.waiting[0].sha256 in landed:
                record.watermark = record.waiting.pop(0).watermark
            inbox.write_record(record)

    @property
    def _table(self) -> str:
        return (self._location.table or "rows").rpartition(".")[2]

    def _still_there(self, record: Record) -> list[Waiting]:
        """Rows whose file someone has removed are read again, with all that came after them."""
        for position, waiting in enumerate(record.waiting):
            if not any(self._errand.inbox.folder.glob(f"{waiting.arrival}/*")):
                return record.waiting[:position]
        return record.waiting

    def _read(self, above: str | None, partial: Path) -> tuple[int, str | None]:
        """Write the new rows to `partial`; return how many there are and their highest watermark."""
        self._errand.inbox.sweep()
        selection = Selection(self._location, _lowered(above, self._location.watermark))
        with (
            open_duckdb(self._errand.settings) as connection,
            reader_for(selection, self._errand, connection) as relation,
        ):
            # In a fixed order, so that the same rows are the same bytes and do not land twice.
            connection.execute(
                f"copy (select * from {relation} order by all) to {quote_literal(partial)}"
                " (format parquet, compression zstd)"
            )
            return self._measure(connection, partial)

    def _measure(self, connection: duckdb.DuckDBPyConnection, partial: Path) -> tuple[int, str | None]:
        watermark = self._location.watermark
        source = f"read_parquet({quote_literal(partial)})"
        if watermark is None:
            return int(connection.execute(f"select count(*) from {source}").fetchall()[0][0]), None
        mark = f"try_cast({quote_identifier(watermark.column)} as {COMPARED_AS[watermark.type]})"
        rows, without, highest = connection.execute(
            f"select count(*), count(*) filter ({mark} is null), max({mark})::varchar from {source}"
        ).fetchall()[0]
        if without:
            raise failed(
                f"{without} rows have no {watermark.type} in the watermark column '{watermark.column}'",
                self._errand.where,
                expected="a value in every row, or such rows would never be fetched",
                next_step="use another watermark column, or a query that gives them a value",
            )
        return int(rows), highest


def _lowered(above: str | None, watermark: Watermark | None) -> str | None:
    """Return the mark from which rows are read: the overlap below the highest that has come."""
    if above is None or watermark is None or not watermark.overlap:
        return above
    if watermark.type == "integer":
        return str(int(above) - watermark.overlap)
    if watermark.type == "date":
        return str(date.fromisoformat(above) - timedelta(days=watermark.overlap))
    return str(datetime.fromisoformat(above) - timedelta(seconds=watermark.overlap))
