"""What the values of a column say: shares of a sample that read as numbers, dates, codes or flags."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidewaiter.contracts.code_maps import listed_codes
from tidewaiter.contracts.propose.names import fold, vocabulary
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

# Day before month first: of the two readings of 03/04/2024, customs systems mean the first.
DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%d.%m.%Y",
    "%d/%m/%y",
    "%d-%m-%y",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%m/%d/%Y",
    "%m/%d/%y",
    "%d%m%Y",
)
_MONTH_FORMATS = {
    "%Y%m": "(19[6-9]|20[0-9])[0-9](0[1-9]|1[0-2])",
    "%Y-%m": "(19[6-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])",
    "%Y/%m": "(19[6-9]|20[0-9])[0-9]/(0[1-9]|1[0-2])",
    "%m/%Y": "(0?[1-9]|1[0-2])/(19[6-9]|20[0-9])[0-9]",
}
_TIMES = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f")
_MOST_VALUES = 40
# Lists in which a column of countries may be written, and how many different values are looked up in them.
_COUNTRY_LISTS = ("iso3166_alpha3", "iso3166_numeric", "country_names")
_MOST_COUNTRIES = 300
_NULL_SPELLINGS = ("-", "--", "NULL", "null", "N/A", "n/a", "\\N", "#N/A", "S/N", "ND", "N/D", "(null)", ".")
_BLANKS = "\u00a0\u202f"  # no-break blanks between groups of digits
_OUTER = "' ' || chr(9) || chr(10) || chr(13)"
_SOME_SHARE = 0.005
_POINTED_CODE = r"[0-9]{4}([.][0-9]{2}){1,4}"
_NEARLY_ALL = 0.9
_FEW_VALUES = 20


@dataclass(frozen=True)
class Marks:
    """How numbers are written in a sample."""

    decimal: str
    thousands: str | None


@dataclass(frozen=True)
class ColumnProfile:
    """What a column of the sample holds; shares are of its values, "no value" left out.

    Attributes:
        position: Its place, from 0.
        name: Its name in the header.
        values: Rows with a value.
        rows: Rows of the sample.
        distinct: Different values.
        number, whole, country, currency: Shares that read as such.
        padded: Share of whole numbers that begin with a zero, which no amount does.
        country_list: The list of codes that reads nearly all values as countries, where they are not
            alpha-2 codes already; see `codes_list` in the contract.
        has_apostrophe: Nearly all values begin with the apostrophe that keeps digits a text in a spreadsheet.
        hs_digits: Shares by number of digits, of values that look like a commodity code.
        hs_has_points: Commodity codes are written with points, as in 0101.21.00.
        headings: Share of those whose first four digits are a heading of the Harmonized System.
        date_format: The format that reads nearly all values, if one does.
        is_instant: Nearly all values are ISO 8601 with an offset from UTC, which takes no format.
        is_ambiguous_date: Day and month could be the other way round.
        month_format: The format that reads nearly all values as months, if one does.
        most_common: Values with their counts, commonest first, where there are not too many.
    """

    position: int
    name: str
    values: int
    rows: int
    distinct: int
    number: float
    whole: float
    country: float
    currency: float
    padded: float
    country_list: str | None
    has_apostrophe: bool
    hs_digits: dict[int, float]
    hs_has_points: bool
    headings: float
    date_format: str | None
    is_instant: bool
    is_ambiguous_date: bool
    month_format: str | None
    most_common: tuple[tuple[str, int], ...]

    @property
    def is_empty(self) -> bool:
        """Whether the sample says nothing of this column."""
        return self.values == 0

    @property
    def is_date(self) -> bool:
        """Whether nearly all values are days or times."""
        return self.is_instant or self.date_format is not None

    @property
    def is_unique(self) -> bool:
        """Whether no value occurs twice and none is missing."""
        return 0 < self.rows == self.values == self.distinct

    @property
    def commodity(self) -> float:
        """Share of values of six to twelve digits, or five to eleven where a leading zero was lost."""
        return sum(share for digits, share in self.hs_digits.items() if digits >= 5)

    @property
    def codes(self) -> tuple[str, ...]:
        """The different values, where there are few enough to be a list of codes."""
        return tuple(value for value, _ in self.most_common)

    @property
    def flags(self) -> dict[str, bool] | None:
        """Each value as true or false, where all of them are known spellings of a flag."""
        known = {
            spelling: flag == "true"
            for flag, spellings in vocabulary()["flags"].items()
            for spelling in spellings
        }
        found = {value: known[fold(value)] for value in self.codes if fold(value) in known}
        return found if found and len(found) == self.distinct else None


def null_spellings(
    connection: duckdb.DuckDBPyConnection, table: str, columns: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the spellings of "no value" that stand in more than a few cells of some column."""
    listed = ", ".join(quote_literal(spelling) for spelling in _NULL_SPELLINGS)
    counts = ", ".join(
        f"histogram(trim(c{position})) filter (trim(c{position}) in ({listed}))"
        for position in range(len(columns))
    )
    row = connection.execute(f"select count(*), {counts} from {quote_identifier(table)}").fetchone()
    if row is None or not row[0]:
        return ("",)
    found = {
        spelling
        for histogram in row[1:]
        for spelling, count in (histogram or {}).items()
        if count >= max(2, _SOME_SHARE * row[0])
    }
    return ("", *(spelling for spelling in _NULL_SPELLINGS if spelling in found))


