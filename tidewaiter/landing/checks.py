"""Checks of a mapped row, as SQL: each a condition that is a fault, and the reason in words.

A reason has a kind, which the receipt counts and which shows no value, and a message, which the
quarantine keeps and which shows the value unless it may name a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidewaiter.canonical import Dataset, Field
from tidewaiter.landing import parse
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    from tidewaiter.landing.mapping import MappedField, Mapping

PROBLEMS_TYPE = "STRUCT(kind VARCHAR, message VARCHAR)[]"
_SHOWN_CHARACTERS = 80
# One class of letters or digits, so many times: [0-9]{6}.
_REPEATED_CLASS = re.compile(r"(\[[A-Za-z0-9-]+\])\{(\d+)\}")


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong with a row.

    Attributes:
        condition: SQL that is true where it is wrong, over the layer `typed`.
        kind: The reason without a value.
        message: SQL of the reason with its value.
    """

    condition: str
    kind: str
    message: str


def row_checks(mapping: Mapping) -> list[Check]:
    """Return every check of a mapped row: fields in canonical order, then the rules between them."""
    return [*field_checks(mapping), *_rule_checks(mapping.dataset)]


def field_checks(mapping: Mapping) -> list[Check]:
    """Return the checks of each mapped field by itself."""
    return [check for one in mapping.mapped for check in _field_checks(one)]


def is_faulty_sql(checks: list[Check]) -> str:
    """Return SQL that is true where any check finds a fault."""
    # A comparison with null is no fault: what must not be null has a check of its own.
    found = " or ".join(f"({check.condition})" for check in checks) or "false"
    return f"coalesce({found}, false)"


def problems_sql(checks: list[Check]) -> str:
    """Return SQL of the list of all reasons of a row."""
    found = ", ".join(
        f"case when {check.condition} then {problem_sql(check.kind, check.message)} end" for check in checks
    )
    return f"list_filter(cast([{found}] as {PROBLEMS_TYPE}), lambda problem: problem is not null)"


def problem_sql(kind: str, message: str) -> str:
    """Return SQL of one reason: its kind as it is, its message as SQL."""
    return f"{{'kind': {quote_literal(kind)}, 'message': {message}}}"


def value_checks(field: Field, value: str, shown: str) -> list[Check]:
    """Return the checks of a canonical value: range, pattern and code list.

    Args:
        field: The canonical field.
        value: SQL of the value in its canonical type.
        shown: SQL of the value as the source gave it, in quotes, or of words that stand for it.
    """
    checks = []
    for bound, operator, words in (
        (field.minimum, "<", "below the minimum"),
        (field.maximum, ">", "above the maximum"),
    ):
        if bound is not None:
            limit = f"cast({quote_literal(str(bound))} as {_bound_type(field, bound)})"
            checks.append(_check(field, f"{value} {operator} {limit}", shown, f"{words} {_in_words(bound)}"))
    if field.pattern is not None:
        condition = f"not {_full_match(value, field.pattern)}"
        checks.append(_check(field, condition, shown, f"not of the form {field.pattern}"))
    if field.code_list is not None:
        codes = ", ".join(quote_literal(code) for code in field.code_list)
        checks.append(
            _check(field, f"{value} not in ({codes})", shown, f"not one of {', '.join(field.code_list)}")
        )
    return checks


def _full_match(value: str, pattern: str) -> str:
    """Return SQL that is true where the whole value matches, by a glob where the pattern is as simple."""
    if simple := _REPEATED_CLASS.fullmatch(pattern):
        return f"({value} glob {quote_literal(simple[1] * int(simple[2]))})"  # half the cost
    return f"regexp_full_match({value}, {quote_literal(pattern)})"


def _field_checks(one: MappedField) -> Iterator[Check]:
    field, value = one.field, quote_identifier(one.field.name)
    shown = f"cast({one.given} as VARCHAR)"
    shown = "'the value'" if one.is_hidden else f"'''' || left({shown}, {_SHOWN_CHARACTERS}) || ''''"
    if one.expression:
        kind = f"{field.name}: the contract's expression fails on this row"
        yield Check(f"{one.tried} is null", kind, quote_literal(kind))
    if one.is_required:
        kind = f"{field.name}: required, and empty"
        tried = f"{one.tried} is not null and " if one.expression else ""
        yield Check(_where_null(field, f"{tried}{one.given} is null"), kind, quote_literal(kind))
    if one.mapping.codes is not None:
        condition = f"{one.given} is not null and {one.coded} is null{_not_among(one)}"
        yield _check(field, condition, shown, "not in the contract's code map")
    if field.type != "text":
        condition = _where_null(field, f"{one.coded} is not null")
        words = parse.type_in_words(field, one.mapping.formats)
        yield _check(field, condition, shown, f"not {words}")
    if not _codes_are_listed(one):
        yield from value_checks(field, value, shown)


def _not_among(one: MappedField) -> str:
    """Return a further condition: the value is none of those that the code map says are no value."""
    empty = [spelling for spelling, value in (one.mapping.codes or {}).items() if value is None]
    listed = ", ".join(quote_literal(spelling) for spelling in empty)
    return f" and cast({one.given} as VARCHAR) not in ({listed})" if empty else ""


def _codes_are_listed(one: MappedField) -> bool:
    """Whether the code map gives nothing but values of the field's own list."""
    listed, codes = one.field.code_list, one.mapping.codes
    return listed is not None and codes is not None and set(codes.values()) - {None} <= set(listed)


def _where_null(field: Field, condition: str) -> str:
    """Return a condition that can only hold where the value is null, such that only there it is computed."""
    if field.type == "text":
        return condition
    return f"case when {quote_identifier(field.name)} is null then {condition} else false end"


def _rule_checks(dataset: Dataset) -> Iterator[Check]:
    for rule in dataset.rules:
        kind = f"{rule.name}: broken, {rule.description[:1].lower()}{rule.description[1:].rstrip('.')}"
        yield Check(f"({rule.when}) and not ({rule.check})", kind, quote_literal(kind))


def _check(field: Field, condition: str, shown: str, words: str) -> Check:
    message = f"{quote_literal(f'{field.name}: ')} || {shown} || {quote_literal(f' is {words}')}"
    return Check(condition, f"{field.name}: {words}", message)


def _bound_type(field: Field, bound: float | str) -> str:
    # A bound may be finer than the field's own scale: 0.000001 would become zero.
    is_coarse = isinstance(bound, str) or round(bound, 0 if field.type == "integer" else 4) == bound
    return field.duckdb_type if is_coarse else "DOUBLE"


def _in_words(bound: float | str) -> str:
    return f"{bound:.15g}" if isinstance(bound, float) else bound
