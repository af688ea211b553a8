"""Columns in clear become the pseudonyms that each identifier has by itself, each computed once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewaiter.landing import column_pseudonyms
from tidewaiter.landing.column_pseudonyms import ColumnPseudonymiser
from tidewaiter.pseudonyms import Pseudonymiser

columns = st.lists(st.lists(st.one_of(st.none(), st.text("aB é", max_size=3)), max_size=30), max_size=4)


class CountingPseudonymiser(Pseudonymiser):
    __slots__ = ("asked",)

    def __init__(self) -> None:
        super().__init__(b"k" * 32)
        self.asked: Counter[str | None] = Counter()

    def pseudonymise(self, member_iso2, purpose, identifiers):
        identifiers = list(identifiers)
        self.asked.update(identifiers)
        return super().pseudonymise(member_iso2, purpose, identifiers)


def replaced(pseudonyms: ColumnPseudonymiser, column: list[str | None]) -> list[str | None]:
    with duckdb.connect() as connection:
        return list(pseudonyms.replace(connection, "importer_id", pa.array(column, pa.string())).to_pylist())


@settings(max_examples=30, deadline=None)
@given(columns)
def test_every_identifier_is_computed_once(some):
    counting = CountingPseudonymiser()
    pseudonyms = ColumnPseudonymiser(counting, "XT")
    for column in some:
        assert replaced(pseudonyms, column) == Pseudonymiser(b"k" * 32).pseudonymise("XT", "importer", column)
    assert counting.asked == Counter({identifier for column in some for identifier in column})


def test_identifiers_of_one_hash_are_told_apart():
    purpose = column_pseudonyms._Purpose(Pseudonymiser(b"k" * 32), "XT", "importer")
    one_hash = np.full(3, 7, dtype=np.uint64)
    alone = Pseudonymiser(b"k" * 32).pseudonymise("XT", "importer", ["a", "b", "a"])
    for _ in range(2):
        assert purpose.replace(pa.array(["a", "b", "a"]), one_hash).to_pylist() == alone
    assert purpose.replace(pa.array(["b", "a", "b"]), one_hash).to_pylist() == [alone[1], alone[0], alone[1]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40).map(lambda n: n << 20), unique=True, max_size=40), st.integers(1, 5))
def test_places_are_found_by_hash_whatever_slots_collide(hashes, parts):
    index = column_pseudonyms._HashIndex()
    all_hashes = np.array(hashes, dtype=np.uint64)
    start = 0
    for part in np.array_split(all_hashes, parts):
        index.add(part, start)
        start += part.size
    assert index.find(all_hashes).tolist() == list(range(len(hashes)))
    assert index.find(np.array([3, 1 << 60], dtype=np.uint64)).tolist() == [-1, -1]


def test_a_large_index_grows():
    index = column_pseudonyms._HashIndex()
    hashes = np.random.default_rng(5).integers(0, 1 << 63, 50_000).astype(np.uint64)
    for start in range(0, hashes.size, 10_000):
        index.add(hashes[start : start + 10_000], start)
    assert (index.find(hashes) == np.arange(hashes.size)).all()


def test_forgetting_changes_nothing(monkeypatch):
    monkeypatch.setattr(column_pseudonyms, "_REMEMBERED", 2)
    pseudonyms = ColumnPseudonymiser(Pseudonymiser(b"k" * 32), "XT")
    first = [replaced(pseudonyms, ["a", "b", "c"]) for _ in range(3)]
    assert first[0] == first[1] == first[2]


def test_threads_share_what_is_known():
    counting = CountingPseudonymiser()
    pseudonyms = ColumnPseudonymiser(counting, "XT")
    column = [str(number) for number in range(3000)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: replaced(pseudonyms, column), range(8)))
    assert all(one == found[0] for one in found)
    assert max(counting.asked.values()) == 1
