"""The source relation: the file's columns as text, and how a contract's names point into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidewaiter.contracts import Contract, CsvFormat, Extract
from tidewaiter.errors import Problems, closest
from tidewaiter.landing.expressions import ParsedExpression, parse_expression
from tidewaiter.landing.marks import ANY_MARKS, Marks
from tidewaiter.landing.text import PreparedText
from tidewaiter.warehouse import quote_literal

if TYPE_CHECKING:
    import duckdb

# The first character that is no control character and no blank.
_AFTER_BLANKS = "!"
MISSING_COLUMN_NEXT_STEP = "tidewaiter members diff shows what changed; ask the member, or mend the contract"


@dataclass(frozen=True, order=True)
class SourceColumn:
    """One source column that the contract uses. Names from the header never become SQL.

    Attributes:
        position: Its place in the file, from 0.
        name: Its name in the header.
    """

    position: int
    name: str

    @property
    def raw(self) -> str:
        """Internal name of the text exactly as it stands in the file."""
        return f"raw_{self.position}"

    @property
    def cleaned(self) -> str:
        """Internal name of the text without outer white space, null where it spells "no value"."""
        return f"cleaned_{self.position}"


def wanted_columns(
    connection: duckdb.DuckDBPyConnection, extract: Extract, contract: Contract
) -> tuple[str, ...]:
    """Return the names of the source columns that the contract uses, the usual one of several."""
    names: dict[str, None] = {}
    for mapping in extract.fields.values():
        if mapping.expression is not None:
            names |= dict.fromkeys(
                parse_expression(connection, mapping.expression, contract.parameters).columns
            )
        names |= dict.fromkeys(mapping.candidates[:1])
    return tuple(names)


def resolve_columns(
    extract: Extract,
    expressions: Mapping[str, ParsedExpression],
    header: tuple[str, ...],
    problems: Problems,
    where: str,
) -> dict[str, tuple[SourceColumn, ...] | None]:
    """Point the contract's column names into a header; note every name that is not there, or twice.

    Returns:
        For each mapped field the columns that feed it: none for a constant, and None instead of a
        tuple where the field's optional column is not in this file.
    """
    times = Counter(header)
    used = {name for mapping in extract.fields.values() for name in mapping.candidates}
    used |= {name for parsed in expressions.values() for name in parsed.columns}
    unused = [name for name in header if name not in used]  # a column that was renamed is among these
    resolved: dict[str, tuple[SourceColumn, ...] | None] = {}
    for field, mapping in extract.fields.items():
        if field in expressions:
            wanted = expressions[field].columns
            missing: list[tuple[str, ...]] = [(name,) for name in wanted if name not in times]
        else:
            wanted = _present(field, mapping.candidates, times, problems, where)
            missing = [mapping.candidates] if mapping.candidates and not wanted else []
        if missing and mapping.optional:
            resolved[field] = None
            continue
        for names in missing:
            hints = (closest(name, some) for some in (unused, header) for name in names)
            near = next(filter(None, hints), "")
            problems.add(
                f"column {_either(names)} is missing; the contract maps it to {field}{near}",
                where=where,
                next_step=MISSING_COLUMN_NEXT_STEP,
            )
        for name in wanted:
            if times[name] > 1:
                problems.add(
                    f"column '{name}' appears {times[name]} times in the header",
                    where=where,
                    expected=f"one column of that name, mapped to {field}",
                    next_step=MISSING_COLUMN_NEXT_STEP,
                )
        resolved[field] = tuple(SourceColumn(header.index(name), name) for name in wanted if name in times)
    return resolved


def _present(
    field: str, candidates: tuple[str, ...], times: Counter[str], problems: Problems, where: str
) -> tuple[str, ...]:
    """Return the candidate that the file has, if any; note it where there is more than one."""
    present = tuple(name for name in candidates if name in times)
    if len(present) > 1:
        problems.add(
            f"the file has {len(present)} of the columns that may be {field}: {', '.join(present)}",
            where=where,
            expected="one of them",
            next_step=MISSING_COLUMN_NEXT_STEP,
        )
    return present[:1]


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(f"'{name}'" for name in names)


def read_csv_sql(text: PreparedText, text_format: CsvFormat, *, rejects_table: str | None = None) -> str:
    """Return the table function that reads the file: all columns, all text, nothing guessed.

    Args:
        text: The file.
        text_format: Dialect from the contract.
        rejects_table: Where records that do not split into the columns are noted; without it they
            are passed over, for reading a file a second time.
    """
    names = [f"raw_{position}" for position in range(len(text.header))]
    quote = quote_literal(text_format.quote)
    escape = quote_literal(text_format.escape or text_format.quote)
    # With ignore_errors, rows after a misplaced quote are lost (duckdb 1.5): always note them somewhere.
    table = rejects_table or "passed_over"
    rejects = (
        f"store_rejects = true, rejects_table = {quote_literal(table)},"
        f" rejects_scan = {quote_literal(f'{table}_scans')}"
    )
    return f"""read_csv(
        {quote_literal(text.path)},
        auto_detect = false, strict_mode = true, header = false, skip = {text.header_records},
        delim = {quote_literal(text_format.delimiter)}, quote = {quote}, escape = {escape},
        columns = {{{", ".join(f"{quote_literal(name)}: 'VARCHAR'" for name in names)}}},
        force_not_null = [{", ".join(quote_literal(name) for name in names)}],
        {rejects}
    )"""


def cleaned_sql(text: str, null_values: tuple[str, ...], marks: Marks = ANY_MARKS) -> str:
    """Return SQL for a text without outer white space, and null where it spells "no value".

    Args:
        text: SQL of the text.
        null_values: Spellings of "no value".
        marks: What the text may hold.
    """
    trimmed = text
    if marks.white_space:
        # Nearly no value has white space around it, and looking is five times cheaper than trimming.
        trimmed = f"case when {is_padded_sql(text, marks)} then {trimmed_sql(text, marks)} else {text} end"
    for spelling in null_values:
        trimmed = f"nullif({trimmed}, {quote_literal(spelling.strip())})"
    return trimmed


def is_padded_sql(text: str, marks: Marks) -> str:
    """Return SQL that is true where a text has, or may have, white space around it."""
    if not marks.white_space:
        return "false"
    ends = [f"suffix({text}, {quote_literal(mark)})" for mark in marks.white_space]
    starts = [f"prefix({text}, {quote_literal(mark)})" for mark in marks.white_space if mark > _AFTER_BLANKS]
    return " or ".join([f"{text} < {quote_literal(_AFTER_BLANKS)}", *starts, *ends])


def trimmed_sql(text: str, marks: Marks) -> str:
    """Return SQL of a text without outer white space."""
    return f"trim({text}, {quote_literal(marks.white_space)})" if marks.white_space else text
