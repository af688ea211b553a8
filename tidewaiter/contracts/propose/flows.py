"""Sums of trade: what their period, frequency and partner are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidewaiter.contracts.code_maps import listed_codes
from tidewaiter.contracts.propose.content import ColumnProfile
from tidewaiter.contracts.propose.match import FROM_CONTENT, Guess
from tidewaiter.contracts.propose.names import field_scores, spelt_concepts
from tidewaiter.warehouse import quote_identifier

_DATASET = "aggregate_flows"
_LEAST_NAME_SCORE = 0.6
_MOST = 0.8
_NUMBERS = "iso3166_numeric"
_MONTHS = {str(month) for month in range(1, 13)}


def flow_guesses(columns: Sequence[ColumnProfile], known: Mapping[str, Guess]) -> dict[str, Guess]:
    """Return guesses for aggregate flows, beside or instead of those that are known."""
    found: dict[str, Guess] = {}
    period, is_monthly = _period(columns, known)
    if period is not None:
        found["period_from_date"] = period
        if "frequency_code" not in known:
            words = "each period is a month" if is_monthly else "each period is a year"
            found["frequency_code"] = Guess("frequency_code", {"constant": "M" if is_monthly else "A"}, words)
    for name in ("partner_code", "reporter_code"):
        if (guess := known.get(name)) is not None:
            found[name] = _with_numbers(guess, columns)
    values = [name for name in ("cif_value_usd", "fob_value_usd") if name in known]
    if "primary_value_usd" not in known and len(values) == 1:
        only = known[values[0]]
        found["primary_value_usd"] = Guess(
            "primary_value_usd", only.mapping, "the only value there is", only.columns
        )
    return found


def _period(columns: Sequence[ColumnProfile], known: Mapping[str, Guess]) -> tuple[Guess | None, bool]:
    """Return how the first day of the period is filled, and whether it is one of a month."""
    if "period_from_date" in known:
        return None, True
    named = [
        (field_scores(column.name, _DATASET).get("period_from_date", 0.0), column)
        for column in columns
        if column.month_format is not None
    ]
    score, column = max(named, key=lambda one: one[0], default=(0.0, None))
    if column is not None and score >= _LEAST_NAME_SCORE:
        mapping = {"column": column.name, "formats": [column.month_format]}
        basis = f"guessed from the name: {score:.2f}; {FROM_CONTENT}: months"
        return Guess("period_from_date", mapping, basis, (column.name,)), True
    year, month = (
        next((one for one in columns if word in spelt_concepts(one.name) and one.whole == 1), None)
        for word in ("year", "month")
    )
    if month is not None and not {value.lstrip("0") for value in month.codes} <= _MONTHS:
        month = None  # Comtrade has 52 where the period is a year
    if year is None:
        return None, False
    parts = [year] if month is None else [year, month]
    numbers = ", ".join(f"cast({quote_identifier(one.name)} as integer)" for one in parts)
    expression = f"make_date({numbers}, 1)" if month is not None else f"make_date({numbers}, 1, 1)"
    names = tuple(one.name for one in parts)
    basis = "guessed from the names: year and month" if month is not None else "guessed from the name: year"
    return Guess("period_from_date", {"expression": expression}, basis, names), month is not None


def _with_numbers(guess: Guess, columns: Sequence[ColumnProfile]) -> Guess:
    """Return the guess with the list of country numbers, where nearly all values are such numbers."""
    column = next((one for one in columns if one.name in guess.columns), None)
    if column is None or not column.most_common or column.whole < _MOST:
        return guess
    listed = listed_codes(_NUMBERS)
    own = {value: value for value in column.codes if value not in listed}
    if len(own) > (1 - _MOST) * column.distinct and len(own) > 1:
        return guess
    mapping: dict[str, Any] = {"column": column.name, "codes_list": _NUMBERS}
    basis = f"{guess.basis}; numbers of countries"
    if own:
        mapping["codes"] = own
        basis += f"; kept as they are: {', '.join(own)}"
    return Guess(guess.field, mapping, basis, guess.columns)
