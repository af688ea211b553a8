"""Paths into JSON as SQL over DuckDB's functions, and the walk from a document down to its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidewaiter.contracts.formats import split_path
from tidewaiter.landing.staged import SOURCE_LINE
from tidewaiter.warehouse import quote_literal

_STRING_OR_BETWEEN = r'"(?:[^"\\]|\\.)*"|[^"]+'
_LONG_NUMBER = r"(-?[0-9.]{17,})((?:[eE][+-]?[0-9]+)?)"
_NUMBER_WITH_POINT = r"(-?[0-9]+)[.]([0-9]+(?:[eE][+-]?[0-9]+)?)"


def pointer(path: Sequence[str]) -> str:
    """Return the JSON pointer (RFC 6901) of a path: unlike DuckDB's own paths it can say any key."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def texts_sql(json: str, paths: Sequence[Sequence[str]]) -> str:
    """Return SQL of the list of the texts at the paths; the JSON is parsed once."""
    if not paths:
        return "cast([] as VARCHAR[])"
    return f"json_extract_string({json}, [{', '.join(quote_literal(pointer(path)) for path in paths)}])"


def exact_numbers_sql(json: str, decimal_mark: str) -> str:
    """Return SQL of valid JSON in which numbers stand as texts where they would lose digits or meaning.

    DuckDB reads a number with a point as floating point: 15 digits of it are sure (duckdb 1.5). Where
    the contract has a decimal comma, numbers get one, so that all that is read has the same mark. Only
    JSON that has such a number is taken apart, into its strings and what stands between them.
    """
    found, number, text = "[0-9.]{17}", _LONG_NUMBER, r'"\1\2"'
    if decimal_mark == ",":
        found, number, text = "[0-9][.][0-9]", _NUMBER_WITH_POINT, r'"\1,\2"'
    parts = f"regexp_extract_all({json}, {quote_literal(_STRING_OR_BETWEEN)})"
    between = f"regexp_replace(part, {quote_literal(number)}, {quote_literal(text)}, 'g')"
    return (
        f"case when regexp_matches({json}, {quote_literal(found)})"
        f" then array_to_string(list_transform({parts},"
        f" lambda part: if(starts_with(part, '\"'), part, {between})), '') else {json} end"
    )


def keys_sql(json: str, path: Sequence[str]) -> str:
    """Return SQL of the keys of the object at a path, as often as they stand there."""
    return f"json_keys({json}, {quote_literal(pointer(path))})" if path else f"json_keys({json})"


def children_sql(json: str, key: str) -> str:
    """Return SQL of the list of what stands at a key: the elements of a list, else the value alone.

    Nothing is told from null: a key that is missing gives a list with a missing value, null an empty one.
    """
    child = f"json_extract({json}, {quote_literal(pointer([key]))})"
    return (
        f"case when {child} is null then [null::JSON] when json_type({child}) = 'NULL' then []"
        f" when json_type({child}) = 'ARRAY' then json_extract({child}, '$[*]') else [{child}] end"
    )


def walk_sql(items: str, header_fields: Mapping[str, str], top: str) -> str:
    """Return SQL of the items below the outermost records, in order.

    Args:
        items: Path of the items.
        header_fields: Columns above the items by name, with their paths from the top.
        top: SQL of a relation with `source_line`, `record` and `fault`.

    Returns:
        SQL of `record` (null where nothing stands at the path), `above` with the texts of the header
        fields in their order, and `fault`.
    """
    steps = split_path(items)
    fields = [split_path(path) for path in header_fields.values()]
    levels = [_level(field, steps) for field in fields]
    query = f"select {SOURCE_LINE}, fault, record as level from {top}"
    for depth in range(len(steps) + 1):
        above = [field[depth:] for field, level in zip(fields, levels, strict=True) if level == depth]
        if above:
            query = f"select *, {texts_sql('level', above)} as above_{depth} from ({query})"
        if depth < len(steps):
            child = f"unnest({children_sql('level', steps[depth])}) as level"
            query = f"select * exclude (level), {child} from ({query})"
    values = [f"above_{level}[{levels[:place].count(level) + 1}]" for place, level in enumerate(levels)]
    return (
        f"select cast(level as VARCHAR) as record, cast([{', '.join(values)}] as VARCHAR[]) as above, fault"
        f" from ({query})"
    )


def _level(field: Sequence[str], steps: Sequence[str]) -> int:
    """Return how far a path goes the way of the items: from the element there its value is taken."""
    shared = 0
    while shared < min(len(steps), len(field)) - 1 and field[shared] == steps[shared]:
        shared += 1
    return shared
