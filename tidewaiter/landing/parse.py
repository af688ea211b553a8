"""From a source text to a canonical type: one SQL expression per field, null where it cannot be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from tidewaiter.canonical import Field
from tidewaiter.canonical.units import Unit
from tidewaiter.contracts import AnyFormat
from tidewaiter.landing.marks import ANY_MARKS, Marks
from tidewaiter.warehouse import quote_literal

_ISO_DATES = ("%Y-%m-%d",)
_ISO_TIMESTAMPS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
)
# 2024-03-01T10:00:00Z is ISO 8601 as well, and what JSON and Parquet write.
ISO_INSTANT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
)
_OFFSET_DIRECTIVE = "%z"
# A number before its unit is converted, and the digits of a factor: together the 38 that a decimal has, so
# that no product overflows. Ten decimals are a tenth of a milligram of a tonne.
# Most numbers fit into the narrow one's 64 bits, and DuckDB reads texts into it a hundred times
# faster.
_UNCONVERTED, _NARROW = "DECIMAL(24,10)", "DECIMAL(18,10)"
_FACTOR_DIGITS = 14


def parse_sql(
    field: Field,
    text: str,
    formats: tuple[str, ...],
    text_format: AnyFormat,
    zone: str,
    unit: Unit | None = None,
    marks: Marks = ANY_MARKS,
) -> str:
    """Return SQL that turns the text in column `text` into the field's type.

    Args:
        field: The canonical field.
        text: Quoted column name or SQL of the text.
        formats: strptime formats from the contract; ISO 8601 where there are none.
        text_format: Decimal and thousands marks.
        zone: IANA name of the zone that times are written in.
        unit: Unit of a decimal number, where it is not the field's own.
        marks: What the text may hold.
    """
    match field.type:
        case "text":
            return text
        case "decimal":
            return decimal_sql(field, _decimal_text(text, text_format, marks), unit)
        case "integer":
            # try_cast rounds 1.5 to 2; a fraction is a fault and not a whole number.
            decimal = f"try_cast({_decimal_text(text, text_format, marks)} as DECIMAL(18,4))"
            return (
                f"case when {decimal} = trunc({decimal}) then try_cast({decimal} as {field.duckdb_type}) end"
            )
        case "boolean":
            return f"try_cast({text} as BOOLEAN)"
        case "date":
            return f"cast({_strptime(text, formats or _ISO_DATES)} as DATE)"
        case "timestamp":
            instant = _strptime(text, formats or _ISO_TIMESTAMPS)
            if any(_OFFSET_DIRECTIVE in form for form in formats):
                return f"timezone('UTC', {instant})"
            return local_to_utc(instant, zone)


def iso_instant(text: str) -> str:
    """Return SQL for the naive UTC instant of a text in ISO 8601 that says its offset, null of any other.

    Args:
        text: Quoted column name or SQL of the text.
    """
    # The cast alone would also read names of zones, and "now".
    return (
        f"case when regexp_full_match({text}, {quote_literal(ISO_INSTANT)})"
        f" then timezone('UTC', try_cast({text} as TIMESTAMPTZ)) end"
    )


def decimal_sql(field: Field, value: str, unit: Unit | None) -> str:
    """Return SQL that turns a plain text or a number into a decimal field, in the field's own unit.

    The product with the unit's factor is exact and rounded once, half away from zero.
    """
    if unit is None:
        return f"try_cast({value} as {field.duckdb_type})"
    places = max(0, -int(unit.factor.as_tuple().exponent))
    factor = f"cast('{unit.factor}' as DECIMAL({_FACTOR_DIGITS},{places}))"
    narrow = f"cast(try_cast({value} as {_NARROW}) as {_UNCONVERTED})"
    number = f"coalesce({narrow}, try_cast({value} as {_UNCONVERTED}))"
    return f"try_cast({number} * {factor} as {field.duckdb_type})"


def cast_sql(field: Field, value: str, value_type: str, zone: str, unit: Unit | None = None) -> str:
    """Return SQL that turns an expression's typed value into the field's type.

    Args:
        field: The canonical field.
        value: Quoted column name or SQL of the value.
        value_type: Its DuckDB type.
        zone: IANA name of the zone of naive timestamps and dates.
        unit: Unit of a decimal number, where it is not the field's own.
    """
    if field.type == "decimal":
        return decimal_sql(field, value, unit)
    if field.type != "timestamp":
        return f"try_cast({value} as {field.duckdb_type})"
    if value_type == "TIMESTAMP WITH TIME ZONE":
        return f"timezone('UTC', {value})"
    return local_to_utc(f"try_cast({value} as TIMESTAMP)", zone)


def local_to_utc(timestamp: str, zone: str) -> str:
    """Return SQL for the naive UTC instant of a naive local one; of an hour lived twice, the second.

    Args:
        timestamp: Quoted column name of the local time, or SQL: it stands in the result three times.
        zone: IANA name.
    """
    if zone == "UTC":
        return timestamp
    looked_up = f"timezone('UTC', timezone({quote_literal(zone)}, {timestamp}))"
    span = constant_offset(zone)
    # A day at each end, because the span is of UTC days.
    first, last = span.first_day + timedelta(days=2), span.last_day - timedelta(days=2)
    return _within(first, last, timestamp, f"{timestamp} - {span.interval}", looked_up)


def utc_to_local_date(timestamp: str, zone: str) -> str:
    """Return SQL for the calendar day in `zone` of a naive UTC instant in a column."""
    if zone == "UTC":
        return f"cast({timestamp} as DATE)"
    looked_up = f"timezone({quote_literal(zone)}, timezone('UTC', {timestamp}))"
    span = constant_offset(zone)
    local = _within(span.first_day, span.last_day, timestamp, f"{timestamp} + {span.interval}", looked_up)
    return f"cast({local} as DATE)"


@dataclass(frozen=True)
class OffsetSpan:
    """A time in which a zone's offset from UTC does not change: adding it is cheaper than looking it up.

    Attributes:
        first_day, last_day: UTC midnights, between which the offset holds.
        seconds: Local time minus UTC.
    """

    first_day: date
    last_day: date
    seconds: int

    @property
    def interval(self) -> str:
        """The offset as SQL."""
        return f"interval ({self.seconds}) seconds"


@cache
def constant_offset(zone: str) -> OffsetSpan:
    """Return the longest time since 1990 in which the zone keeps one offset, by DuckDB's own tables."""
    import duckdb

    with duckdb.connect() as connection:
        row = connection.execute(
            """
            with days as (
                select unnest(generate_series(timestamp '1990-01-01', timestamp '2060-01-01', interval 1 day))
                    as day
            ),
            offsets as (
                select day, cast(epoch(timezone(?, timezone('UTC', day))) - epoch(day) as BIGINT) as seconds
                from days
            ),
            changes as (
                select *, coalesce(seconds <> lag(seconds) over (order by day), true) as is_new from offsets
            ),
            spans as (
                select *, sum(is_new::int) over (order by day) as span from changes
            )
            select min(day)::date, max(day)::date, any_value(seconds) from spans
            group by span order by count(*) desc, span limit 1
            """,
            [zone],
        ).fetchone()
    if row is None:
        raise AssertionError("a series of days has a longest span")
    return OffsetSpan(*row)


