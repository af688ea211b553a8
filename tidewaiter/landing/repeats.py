"""One row per key where a source has several, such as header values repeated on each item.

Rows of one key that agree become the first of them; a blank agrees with everything and is filled from
the first row that is not. A row that contradicts an earlier one goes to quarantine. Which line repeats
which is kept in `repeats.parquet`, so that every line of the source is still accounted for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tidewaiter.landing.checks import PROBLEMS_TYPE, problem_sql
from tidewaiter.landing.receipts import REPEATS_FILE
from tidewaiter.landing.shape import LandedShape, RowsWriter
from tidewaiter.landing.staged import SOURCE_LINE
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.canonical import Dataset

_ROWS_N = "source_rows_n"
_GROUPS = "groups_of_rows"
_BATCH_ROWS = 122_880


@dataclass(frozen=True)
class Repeats:
    """The rows of one extract that may repeat each other.

    Attributes:
        connection: Where they are compared.
        dataset: The canonical table.
        varying: Fields that may differ from row to row.
        rows: The landed rows as written, one per row of the source.
        line_sql: Makes of SQL of a `source_line` that of the line which a person looks up.
    """

    connection: duckdb.DuckDBPyConnection
    dataset: Dataset
    varying: tuple[str, ...]
    rows: Path
    line_sql: Callable[[str], str] = str

    def set_aside_contradictions(self, table: str) -> None:
        """Put the rows that contradict an earlier row of their key into `table`, with a reason per column."""
        self._group()
        if not self._compared:
            return
        key = ", ".join(self._key)
        agreed = ", ".join(
            f"arg_min({column}, {SOURCE_LINE}) as agreed_{n},"
            f" min({SOURCE_LINE}) filter ({column} is not null) as line_{n}"
            for n, column in enumerate(self._compared)
        )
        self.connection.execute(f"""
            insert into {table}
            with suspects as (
                select * from {self._read()} semi join (from {_GROUPS} where differs) using ({key})
            ),
            agreed as (select {key}, {agreed} from suspects group by {key}),
            found as (
                select {SOURCE_LINE}, {self._problems()} as problems from suspects join agreed using ({key})
            )
            select {SOURCE_LINE}, problems from found where len(problems) > 0
        """)

    def collapse(self, shape: LandedShape, target: Path) -> int:
        """Write the rows again, one per key, and `repeats.parquet`; return how many rows were repeats.

        Args:
            shape: How rows stand in Parquet.
            target: The extract's folder.
        """
        self._group()  # again: what contradicted is gone
        key = ", ".join(self._key)
        rows_of = f"select * from {self._read()}"
        self.connection.execute(f"""
            copy (
                select {SOURCE_LINE}, first_line as repeats_line
                from {self._read()} join {_GROUPS} using ({key})
                where {SOURCE_LINE} > first_line order by {SOURCE_LINE}
            ) to {quote_literal(target / REPEATS_FILE)} (format parquet, compression zstd)
        """)
        filled = ", ".join(
            f"arg_min({column}, {SOURCE_LINE}) as {column}" for column in map(quote_identifier, self._others)
        )
        counted = f" replace (cast(rows_n as INTEGER) as {_ROWS_N})" if self._counts_rows else ""
        columns = ", ".join(map(quote_identifier, shape.schema.names))
        query = f"""
            select {columns} from (
                select * exclude (first_line, rows_n, differs){counted} from (
                    {rows_of} join (from {_GROUPS} where not differs) using ({key})
                    where {SOURCE_LINE} = first_line
                    union all by name
                    select {key}, {filled} from {self._read()}
                    join (from {_GROUPS} where differs) using ({key}) group by {key}
                )
            ) order by {SOURCE_LINE}
        """
        partial = self.rows.with_name(f"one-per-key-{self.rows.name}")
        with RowsWriter(partial, shape) as writer:
            for batch in self.connection.execute(query).to_arrow_reader(_BATCH_ROWS):
                writer.write(pa.Table.from_batches([batch]).cast(shape.schema))
        partial.replace(self.rows)
        row = self.connection.execute(f"select coalesce(sum(rows_n - 1), 0) from {_GROUPS}").fetchone()
        return int(row[0]) if row else 0

    @property
    def _key(self) -> list[str]:
        return [quote_identifier(name) for name in self.dataset.primary_key]

    @property
    def _compared(self) -> list[str]:
        """Columns in which rows of one key may contradict each other, quoted."""
        return [quote_identifier(name) for name in self.varying if name not in self.dataset.primary_key]

    @property
    def _others(self) -> list[str]:
        """All columns of the groups that are not their key."""
        columns = [name for name in self.dataset.landed_columns if name not in self.dataset.primary_key]
        return [*columns, "first_line", "rows_n", "differs"]

    @property
    def _counts_rows(self) -> bool:
        return _ROWS_N in self.dataset.by_name

    def _group(self) -> None:
        """Make a table with one row per key: its first line, its rows, and whether they differ.

        Two independent 64-bit hashes tell whether: of rows that differ, both would be equal once in
        10^38 pairs.
        """
        compared = ", ".join(self._compared) or "1"
        backward = ", ".join(["2", *reversed(self._compared)])
        self.connection.execute(f"""
            create or replace temp table {_GROUPS} as
            select
                {", ".join(self._key)},
                min({SOURCE_LINE}) as first_line,
                count(*) as rows_n,
                min(hash_1) <> max(hash_1) or min(hash_2) <> max(hash_2) as differs
            from (select *, hash({compared}) as hash_1, hash({backward}) as hash_2 from {self._read()})
            group by {", ".join(self._key)}
        """)

    def _problems(self) -> str:
        of_key = ", ".join(name for name in self.dataset.primary_key if name in self.varying)
        found = []
        for n, column in enumerate(self._compared):
            name = column.strip('"')
            kind = f"{name}: contradicts an earlier row of the same {of_key}"
            before, after = f"{name}: not as on line ", f", of the same {of_key}"
            line = self.line_sql(f"line_{n}")
            message = f"{quote_literal(before)} || {line} || {quote_literal(after)}"
            found.append(f"case when {column} <> agreed_{n} then {problem_sql(kind, message)} end")
        return (
            f"list_filter(cast([{', '.join(found)}] as {PROBLEMS_TYPE}), lambda problem: problem is not null)"
        )

    def _read(self) -> str:
        return f"read_parquet({quote_literal(self.rows)}, hive_partitioning = false)"
