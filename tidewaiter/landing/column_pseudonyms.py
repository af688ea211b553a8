"""Pseudonyms for whole columns of a file: each distinct identifier is computed once."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidewaiter.pseudonyms import Pseudonymiser, parties, purpose_of

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

# Identifiers remembered; when there are more, all are forgotten and, should they come again, computed again.
_REMEMBERED = 4_000_000
_FIRST_SLOTS = 1 << 12
_RELATION = "identifiers_to_hash"
_NONE = pa.nulls(0, pa.string())  # pa.array would import pandas


class ColumnPseudonymiser:
    """Replaces whole columns by pseudonyms, in several threads at once.

    Args:
        pseudonymiser: Holds the key.
        member_iso2: Issuer of the identifiers.
    """

    def __init__(self, pseudonymiser: Pseudonymiser, member_iso2: str) -> None:
        self._purposes = {purpose: _Purpose(pseudonymiser, member_iso2, purpose) for purpose in parties()}

    def replace(
        self, connection: duckdb.DuckDBPyConnection, field_name: str, identifiers: pa.Array
    ) -> pa.Array:
        """Return the pseudonyms of a column in clear; null stays null.

        Args:
            connection: Computes hashes, by which known identifiers are found.
            field_name: The canonical field.
            identifiers: The column.
        """
        connection.register(_RELATION, pa.table({"identifier": identifiers}))
        hashed = connection.sql(f"select hash(identifier) as hash from {_RELATION}").to_arrow_table()
        connection.unregister(_RELATION)
        return self._purposes[purpose_of(field_name)].replace(identifiers, hashed["hash"].to_numpy())


class _Purpose:
    """The identifiers of one purpose that have been seen, and their pseudonyms. Null is one of them."""

    def __init__(self, pseudonymiser: Pseudonymiser, member_iso2: str, purpose: str) -> None:
        self._pseudonymiser = pseudonymiser
        self._member_iso2, self._purpose = member_iso2, purpose
        self._lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self._index = _HashIndex()
        self._identifiers = self._pseudonyms = _NONE

    def replace(self, identifiers: pa.Array, hashes: NDArray[np.uint64]) -> pa.Array:
        with self._lock:
            if len(self._identifiers) > _REMEMBERED:
                self._forget()
            place = self._index.find(hashes)
            is_new = ~self._is_same(identifiers, place)
            if is_new.any():
                place[is_new] = self._add(identifiers.filter(pa.array(is_new)), hashes[is_new])
            pseudonyms = self._pseudonyms
        return pseudonyms.take(pa.array(place))

    def _is_same(self, identifiers: pa.Array, place: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return where the identifier found is the one sought, and not another one of the same hash."""
        found = self._identifiers.take(pa.array(place, mask=place < 0))
        both_null = pc.and_(pc.is_null(found), pc.is_null(identifiers))
        is_same = pc.or_(pc.fill_null(pc.equal(found, identifiers), False), both_null)
        return np.asarray(is_same.to_numpy(zero_copy_only=False) & (place >= 0))

    def _add(self, identifiers: pa.Array, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Compute pseudonyms of new identifiers, which may be there several times; return their places."""
        known = len(self._identifiers)
        encoded = identifiers.dictionary_encode(null_encoding="encode")
        among_new = encoded.indices.to_numpy()
        first = np.empty(len(encoded.dictionary), dtype=np.int64)
        first[among_new[::-1]] = np.arange(among_new.size)[::-1]
        found = self._pseudonymiser.pseudonymise(
            self._member_iso2, self._purpose, encoded.dictionary.to_pylist()
        )
        self._index.add(hashes[first], known)
        self._identifiers = pa.concat_arrays([self._identifiers, encoded.dictionary])
        self._pseudonyms = pa.concat_arrays([self._pseudonyms, pa.array(found, pa.string())])
        return np.asarray(among_new + np.int32(known))


class _HashIndex:
    """Places by 64-bit hash: a table with open addresses, searched for whole columns at a time."""

    def __init__(self) -> None:
        self._size = 0
        self._hashes = np.zeros(_FIRST_SLOTS, dtype=np.uint64)
        self._places = np.full(_FIRST_SLOTS, -1, dtype=np.int32)

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Return the place of each hash, -1 where it is not there."""
        slots = self._first_slots(hashes)
        places = self._places.take(slots)  # unlike an index, it lets other threads go on
        open_ = np.flatnonzero((places >= 0) & (self._hashes.take(slots) != hashes))
        while open_.size:
            slots[open_] = self._next(slots[open_])
            places[open_] = self._places[slots[open_]]
            is_other = self._hashes[slots[open_]] != hashes[open_]
            open_ = open_[(places[open_] >= 0) & is_other]
        return places

    def add(self, hashes: NDArray[np.uint64], start: int) -> None:
        """Put hashes at places from `start`; of those that are there already, or alike, one counts."""
        self._size += hashes.size
        places = np.arange(start, start + hashes.size, dtype=np.int32)
        if self._size * 2 > self._places.size:
            is_used = self._places >= 0
            hashes = np.concatenate((self._hashes[is_used], hashes))
            places = np.concatenate((self._places[is_used], places))
            slots_n = 1 << int(self._size * 4 - 1).bit_length()
            self._hashes = np.zeros(slots_n, dtype=np.uint64)
            self._places = np.full(slots_n, -1, dtype=np.int32)
        slots = self._first_slots(hashes)
        while hashes.size:
            is_free = self._places[slots] < 0
            self._places[slots[is_free]] = places[is_free]  # of several for one slot, the last stays
            self._hashes[slots[is_free]] = hashes[is_free]
            is_open = self._hashes[slots] != hashes
            hashes, places = hashes[is_open], places[is_open]
            slots = self._next(slots[is_open])

    def _first_slots(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (hashes & np.uint64(self._places.size - 1)).astype(np.int64)

    def _next(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        return (slots + 1) & (self._places.size - 1)
