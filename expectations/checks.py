"""One check of a suite, as plain data: what holds, for which columns, and why.

Checks are comparable and have a fingerprint, so a verdict can be reused without Great Expectations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from expectations.limits import Severity

Kind = Literal[
    "schema", "present", "row_count", "not_null", "null_share", "zero_share", "range", "finite", "values",
    "pattern", "rule", "unique", "one_value", "newest",
]  # fmt: skip


class Check(BaseModel):
    """One expectation about one table.

    Attributes:
        kind: What is checked; decides which arguments there are.
        columns: Columns concerned; empty for the table as a whole.
        arguments: Plain values that go into the fingerprint.
        reason: Why the limit is what it is; shown in Data Docs.
        severity: `error` refuses, `warn` is reported only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    columns: tuple[str, ...] = ()
    arguments: dict[str, Any] = {}
    reason: str
    severity: Severity = "error"

    @property
    def column(self) -> str:
        """The columns as one text, or `(table)`."""
        return ", ".join(self.columns) or "(table)"

    @property
    def expected(self) -> str:
        """What would have been right, in words."""
        return _WORDS[self.kind](self.arguments)


def _bounds(arguments: dict[str, Any], unit: str = "") -> str:
    low, high = arguments["minimum"], arguments["maximum"]
    if low is not None and low == high:
        return f"exactly {low}{unit}"
    if high is None:
        return f"at least {low}{unit}"
    return f"at most {high}{unit}" if low is None else f"between {low} and {high}{unit}"


def _values(arguments: dict[str, Any]) -> str:
    return "one of " + ", ".join(str(value) for value in arguments["values"])


def _rule(arguments: dict[str, Any]) -> str:
    condition = "" if arguments["when"] == "true" else f" where {arguments['when']}"
    return f"{arguments['check']}{condition}"


def _schema(arguments: dict[str, Any]) -> str:
    more = "and any others" if arguments["other_columns"] else "and no others"
    return f"the {len(arguments['columns'])} declared columns with their types {more}"


_WORDS: dict[Kind, Callable[[dict[str, Any]], str]] = {
    "schema": _schema,
    "present": lambda arguments: "a column of that name",
    "row_count": lambda arguments: _bounds(arguments, " rows"),
    "not_null": lambda arguments: "no null",
    "null_share": lambda arguments: f"at most {arguments['share']:.2%} null",
    "zero_share": lambda arguments: f"at most {arguments['share']:.2%} zero",
    "range": _bounds,
    "finite": lambda arguments: "neither NaN nor infinite",
    "values": _values,
    "pattern": lambda arguments: f"text that matches {arguments['pattern']}",
    "rule": _rule,
    "unique": lambda arguments: "no two rows with the same values",
    "one_value": lambda arguments: "exactly 1 distinct value",
    "newest": lambda arguments: f"newest value on or after {arguments['not_before']}",
}
