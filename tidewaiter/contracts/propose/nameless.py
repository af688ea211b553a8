"""Files without names of columns: what the values alone, and pairs of columns, say of an item.

Every guess here rests on content and says so. What has names is left to `match`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any

from tidewaiter.canonical import load_dataset
from tidewaiter.contracts.propose.content import ColumnProfile, Marks
from tidewaiter.contracts.propose.match import FROM_CONTENT, Guess
from tidewaiter.contracts.propose.values import code_map
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

_MADE_UP = re.compile(r"column_[0-9]+|c[0-9]+_[0-9]+")
_MOST = 0.95
_NEARLY_ALL = 0.99
_HIGHEST_ITEM = 999
_FEW = 40


def has_made_up_names(columns: Sequence[str]) -> bool:
    """Whether the sample has no names of its own for its columns."""
    return bool(columns) and all(_MADE_UP.fullmatch(name) for name in columns)


def nameless_guesses(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[ColumnProfile],
    marks: Marks,
    known: Mapping[str, Guess],
) -> dict[str, Guess]:
    """Return guesses for the fields of an item that are not known yet.

    An item's number counts from 1 within its declaration, and the two together occur once; the lane has
    few values, which speak for themselves; net mass is not above gross mass, and what is neither and has
    decimals is the value.
    """
    taken = {name for guess in known.values() for name in guess.columns}
    free = [column for column in columns if column.name not in taken and not column.is_empty]
    found: dict[str, Guess] = {}

    def add(field: str, column: ColumnProfile, basis: str, **more: Any) -> None:
        if field not in known and field not in found:
            found[field] = Guess(field, {"column": column.name} | more, basis, (column.name,))
            if column in free:
                free.remove(column)

    if (key := _declaration_and_item(connection, table, free)) is not None:
        add("declaration_id", key[0], f"{FROM_CONTENT}: with the item number, no two lines are alike")
        add("item_no", key[1], f"{FROM_CONTENT}: counts from 1 within what may be the declaration")
    for column in list(free):
        codes = code_map(load_dataset("declaration_items").field("lane_initial_code"), column)
        if column.most_common and column.distinct <= 4 < column.values and codes.codes and not codes.unknown:
            add("lane_initial_code", column, f"{FROM_CONTENT}: names of lanes", codes=codes.codes)
            break
    amounts = [column for column in free if column.number >= _MOST and column.whole < _MOST]
    if (masses := _gross_and_net(connection, table, amounts, marks)) is not None:
        add("gross_kg", masses[0], f"{FROM_CONTENT}: never below the next, and nowhere far above it")
        add("net_kg", masses[1], f"{FROM_CONTENT}: never above gross mass")
        amounts = [column for column in amounts if column not in masses]
    if len(amounts) == 1:
        add("declared_value", amounts[0], f"{FROM_CONTENT}: the one amount that is no mass")
    return found


def _declaration_and_item(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnProfile]
) -> tuple[ColumnProfile, ColumnProfile] | None:
    """Return two columns that make a key, of which the second counts from 1 within the first."""
    numbers = [one for one in columns if _may_count(one)]
    many = [one for one in columns if one.values == one.rows and one.distinct > one.rows / _FEW]
    for item in numbers:
        for declaration in many:
            if item is not declaration and counts_within(connection, table, declaration, item):
                return declaration, item
    return None


def counted_item(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[ColumnProfile],
    known: Mapping[str, Guess],
) -> Guess | None:
    """Return the guess for the number of the item where no name says it, and the declaration is known."""
    key = known["declaration_id"].columns if "declaration_id" in known else ()
    declaration = next((one for one in columns if key == (one.name,)), None)
    if declaration is None or "item_no" in known:
        return None
    taken = {name for guess in known.values() for name in guess.columns}
    for item in columns:
        is_free = item.name not in taken and [one.name for one in columns].count(item.name) == 1
        if is_free and _may_count(item) and counts_within(connection, table, declaration, item):
            basis = f"{FROM_CONTENT}: counts from 1 within the declaration"
            return Guess("item_no", {"column": item.name}, basis, (item.name,))
    return None


def _may_count(column: ColumnProfile) -> bool:
    return column.whole == 1 and column.values == column.rows and column.distinct <= _FEW


def counts_within(
    connection: duckdb.DuckDBPyConnection, table: str, declaration: ColumnProfile, item: ColumnProfile
) -> bool:
    """Whether one column counts from 1 within the values of another, and the two make a key."""
    row = connection.execute(f"""
        select
            sum(rows_n) = sum(items_n), avg(cast(first = 1 and last = items_n as integer)),
            max(last)
        from (
            select
                count(*) as rows_n, count(distinct item) as items_n, min(item) as first, max(item) as last
            from (
                select
                    c{declaration.position} as declaration,
                    try_cast(trim(c{item.position}) as integer) as item
                from {quote_identifier(table)}
            ) group by declaration
        )
    """).fetchone()
    return bool(row and row[0] and row[1] >= _MOST and 1 < row[2] <= _HIGHEST_ITEM)


def _gross_and_net(
    connection: duckdb.DuckDBPyConnection, table: str, amounts: Sequence[ColumnProfile], marks: Marks
) -> tuple[ColumnProfile, ColumnProfile] | None:
    """Return two columns of which the first is never below the second, and mostly less than twice it."""
    for gross, net in permutations(amounts, 2):
        first, second = (_number(f"c{one.position}", marks) for one in (gross, net))
        row = connection.execute(f"""
            select
                avg(cast(a >= b as integer)), avg(cast(a < 2 * b as integer)), avg(cast(a > b as integer))
            from (select {first} as a, {second} as b from {quote_identifier(table)}) where b > 0
        """).fetchone()
        if row and row[0] is not None and row[0] >= _NEARLY_ALL and row[1] >= _MOST and row[2] > 0:
            return gross, net
    return None


def _number(text: str, marks: Marks) -> str:
    plain = text
    if marks.thousands:
        plain = f"replace({plain}, {quote_literal(marks.thousands)}, '')"
    if marks.decimal == ",":
        plain = f"replace({plain}, ',', '.')"
    return f"try_cast(trim({plain}) as double)"
