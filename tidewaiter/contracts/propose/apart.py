"""Headers and items in two samples: which column joins them, and what the items have from the header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tidewaiter.canonical import load_dataset
from tidewaiter.contracts.propose.match import Guess

if TYPE_CHECKING:
    from tidewaiter.contracts.propose.proposal import ProposedExtract

_KEY = "declaration_id"
_ITEMS, _HEADERS = "declaration_items", "declarations"


def with_headers_apart(entries: Sequence[ProposedExtract]) -> tuple[ProposedExtract, ...]:
    """Return the entries with items joined to their headers, where samples of both were given.

    What joins them is the column of one name in both that is different on each header and not on each
    item. Items that lack what every item must have are then read as having it from the header.
    """
    headers = next((entry for entry in entries if entry.dataset == _HEADERS), None)
    if headers is None:
        return tuple(entries)
    found = []
    for entry in entries:
        if entry.dataset == _ITEMS and (key := _joining_column(entry, headers)) is not None:
            headers = _with_key(headers, key)
            entry = _apart(_with_key(entry, key))
        found.append(entry)
    return tuple(headers if entry.dataset == _HEADERS else entry for entry in found)


def _joining_column(items: ProposedExtract, headers: ProposedExtract) -> str | None:
    """Return the name of the column that says of items which declaration they are of."""
    guessed = [entry.guesses[_KEY].columns for entry in (items, headers) if _KEY in entry.guesses]
    if guessed and all(columns == guessed[0] for columns in guessed) and len(guessed) == 2:
        return guessed[0][0]
    shared = [
        name
        for name in headers.unique_columns
        if items.columns.count(name) == 1 and name not in items.unique_columns
    ]
    named = [name for name in shared if any(name in columns for columns in guessed)]
    return named[0] if named else shared[0] if len(shared) == 1 else None


def _with_key(entry: ProposedExtract, column: str) -> ProposedExtract:
    known = entry.guesses.get(_KEY)
    if known is not None and known.columns == (column,):
        return entry
    basis = "guessed from content: in headers and items, and each header has another"
    guess = Guess(_KEY, {"column": column}, basis, (column,))
    others = {name: one for name, one in entry.guesses.items() if column not in one.columns}
    return replace(entry, guesses=_in_order(entry, others | {_KEY: guess}))


def _apart(items: ProposedExtract) -> ProposedExtract:
    fields = load_dataset(_ITEMS).fields
    missing = [
        field.name for field in fields if field.may_come_with_header and field.name not in items.mapped
    ]
    return replace(items, header="apart") if missing else items


def _in_order(entry: ProposedExtract, guesses: Mapping[str, Guess]) -> dict[str, Guess]:
    return {name: guesses[name] for name in load_dataset(entry.dataset).by_name if name in guesses}
