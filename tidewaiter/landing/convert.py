"""Converting records: the one query that runs over every record, and pseudonyms for what it yields.

A record comes out of it as canonical columns, with its problems and its text where it has a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from tidewaiter.landing.checks import is_faulty_sql, problems_sql, row_checks
from tidewaiter.landing.staged import SOURCE_LINE
from tidewaiter.pseudonyms import Pseudonymiser, purpose_of
from tidewaiter.warehouse import quote_identifier

if TYPE_CHECKING:
    from tidewaiter.landing.mapping import Mapping

IS_FAULTY = "is_faulty"
RAWS = "raws"
KEY_HASHES = ("key_hash_1", "key_hash_2")

_T = TypeVar("_T")
# Identifiers remembered per purpose; more are forgotten and, should they come again, computed again.
_REMEMBERED = 2_000_000
_NONE = pa.array([], pa.string())


def conversion_sql(mapping: Mapping) -> Callable[[str], str]:
    """Return the query over a relation of raw columns.

    Its columns: the canonical fields that differ from row to row, `is_faulty`, `raws` where the row is
    faulty, and two independent 64-bit hashes of the primary key.
    """
    checks = row_checks(mapping)
    # A list, because a struct would cost an empty column per source column.
    raws = ", ".join(column.raw for column in mapping.columns)
    key = [_key_column(mapping, name) for name in mapping.dataset.primary_key if name in mapping.varying]
    columns = [
        *map(quote_identifier, mapping.varying),
        IS_FAULTY,
        f"case when {IS_FAULTY} then cast([{raws}] as VARCHAR[]) end as {RAWS}",
        f"hash({', '.join(['1', *key])}) as {KEY_HASHES[0]}",
        f"hash({', '.join(['2', *reversed(key)])}) as {KEY_HASHES[1]}",
    ]

    def query(relation: str) -> str:
        return (
            f"{mapping.typed_layers(relation)},\n"
            f"checked as (select *, ({is_faulty_sql(checks)}) as {IS_FAULTY} from typed)\n"
            f"select {', '.join(columns)} from checked"
        )

    return query


def problems_of_faulty_sql(mapping: Mapping, faulty: str) -> str:
    """Return the query that says what is wrong with faulty rows: line, `problems`, and the raw columns.

    Apart from the conversion, because asking every row for its reasons would cost as much as reading it.

    Args:
        mapping: How the rows are read.
        faulty: A relation of `source_line` and `raws`, from `conversion_sql`.
    """
    unpacked = "".join(f", {RAWS}[{at}] as {column.raw}" for at, column in enumerate(mapping.columns, 1))
    raws = "".join(f", {column.raw}" for column in mapping.columns)
    return (
        f"{mapping.typed_layers(f'(select {SOURCE_LINE}{unpacked} from {faulty})', SOURCE_LINE)}\n"
        f"select {SOURCE_LINE}, {problems_sql(row_checks(mapping))} as problems{raws} from typed"
    )


def _key_column(mapping: Mapping, name: str) -> str:
    column = quote_identifier(name)
    # Two spellings of one party have one pseudonym.
    return f"upper({column})" if mapping.dataset.by_name[name].is_pseudonymised else column


@dataclass
class ColumnPseudonymiser:
    """Replaces whole columns by pseudonyms; each distinct identifier of a purpose is computed once."""

    pseudonymiser: Pseudonymiser
    member_iso2: str
    _known: dict[str, tuple[pa.Array, pa.Array]] = field(default_factory=dict)

    def replace(self, field_name: str, identifiers: pa.ChunkedArray) -> pa.Array:
        """Return the pseudonyms of a column in clear; null stays null."""
        purpose = purpose_of(field_name)
        known, pseudonyms = self._known.get(purpose, (_NONE, _NONE))
        if len(known) > _REMEMBERED:
            known, pseudonyms = _NONE, _NONE
        place = _combined(pc.index_in(identifiers, value_set=known))
        if place.null_count > identifiers.null_count:
            is_new = pc.and_(pc.is_null(place), _combined(pc.is_valid(identifiers)))
            occurrences = identifiers.filter(is_new)
            new = occurrences.unique()
            among_new = _combined(pc.index_in(occurrences, value_set=new))
            after_known = pc.add(among_new, pa.scalar(len(known), pa.int32()))
            place = pc.replace_with_mask(place, is_new, after_known)
            found = self.pseudonymiser.pseudonymise(self.member_iso2, purpose, new.to_pylist())
            known = pa.concat_arrays([known, new])
            pseudonyms = pa.concat_arrays([pseudonyms, pa.array(found, pa.string())])
            self._known[purpose] = known, pseudonyms
        return pseudonyms.take(place)


def _combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def sound_rows(table: pa.Table) -> pa.Table:
    """Return the rows that have no problem, without the columns that tell of problems."""
    return table.drop_columns([IS_FAULTY, RAWS]).filter(pc.invert(table[IS_FAULTY]))


def one_ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Yield the items, and make the next one in a thread: reading goes on while rows are written."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = pool.submit(next, items, None)
            yield item
