"""Converting records: the one query that runs over every record, and pseudonyms for what it yields.

A record comes out of it as canonical columns, with its problems and its text where it has a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidewaiter.landing.checks import is_faulty_sql, problems_sql, row_checks
from tidewaiter.pseudonyms import Pseudonymiser, purpose_of
from tidewaiter.warehouse import quote_identifier

if TYPE_CHECKING:
    from tidewaiter.landing.mapping import Mapping

PROBLEMS = "problems"
RAWS = "raws"
KEY_HASHES = ("key_hash_1", "key_hash_2")

_T = TypeVar("_T")
# Identifiers remembered per purpose; more are forgotten and, should they come again, computed again.
_REMEMBERED = 2_000_000
_NONE = pa.array([], pa.string())


def conversion_sql(mapping: Mapping) -> Callable[[str], str]:
    """Return the query over a relation of raw columns.

    Its columns: the canonical fields that differ from row to row, `problems` and `raws` where the row
    is faulty, and two independent 64-bit hashes of the primary key.
    """
    checks = row_checks(mapping)
    # A list, because a struct would cost an empty column per source column.
    raws = ", ".join(column.raw for column in mapping.columns)
    key = [_key_column(mapping, name) for name in mapping.dataset.primary_key if name in mapping.varying]
    columns = [
        *map(quote_identifier, mapping.varying),
        f"case when is_faulty then {problems_sql(checks)} end as {PROBLEMS}",
        f"case when is_faulty then cast([{raws}] as VARCHAR[]) end as {RAWS}",
        f"hash({', '.join(['1', *key])}) as {KEY_HASHES[0]}",
        f"hash({', '.join(['2', *reversed(key)])}) as {KEY_HASHES[1]}",
    ]

    def query(relation: str) -> str:
        return (
            f"{mapping.typed_layers(relation)},\n"
            f"checked as (select *, ({is_faulty_sql(checks)}) as is_faulty from typed)\n"
            f"select {', '.join(columns)} from checked"
        )

    return query


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
        encoded = identifiers.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        return self._pseudonyms(purpose_of(field_name), encoded.dictionary).take(encoded.indices)

    def _pseudonyms(self, purpose: str, distinct: pa.Array) -> pa.Array:
        """Return the pseudonyms of distinct identifiers, and remember the new ones."""
        known, pseudonyms = self._known.get(purpose, (_NONE, _NONE))
        if len(known) > _REMEMBERED:
            known, pseudonyms = _NONE, _NONE
        place = pc.index_in(distinct, value_set=known)
        if place.null_count:
            is_new = pc.is_null(place)
            new = distinct.filter(is_new)
            place = pc.replace_with_mask(
                place, is_new, pa.array(np.arange(len(known), len(known) + len(new), dtype=np.int32))
            )
            found = self.pseudonymiser.pseudonymise(self.member_iso2, purpose, new.to_pylist())
            known = pa.concat_arrays([known, new])
            pseudonyms = pa.concat_arrays([pseudonyms, pa.array(found, pa.string())])
            self._known[purpose] = known, pseudonyms
        return pseudonyms.take(place)


def sound_rows(table: pa.Table) -> pa.Table:
    """Return the rows that have no problem, without the columns that tell of problems."""
    return table.drop_columns([PROBLEMS, RAWS]).filter(pc.is_null(table[PROBLEMS]))


def one_ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Yield the items, and make the next one in a thread: reading goes on while rows are written."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = pool.submit(next, items, None)
            yield item