def _within(first: date, last: date, timestamp: str, value: str, otherwise: str) -> str:
    span = f"TIMESTAMP '{first}' and TIMESTAMP '{last}'"
    return f"case when {timestamp} between {span} then {value} else {otherwise} end"


def type_in_words(field: Field, formats: tuple[str, ...]) -> str:
    """Return what a text must be to fit the field, as in "'abc' is not <this>"."""
    match field.type:
        case "date" | "timestamp":
            noun = "a date" if field.type == "date" else "a time"
            return f"{noun} written as {' or '.join(formats)}" if formats else f"{noun} in ISO 8601"
        case "decimal":
            return "a decimal number"
        case "integer":
            return "a whole number"
        case "boolean":
            return "true or false"
        case "text":
            return "a text"


def _strptime(text: str, formats: tuple[str, ...]) -> str:
    listed = ", ".join(quote_literal(form) for form in formats)
    return f"try_strptime({text}, [{listed}])" if len(formats) > 1 else f"try_strptime({text}, {listed})"


def _decimal_text(text: str, text_format: AnyFormat, marks: Marks) -> str:
    mark, thousands = text_format.decimal_mark, text_format.thousands_mark
    if mark == "." and thousands is None:
        # DuckDB reads 1_000 as a thousand; no customs system writes that.
        return f"case when not contains({text}, '_') then {text} end" if marks.has_underscore else text
    if thousands == " ":
        text = f"translate({text}, '\u00a0\u202f', '  ')"  # no-break and narrow blanks
    # Groups of three only: "1.5" with a thousands point is a fault, not fifteen.
    groups = rf"[0-9]{{1,3}}({re.escape(thousands)}[0-9]{{3}})+|" if thousands else ""
    shape = rf"[+-]?({groups}[0-9]*)({re.escape(mark)}[0-9]*)?([eE][+-]?[0-9]+)?"
    plain = f"replace({text}, {quote_literal(thousands)}, '')" if thousands else text
    plain = f"replace({plain}, ',', '.')" if mark == "," else plain
    return f"case when regexp_full_match({text}, {quote_literal(shape)}) then {plain} end"
