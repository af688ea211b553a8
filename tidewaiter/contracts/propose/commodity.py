"""Commodity codes among the columns: the subheading, the national code, and zeros that were lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidewaiter.contracts.propose.content import ColumnProfile
from tidewaiter.warehouse import quote_identifier

_SUBHEADING_DIGITS = 6
_MOST = 0.8
_SURE = 0.95
_NEARLY_NONE = 0.01
_VARIED = 5


def commodity_guesses(
    columns: Sequence[ColumnProfile], name_scores: Mapping[int, float], least: float
) -> Iterator[tuple[dict[str, Any], ColumnProfile]]:
    """Yield the guesses for `hs6` and `hs_national_code`, as arguments of a guess, with their column.

    Args:
        columns: The columns of the sample.
        name_scores: Position of a column to how well its name says "commodity".
        least: Score from which a name says so; below, the values alone must leave little doubt.
    """
    named = [
        column
        for column in columns
        if name_scores[column.position] >= least and (column.is_empty or column.commodity >= _MOST)
    ]
    fitting = sorted(named, key=lambda one: (-name_scores[one.position], one.position)) or [
        one for one in columns if _is_commodity(one)
    ]
    full = [column for column in fitting if _digits(column) <= _SUBHEADING_DIGITS]
    national = [column for column in fitting if _digits(column) > _SUBHEADING_DIGITS]
    for field, found in (("hs6", (full or national)[:1]), ("hs_national_code", national[:1])):
        for column in found:
            yield _guess(field, column, name_scores[column.position], least), column


def _guess(field: str, column: ColumnProfile, score: float, least: float) -> dict[str, Any]:
    digits = _digits(column)
    basis = f"guessed from the name: {score:.2f}" if score >= least else "guessed from content"
    text = quote_identifier(column.name)
    mapping: dict[str, Any] = {"column": column.name}
    if column.has_apostrophe:
        text = f"ltrim({text}, '''')"
        mapping = {"expression": text}
    if column.hs_has_points:
        text = f"replace({text}, '.', '')"
        mapping = {"expression": text}
    if column.hs_digits.get(digits - 1, 0.0) > _NEARLY_NONE:
        text = f"lpad({text}, {digits}, '0')"
        mapping = {"expression": text}
        basis += "; leading zeros were lost and are put back"
    if field == "hs6" and digits > _SUBHEADING_DIGITS:
        mapping = {"expression": f"left({text}, {_SUBHEADING_DIGITS})"}
        basis += f"; the first six of {digits} digits"
    return {"field": field, "mapping": mapping, "basis": basis, "columns": (column.name,)}


def _digits(column: ColumnProfile) -> int:
    """Return the number of digits of the code: the longest that is no exception; six where unknown."""
    usual = [digits for digits, share in column.hs_digits.items() if share > _NEARLY_NONE]
    longest = max(usual, default=_SUBHEADING_DIGITS)
    return longest + longest % 2


def _is_commodity(column: ColumnProfile) -> bool:
    """Whether the values alone say so: even lengths from six digits on, headings that exist, each often."""
    full = sum(share for digits, share in column.hs_digits.items() if digits in (6, 8, 10))
    return (
        full >= _SURE
        and column.headings >= _MOST
        and not column.is_date
        and column.distinct >= _VARIED
        and column.distinct <= column.values / 2
    )