def number_marks(connection: duckdb.DuckDBPyConnection, table: str, columns: tuple[str, ...]) -> Marks:
    """Return how numbers are written, by counting what can be read in one way only."""
    values = " union all ".join(
        f"select trim(c{position}) as v from {quote_identifier(table)}" for position in range(len(columns))
    )
    comma, point, groups_comma, groups_point, groups_space, groups_quote = _counts(
        connection,
        "select "
        + ", ".join(
            f"count(*) filter (regexp_full_match(v, {quote_literal(pattern)}))"
            for pattern in (
                # Three digits after a mark may be thousands; any other number of them are decimals.
                rf"[+-]?[0-9 .'{_BLANKS}]*[0-9],([0-9]{{1,2}}|[0-9]{{4,6}})",
                rf"[+-]?[0-9 ,'{_BLANKS}]*[0-9]\.([0-9]{{1,2}}|[0-9]{{4,6}})",
                r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?",
                r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?",
                rf"[+-]?[0-9]{{1,3}}([ {_BLANKS}][0-9]{{3}})+([,.][0-9]+)?",
                r"[+-]?[0-9]{1,3}('[0-9]{3})+([,.][0-9]+)?",
            )
        )
        + f" from ({values})",
    )
    decimal = "," if comma > point else "."
    by_mark = {" ": groups_space, "'": groups_quote, ("." if decimal == "," else ","): 0}
    by_mark["." if decimal == "," else ","] = groups_point if decimal == "," else groups_comma
    thousands, count = max(by_mark.items(), key=lambda found: found[1])
    return Marks(decimal, thousands if count else None)


def profile_column(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    position: int,
    name: str,
    null_values: tuple[str, ...],
    marks: Marks,
) -> ColumnProfile:
    """Return what one column of the sample holds."""
    nulls = ", ".join(quote_literal(spelling) for spelling in null_values)
    text = f"trim(c{position}, {_OUTER})"
    relation = (
        f"(select case when {text} in ({nulls}) then null else {text} end as v"
        f" from {quote_identifier(table)})"
    )
    plain = "v"
    if marks.thousands:
        space = f"translate({plain}, '{_BLANKS}', '  ')" if marks.thousands == " " else plain
        plain = f"replace({space}, {quote_literal(marks.thousands)}, '')"
    if marks.decimal == ",":
        plain = f"replace({plain}, ',', '.')"
    countries = ", ".join(quote_literal(code) for code in vocabulary()["countries"].split())
    currencies = ", ".join(quote_literal(code) for code in vocabulary()["currencies"].split())
    rows, values, distinct, number, whole, country, currency, padded, quoted = _counts(
        connection,
        f"""
        select
            count(*), count(v), count(distinct v),
            count(*) filter (regexp_full_match({plain}, '[+-]?[0-9]*\\.?[0-9]+')),
            count(*) filter (regexp_full_match(v, '[+-]?[0-9]+')),
            count(*) filter (v in ({countries})),
            count(*) filter (v in ({currencies})),
            count(*) filter (regexp_full_match(v, '0[0-9]+')),
            count(*) filter (starts_with(v, ''''))
        from {relation}
        """,
    )
    share = (lambda count: count / values) if values else (lambda count: 0.0)
    date_format, is_ambiguous = _date_format(connection, relation, values)
    (pointed,) = _counts(
        connection,
        f"select count(*) filter (regexp_full_match(v, {quote_literal(_POINTED_CODE)})) from {relation}",
    )
    has_points = pointed > _NEARLY_ALL * values > 0
    has_apostrophe = quoted > _NEARLY_ALL * values > 0
    code = "replace(v, '.', '')" if has_points else "ltrim(v, '''')" if has_apostrophe else "v"
    return ColumnProfile(
        position=position,
        name=name,
        values=values,
        rows=rows,
        distinct=distinct,
        number=share(number),
        whole=share(whole),
        country=share(country),
        currency=share(currency),
        padded=share(padded),
        country_list=_country_list(connection, relation, distinct)
        if country < _NEARLY_ALL * values
        else None,
        has_apostrophe=has_apostrophe,
        hs_digits={
            int(digits): share(count)
            for digits, count in connection.execute(
                f"select len(v), count(*) from (select {code} as v from {relation})"
                " where regexp_full_match(v, '[0-9]{5,12}')"
                # Chapters 01 to 99, also where a leading zero was lost.
                " and left(lpad(v, cast(len(v) + len(v) % 2 as INTEGER), '0'), 2) <> '00'"
                " group by all order by all"
            ).fetchall()
        },
        hs_has_points=has_points,
        headings=_headings(connection, relation, code)
        if distinct > 1 and (number or has_apostrophe)
        else 0.0,
        date_format=date_format,
        is_instant=_are_instants(connection, relation, values),
        is_ambiguous_date=is_ambiguous,
        month_format=_month_format(connection, relation, values),
        most_common=tuple(
            (str(value), int(count))
            for value, count in connection.execute(
                f"select v, count(*) as n from {relation} where v is not null"
                f" group by all order by n desc, v limit {_MOST_VALUES}"
            ).fetchall()
        )
        if distinct <= _MOST_VALUES
        else (),
    )


