"""Converting records: from raw columns to canonical ones, and from clear identifiers to pseudonyms.

A text that comes a thousand times is converted once: columns whose values repeat are converted text by
text, and only the others row by row. Both by the same SQL, and what compares columns sees every row.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tidewaiter.landing.checks import field_checks, is_faulty_sql, problems_sql, row_checks
from tidewaiter.landing.column_pseudonyms import ColumnPseudonymiser
from tidewaiter.landing.known import Known
from tidewaiter.landing.staged import SOURCE_LINE, Batch
from tidewaiter.warehouse import quote_identifier

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.landing.mapping import Mapping
    from tidewaiter.landing.shape import LandedShape
    from tidewaiter.landing.source import SourceColumn

_IS_FAULTY = "is_faulty"
_RECORDS = "records_to_convert"
# A column is converted text by text where a text stands on more than three rows, as a rule. The first rows
# foretell it: counting all of them would cost as much as it saves.
_SAMPLE_ROWS = 20_000
_DISTINCT_AT_MOST = 0.3
_BATCHES_PER_SAMPLE = 8
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Converted:
    """What became of a batch of records.

    Attributes:
        records: How many there were.
        rows: The sound ones as they are landed.
        faulty: The others: `source_line` and raw columns.
    """

    records: int
    rows: pa.Table
    faulty: pa.Table


class Converter:
    """Converts batches of one extract, in several threads at once.

    Args:
        mapping: How records become canonical.
        shape: How they are landed.
        pseudonyms: Replaces parties and officers.
    """

    def __init__(self, mapping: Mapping, shape: LandedShape, pseudonyms: ColumnPseudonymiser) -> None:
        self._mapping = mapping
        self._shape = shape
        self._pseudonyms = pseudonyms
        parties = {field.name for field in mapping.dataset.fields if field.is_pseudonymised}
        self._parties = [name for name in mapping.varying if name in parties]
        self._alone = _columns_alone(mapping)
        self._by_text = {column: _ByText(mapping, column) for column in self._alone}
        self._repetition = {column: _Repetition() for column in self._alone}
        self._by_row = cache(lambda columns: _ByRow(mapping, columns))

    def __call__(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> Converted:
        """Return what becomes of a batch."""
        columns = _arrays(batch.table)
        repeating = {column: self._repetition[column].encoded(columns[column.raw]) for column in self._alone}
        typed: dict[str, pa.Array] = {}
        faults: list[pa.Array] = []
        for column, encoded in repeating.items():
            if encoded is not None:
                of_column, is_faulty = self._by_text[column].convert(connection, encoded)
                typed |= of_column
                faults += [] if is_faulty is None else [is_faulty]
        by_text = frozenset(column for column, encoded in repeating.items() if encoded is not None)
        by_row = self._by_row(by_text).convert(connection, columns | typed, len(batch.lines))
        typed |= _arrays(by_row)
        is_faulty = typed.pop(_IS_FAULTY)
        for other in faults:
            is_faulty = pc.or_(is_faulty, other)
        lines = pa.array(batch.lines)
        faulty = pa.table(
            {column.raw: columns[column.raw] for column in self._mapping.columns} | {SOURCE_LINE: lines}
        )
        if not is_faulty.true_count:
            return self._converted(connection, typed, lines, faulty.slice(0, 0))
        is_sound = pc.invert(is_faulty)
        sound = {name: column.filter(is_sound) for name, column in typed.items()}
        return self._converted(connection, sound, lines.filter(is_sound), faulty.filter(is_faulty))

    def _converted(
        self,
        connection: duckdb.DuckDBPyConnection,
        sound: dict[str, pa.Array],
        lines: pa.Array,
        faulty: pa.Table,
    ) -> Converted:
        for name in self._parties:
            sound[name] = self._pseudonymised(connection, name, sound[name])
        rows = self._shape.landed(sound | {SOURCE_LINE: lines}, len(lines))
        return Converted(len(lines) + faulty.num_rows, rows, faulty)

    def _pseudonymised(self, connection: duckdb.DuckDBPyConnection, name: str, column: pa.Array) -> pa.Array:
        if not isinstance(column, pa.DictionaryArray):
            return self._pseudonyms.replace(connection, name, column)
        replaced = self._pseudonyms.replace(connection, name, column.dictionary)
        return pa.DictionaryArray.from_arrays(column.indices, replaced)


class _Repetition:
    """Whether the texts of a column repeat: foretold by its first rows, and then by the batch before.

    What is foretold decides the way of converting and not what comes of it, so threads may disagree.
    """

    def __init__(self) -> None:
        self._repeats = False
        self._batches_to_skip = 0

    def encoded(self, texts: pa.Array) -> pa.DictionaryArray | None:
        """Return a column as a dictionary, or None where its texts rarely repeat."""
        if not self._repeats and not self._may_repeat(texts):
            return None
        encoded = texts.dictionary_encode(null_encoding="encode")
        self._repeats = len(encoded.dictionary) <= _DISTINCT_AT_MOST * len(texts)
        return encoded if self._repeats else None

    def _may_repeat(self, texts: pa.Array) -> bool:
        if self._batches_to_skip:
            self._batches_to_skip -= 1
            return False
        sample = texts.slice(0, _SAMPLE_ROWS)
        if pc.count_distinct(sample, mode="all").as_py() <= _DISTINCT_AT_MOST * len(sample):
            return True
        self._batches_to_skip = _BATCHES_PER_SAMPLE - 1
        return False


class _ByText:
    """Converts a column of which each text has the same canonical values wherever it stands."""

    def __init__(self, mapping: Mapping, column: SourceColumn) -> None:
        of_column = mapping.of_columns([column])
        self._known = Known()
        self._raw = column.raw
        self._names = of_column.varying
        self._sql = (
            f"{of_column.typed_layers(_RECORDS)}\n"
            f"select {', '.join(map(quote_identifier, self._names))},"
            f" ({is_faulty_sql(field_checks(of_column))}) as {_IS_FAULTY} from typed"
        )

    def convert(
        self, connection: duckdb.DuckDBPyConnection, encoded: pa.DictionaryArray
    ) -> tuple[dict[str, pa.Array], pa.Array | None]:
        """Return canonical columns as dictionaries, and which rows are faulty where any is."""

        def find(texts: pa.Array) -> pa.Table:
            return _run(connection, self._sql, pa.table({self._raw: texts}))

        place, found = self._known.look_up(encoded.dictionary, find)
        found = found.take(place)
        typed = {
            name: pa.DictionaryArray.from_arrays(encoded.indices, found[name].combine_chunks())
            for name in self._names
        }
        is_faulty = found[_IS_FAULTY].combine_chunks()
        return typed, is_faulty.take(encoded.indices) if is_faulty.true_count else None


class _ByRow:
    """Converts the other columns, and compares all columns of a row with each other."""

    def __init__(self, mapping: Mapping, by_text: Collection[SourceColumn]) -> None:
        rules = " ".join(f"{rule.when} {rule.check}" for rule in mapping.dataset.rules)
        compared = {*_WORD.findall(rules), "registered_at"}
        done = mapping.of_columns(by_text)
        rest = replace(
            mapping,
            mapped=tuple(one for one in mapping.mapped if one not in done.mapped),
            fixed={name: sql for name, sql in mapping.fixed.items() if name in compared},
        )
        kept = [name for name in done.varying if name in compared]
        self._columns = [*kept, *(column.raw for column in rest.columns)]
        selected = [
            *map(quote_identifier, rest.varying),
            f"({is_faulty_sql(row_checks(rest))}) as {_IS_FAULTY}",
        ]
        self._sql = (
            f"{rest.typed_layers(_RECORDS, *map(quote_identifier, kept))}\n"
            f"select {', '.join(selected)} from typed"
        )

    def convert(
        self, connection: duckdb.DuckDBPyConnection, columns: dict[str, pa.Array], records: int
    ) -> pa.Table:
        """Return canonical columns and `is_faulty`."""
        used = {name: columns[name] for name in self._columns}
        return _run(connection, self._sql, pa.table(used or {"is_row": pa.nulls(records, pa.bool_())}))


def problems_of_faulty_sql(mapping: Mapping, faulty: str) -> str:
    """Return the query that says what is wrong with faulty rows: line, `problems`, and the raw columns.

    Apart from the conversion, because asking every row for its reasons would cost as much as reading it.

    Args:
        mapping: How the rows are read.
        faulty: A relation of `source_line` and raw columns.
    """
    raws = "".join(f", {column.raw}" for column in mapping.columns)
    return (
        f"{mapping.typed_layers(faulty, SOURCE_LINE)}\n"
        f"select {SOURCE_LINE}, {problems_sql(row_checks(mapping))} as problems{raws} from typed"
    )


def _columns_alone(mapping: Mapping) -> list[SourceColumn]:
    """Return the source columns that are not mapped together with others."""
    together = {column for one in mapping.mapped if len(one.columns) > 1 for column in one.columns}
    return [column for column in mapping.columns if column not in together]


def _arrays(table: pa.Table) -> dict[str, pa.Array]:
    return {name: table[name].combine_chunks() for name in table.column_names}


def _run(connection: duckdb.DuckDBPyConnection, sql: str, records: pa.Table) -> pa.Table:
    connection.register(_RECORDS, records)
    try:
        # A relation is read by all threads and keeps its order; a cursor's result is fetched by one.
        return connection.sql(sql).to_arrow_table()
    finally:
        connection.unregister(_RECORDS)
