"""Headers and items in two samples: which column joins them, and what the items have from the header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidewaiter.canonical import load_dataset
from tidewaiter.contracts.propose.match import Guess, in_order
from tidewaiter.warehouse import quote_identifier

if TYPE_CHECKING:
    from tidewaiter.contracts.propose.proposal import ProposedExtract

_KEY = "declaration_id"
_ITEMS, _HEADERS = "declaration_items", "declarations"


def with_headers_apart(entries: Sequence[ProposedExtract]) -> tuple[ProposedExtract, ...]:
    """Return the entries with items joined to their headers, where samples of both were given.

    What joins them is the column of one name in both that is different on each header and not on each
    item, or the columns with which both files begin, such as office, year and number. Items that lack
    what every item must have are then read as having it from the header.
    """
    headers = next((entry for entry in entries if entry.dataset == _HEADERS), None)
    if headers is None:
        return tuple(entries)
    found = []
    for entry in entries:
        if entry.dataset == _ITEMS and (key := _joining_columns(entry, headers)):
            headers = _with_key(headers, key)
            entry = _apart(_with_key(entry, key))
        found.append(entry)
    return tuple(headers if entry.dataset == _HEADERS else entry for entry in found)


def _joining_columns(items: ProposedExtract, headers: ProposedExtract) -> tuple[str, ...]:
    """Return the names of the columns that say of items which declaration they are of."""
    guessed = [entry.guesses[_KEY].columns for entry in (items, headers) if _KEY in entry.guesses]
    if guessed and all(columns == guessed[0] for columns in guessed) and len(guessed) == 2:
        return guessed[0]
    key = headers.key_columns
    if len(key) > 1 and items.columns[: len(key)] == key and len(items.key_columns) != len(key):
        return key
    shared = [
        name
        for name in headers.unique_columns
        if items.columns.count(name) == 1 and name not in items.unique_columns
    ]
    named = [name for name in shared if any(name in columns for columns in guessed)]
    return tuple(named[:1] or (shared if len(shared) == 1 else ()))


def _with_key(entry: ProposedExtract, columns: tuple[str, ...]) -> ProposedExtract:
    known = entry.guesses.get(_KEY)
    if known is not None and known.columns == columns:
        return entry
    basis = "guessed from content: in headers and items, and each header has another"
    mapping: dict[str, Any] = {"column": columns[0]}
    others = {name: one for name, one in entry.guesses.items() if columns != one.columns}
    if len(columns) > 1:  # each part may say something of its own as well, such as the office
        mapping = {"expression": f"concat_ws('-', {', '.join(map(quote_identifier, columns))})"}
        others = dict(entry.guesses)
    guesses = in_order(entry.dataset, others | {_KEY: Guess(_KEY, mapping, basis, columns)})
    return replace(entry, guesses=guesses)


def _apart(items: ProposedExtract) -> ProposedExtract:
    fields = load_dataset(_ITEMS).fields
    missing = [
        field.name for field in fields if field.may_come_with_header and field.name not in items.mapped
    ]
    return replace(items, header="apart") if missing else items
