"""Fixed-width text: a column is a place on the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tidewaiter.contracts import FixedWidthFormat
from tidewaiter.landing.formats.opening import Opening
from tidewaiter.landing.formats.text_lines import copy_lines, undecodable_sql
from tidewaiter.landing.staged import SOURCE_LINE, Staged, raw_column
from tidewaiter.warehouse import quote_literal


@dataclass(frozen=True)
class FixedWidthSource:
    """One file of fixed width; `source_line` is the physical line."""

    opening: Opening
    text_format: FixedWidthFormat
    header: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", tuple(name.strip() for name, _, _ in self.text_format.places))

    def stage(self, positions: Sequence[int]) -> Staged:
        """Cut every line into its columns; see `Source.stage`."""
        text_format = self.text_format
        lines = copy_lines(self.opening, text_format.encoding, text_format.header_lines)
        columns = "".join(
            f", substring(line, {start}, {width}) as {raw_column(position)}"
            for position, (_, start, width) in enumerate(text_format.places)
            if position in positions
        )
        fault = _fault_sql(text_format)
        return self.opening.staged(
            f"select {SOURCE_LINE}{columns} from {lines} where line is not null and not ({fault})",
            f"{undecodable_sql(lines)} union all select {SOURCE_LINE}, {_kind_sql(text_format)} as kind,"
            f" 'the line has ' || length(line) || ' characters, '"
            f" || {quote_literal(_expected(text_format))} as message"
            f" from {lines} where {fault}",
        )


def _fault_sql(text_format: FixedWidthFormat) -> str:
    length, last = text_format.record_length, text_format.last_character
    needed = length or last
    too_short = f"length(line) < {needed}" if text_format.short_lines == "reject" else "false"
    too_long = f"length(line) > {length}" if length else "false"
    return f"{too_short} or {too_long}"


def _kind_sql(text_format: FixedWidthFormat) -> str:
    needed = text_format.record_length or text_format.last_character
    return f"if(length(line) < {needed}, 'the line is too short', 'the line is too long')"


def _expected(text_format: FixedWidthFormat) -> str:
    if text_format.record_length:
        return f"a record has {text_format.record_length}"
    return f"the last column ends at {text_format.last_character}"
