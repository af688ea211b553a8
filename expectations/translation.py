"""From a check to Great Expectations and from its result back to a failure.

Imports Great Expectations; import it inside functions only. Patterns, rules and types go through SQL
row expectations, because the regular-expression ones do not know DuckDB; their queries select a
constant, so that no value of a row can reach a result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import great_expectations.expectations as gxe
from great_expectations.expectations.row_conditions import Column

from expectations.checks import Check, Kind
from expectations.verdicts import Failure
from tidewaiter.warehouse import quote_identifier, quote_literal

_LARGEST = sys.float_info.max
_FLOATING = frozenset({"DOUBLE", "FLOAT"})


def to_expectation(check: Check, columns: Mapping[str, str], position: int) -> Any:
    """Return the expectation that runs `check`.

    Args:
        check: The check.
        columns: The table's columns with their DuckDB types.
        position: Where the check stands in its suite; comes back in the result's meta.
    """
    expectation = _BUILDERS[check.kind](check, columns)
    expectation.description = f"{check.column}: {check.expected}. Why: {check.reason}"
    expectation.severity = "critical" if check.severity == "error" else "warning"
    expectation.meta = {"position": position}
    return expectation


def to_failure(check: Check, table: str, result: Any, total_rows: int) -> Failure:
    """Return what a failed result says, in counts only."""
    found = result.result or {}
    unexpected, observed = _counts(check, found, total_rows)
    if _raised(result):
        observed = "could not be evaluated"
    return Failure(
        table=table,
        expectation=str(result.expectation_config.type),
        column=check.column,
        observed=observed,
        expected=check.expected,
        unexpected_count=unexpected,
        total_count=total_rows,
        reason=check.reason,
        severity=check.severity,
    )


def remove_row_values(result: Any) -> None:
    """Drop what a database error said: conversion errors quote the value they stumbled over."""
    if _raised(result):
        result.exception_info = {
            "raised_exception": True,
            "exception_message": "Not evaluated; the message may quote rows and is left out.",
            "exception_traceback": None,
        }


def _raised(result: Any) -> bool:
    info = result.exception_info or {}
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(isinstance(part, Mapping) and part.get("raised_exception") for part in info.values())


def _counts(check: Check, found: Mapping[str, Any], total_rows: int) -> tuple[int | None, str]:
    if check.kind == "row_count":
        return None, f"{total_rows} rows"
    if check.kind == "one_value":
        return None, f"{found.get('observed_value')} distinct values"
    if check.kind == "newest":
        return None, "the newest value is older, or there is none"
    if check.kind == "present":
        return None, "no column matches"
    unexpected = found.get("unexpected_count", found.get("observed_value"))
    if not isinstance(unexpected, int):
        return None, "not observed"
    return unexpected, f"{unexpected} of {total_rows} rows"


def _column(check: Check) -> str:
    return check.columns[0]


def _as_text(sql: str) -> str:
    # Braces are placeholders and colons bound parameters to the layers below; here both are text.
    return sql.replace("{", "{{").replace("}", "}}").replace(":", "\\:")


def _rows_where(condition: str) -> Any:
    return gxe.UnexpectedRowsExpectation(
        unexpected_rows_query=f"select 1 as unexpected from {{batch}} where {_as_text(condition)}"
    )


def _schema(check: Check, columns: Mapping[str, str]) -> Any:
    declared: dict[str, str] = check.arguments["columns"]
    pairs = ", ".join(f"({quote_literal(name)}, {quote_literal(kind)})" for name, kind in declared.items())
    names = ", ".join(quote_literal(name) for name in declared)
    found = "(describe select * from {batch})"
    query = (
        f"(select name, kind from (values {_as_text(pairs)}) as declared(name, kind)"
        f" except select column_name, column_type from {found})"
    )
    if not check.arguments["other_columns"]:
        query += (
            f" union all select column_name, column_type from {found}"
            f" where column_name not in ({_as_text(names)})"
        )
    return gxe.UnexpectedRowsExpectation(unexpected_rows_query=f"select 1 as unexpected from ({query})")


def _range(check: Check, columns: Mapping[str, str]) -> Any:
    low, high = check.arguments["minimum"], check.arguments["maximum"]
    if columns[_column(check)] in _FLOATING:
        # DuckDB sorts NaN above infinity, so a missing bound would let both through.
        low = -_LARGEST if low is None else low
        high = _LARGEST if high is None else high
    return gxe.ExpectColumnValuesToBeBetween(
        column=_column(check), min_value=_plain(low), max_value=_plain(high)
    )


def _plain(bound: Any) -> Any:
    return bound.isoformat() if hasattr(bound, "isoformat") else bound


def _pattern(check: Check, columns: Mapping[str, str]) -> Any:
    column, pattern = quote_identifier(_column(check)), quote_literal(check.arguments["pattern"])
    return _rows_where(f"not regexp_full_match({column}, {pattern})")


def _rule(check: Check, columns: Mapping[str, str]) -> Any:
    return _rows_where(f"({check.arguments['when']}) and ({check.arguments['check']}) is not true")


def _unique(check: Check, columns: Mapping[str, str]) -> Any:
    if len(check.columns) == 1:
        return gxe.ExpectColumnValuesToBeUnique(column=_column(check))
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(check.columns))


def _null_share(check: Check, columns: Mapping[str, str]) -> Any:
    mostly = 1 - check.arguments["share"]
    if "unless" not in check.arguments:
        return gxe.ExpectColumnValuesToNotBeNull(column=_column(check), mostly=mostly)
    return gxe.ExpectColumnValuesToNotBeNull(
        column=_column(check),
        mostly=mostly,
        row_condition=Column(check.arguments["unless"]) == False,  # noqa: E712 - builds a condition
    )


def _zero_share(check: Check, columns: Mapping[str, str]) -> Any:
    return gxe.ExpectColumnValuesToNotBeInSet(
        column=_column(check), value_set=[0], mostly=1 - check.arguments["share"]
    )


_BUILDERS: dict[Kind, Callable[[Check, Mapping[str, str]], Any]] = {
    "schema": _schema,
    "present": lambda check, columns: gxe.ExpectColumnToExist(column=_column(check)),
    "row_count": lambda check, columns: gxe.ExpectTableRowCountToBeBetween(
        min_value=check.arguments["minimum"], max_value=check.arguments["maximum"]
    ),
    "not_null": lambda check, columns: gxe.ExpectColumnValuesToNotBeNull(column=_column(check)),
    "null_share": _null_share,
    "zero_share": _zero_share,
    "range": _range,
    "finite": lambda check, columns: gxe.ExpectColumnValuesToBeBetween(
        column=_column(check), min_value=-_LARGEST, max_value=_LARGEST
    ),
    "values": lambda check, columns: gxe.ExpectColumnValuesToBeInSet(
        column=_column(check), value_set=list(check.arguments["values"])
    ),
    "pattern": _pattern,
    "rule": _rule,
    "unique": _unique,
    "one_value": lambda check, columns: gxe.ExpectColumnUniqueValueCountToBeBetween(
        column=_column(check), min_value=1, max_value=1
    ),
    "newest": lambda check, columns: gxe.ExpectColumnMaxToBeBetween(
        column=_column(check), min_value=_plain(check.arguments["not_before"])
    ),
}
