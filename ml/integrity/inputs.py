"""What an indicator may read: the hand-over marts of one member, within a period."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ml.integrity.periods import Period
from tidewaiter.marts import is_built, mart_path
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

SCHEMA = "integrity"
COVERAGE = "integrity_inputs"


class Inputs:
    """One member's hand-over tables, cut to a period.

    Every mart has the columns `member_iso2` and `month`, the first day of the calendar month in which its
    row was known: what became known later is not seen by an earlier look.

    Attributes:
        member_iso2: The member.
        period: Days that the tables are cut to.
        parameters: Of the member's contract, such as `random_red_share`.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        settings: Settings,
        member_iso2: str,
        parameters: Mapping[str, float],
    ) -> None:
        self.member_iso2 = member_iso2
        self.parameters = dict(parameters)
        self.period = Period(date.min, date.max)
        self._connection = connection
        self._cut: set[str] = set()
        self._settings = settings

    def has(self, name: str) -> bool:
        """Whether the mart is built and holds a row of the member, in whatever period."""
        if not is_built(self._path(name)):
            return False
        found = self._connection.execute(f"select 1 from {self._member_rows(name)} limit 1").fetchone()
        return found is not None

    def cut(self, names: Sequence[str], period: Period) -> None:
        """Make the tables available to `query` under their names, cut to the period."""
        self.period = period
        self._cut = set(names)
        for name in names:
            self._connection.execute(
                f"create or replace temp view {quote_identifier(name)} as select * from"
                f" {self._member_rows(name)}"
                f" where month between date '{period.start}' and date '{period.end}'"
            )

    def is_cut(self, name: str) -> bool:
        """Whether the table can be queried now; one that an indicator can do without may not be there."""
        return name in self._cut

    def query(self, sql: str) -> pa.Table:
        """Return the rows of a query over the tables that were cut."""
        return self._connection.execute(sql).to_arrow_table()

    def query_with(self, name: str, rows: pa.Table, sql: str) -> pa.Table:
        """Return the rows of a query that may also read `rows` under a name."""
        self._connection.register(name, rows)
        try:
            return self.query(sql)
        finally:
            self._connection.unregister(name)

    def table(self, name: str) -> pa.Table:
        """Return a whole table of the period, in no particular order."""
        return self.query(f"select * from {quote_identifier(name)}")

    def lacks(self, needed: Sequence[str]) -> list[str]:
        """Return the canonical fields, written `dataset.field`, that the member has no value of."""
        if not is_built(self._path(COVERAGE)):
            return list(needed)
        rows = self._connection.execute(
            f"select input_name from {self._member_rows(COVERAGE)} where filled_rows_n > 0"
        ).fetchall()
        present = {name for (name,) in rows}
        return [name for name in needed if name not in present]

    def span(self) -> tuple[date, date] | None:
        """Return first and last day of the member's declarations, or None where it has none."""
        if not is_built(self._path(COVERAGE)):
            return None
        found = self._connection.execute(
            f"select min(first_date), max(last_date) from {self._member_rows(COVERAGE)}"
        ).fetchone()
        return (found[0], found[1]) if found and found[0] is not None else None

    def digests(self, name: str) -> dict[date, str]:
        """Return a digest of the member's rows by month, whatever their order."""
        rows = self._connection.execute(
            f"select month, count(*), sum(hash(rows)) from {self._member_rows(name)} as rows"
            " group by month order by month"
        ).fetchall()
        return {month: f"{count}-{total}" for month, count, total in rows}

    def _path(self, name: str) -> Path:
        return mart_path(self._settings.paths, SCHEMA, name)

    def _member_rows(self, name: str) -> str:
        return (
            f"(select * from read_parquet({quote_literal(self._path(name))})"
            f" where member_iso2 = {quote_literal(self.member_iso2)})"
        )


@contextmanager
def open_inputs(settings: Settings, member_iso2: str, parameters: Mapping[str, float]) -> Iterator[Inputs]:
    """Yield the inputs of a member over a connection with bounded memory."""
    with open_duckdb(settings) as connection:
        yield Inputs(connection, settings, member_iso2, parameters)