def _country_list(connection: duckdb.DuckDBPyConnection, relation: str, distinct: int) -> str | None:
    """Return the first built-in list that has nearly all different values as countries."""
    if not 1 < distinct <= _MOST_COUNTRIES:
        return None
    values = connection.execute(f"select distinct v from {relation} where v is not null").fetchall()
    for name in _COUNTRY_LISTS:
        listed = listed_codes(name)
        if sum(value in listed for (value,) in values) > _NEARLY_ALL * len(values):
            return name
    return None


def _date_format(
    connection: duckdb.DuckDBPyConnection, relation: str, values: int
) -> tuple[str | None, bool]:
    """Return the first format that reads nearly all values as days since 1980, and if it may be wrong."""
    if not values:
        return None, False
    with_times = [
        f"{day}{between}{time}" for day in DATE_FORMATS for between in (" ", "T") for time in _TIMES
    ]
    formats = _plausible(connection, relation, [*DATE_FORMATS, *with_times])
    counts = _days_read(connection, relation, formats) if formats else ()
    fitting = [form for form, count in zip(formats, counts, strict=True) if count >= _NEARLY_ALL * values]
    if not fitting:
        return None, False
    # The format that reads the most; of equals the first. A year of two digits reads four as well.
    best = max(fitting, key=lambda form: (counts[formats.index(form)], -formats.index(form)))
    other = best.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
    return best, other != best and other in fitting and "/" in best


def _are_instants(connection: duckdb.DuckDBPyConnection, relation: str, values: int) -> bool:
    from tidewaiter.landing.parse import ISO_INSTANT

    shape = quote_literal(ISO_INSTANT)
    (found,) = _counts(connection, f"select count(*) filter (regexp_full_match(v, {shape})) from {relation}")
    return found >= _NEARLY_ALL * values > 0


def _month_format(connection: duckdb.DuckDBPyConnection, relation: str, values: int) -> str | None:
    """Return the format that reads nearly all values as months since 1960, and none else."""
    counts = _counts(
        connection,
        "select "
        + ", ".join(
            f"count(*) filter (regexp_full_match(v, {quote_literal(shape)}))"
            for shape in _MONTH_FORMATS.values()
        )
        + f" from {relation}",
    )
    found = [
        form for form, count in zip(_MONTH_FORMATS, counts, strict=True) if count >= _NEARLY_ALL * values
    ]
    return found[0] if values and found else None


def _headings(connection: duckdb.DuckDBPyConnection, relation: str, code: str) -> float:
    """Return the share of codes whose first four digits are a heading of the Harmonized System."""
    codes = connection.execute(
        "select left(lpad(v, cast(len(v) + len(v) % 2 as INTEGER), '0'), 4) as heading, count(*)"
        f" from (select {code} as v from {relation}) where regexp_full_match(v, '[0-9]{{5,12}}') group by all"
    ).fetchall()
    highest = vocabulary()["highest_heading"]
    total = sum(count for _, count in codes)
    real = sum(count for head, count in codes if 1 <= int(head[2:]) <= highest.get(int(head[:2]), 0))
    return real / total if total else 0.0


def _plausible(connection: duckdb.DuckDBPyConnection, relation: str, formats: list[str]) -> list[str]:
    """Return the formats that read some of a few values: to plan a query of all of them takes seconds."""
    some = connection.execute(
        f"select v from (select v from {relation} where v is not null)"
        f" using sample reservoir({_FEW_VALUES} rows) repeatable (1)"
    ).fetchall()
    return [form for form in formats if any(_reads(form, value) for (value,) in some)]


def _reads(form: str, value: str) -> bool:
    try:
        datetime.strptime(value, form)
    except ValueError:
        return False
    return True


def _days_read(connection: duckdb.DuckDBPyConnection, relation: str, formats: list[str]) -> tuple[int, ...]:
    """Return how many values each format reads as days since 1980."""
    reads = ", ".join(
        f"count(*) filter (year(try_strptime(v, {quote_literal(form)})) between 1980 and 2100)"
        for form in formats
    )
    return _counts(connection, f"select {reads} from {relation}")


def _counts(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = connection.execute(query).fetchone()
    return tuple(int(count) for count in row or ())
