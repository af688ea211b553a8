"""What a dialect is, and SQL that spells values: dates, numbers, codes, identifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pycountry

from tidewaiter.synthetic.forms import Form, ParquetRows, Workbook

Source = Literal["items", "headers", "events", "roster", "tariff", "rates", "flows", "mirror"]

RAGGED_SHORT, RAGGED_LONG = "ragged_short", "ragged_long"
NET_ABOVE_GROSS = "net_above_gross"


@dataclass(frozen=True)
class Fault:
    """A wrong spelling, as bad transfers and bad entry masks leave it.

    Attributes:
        kind: What is wrong.
        field: Canonical field that cannot be read; empty where the whole line is broken.
        column: Header that carries it.
        text: What is written; None for nothing.
    """

    kind: str
    field: str = ""
    column: str = ""
    text: str | None = None


@dataclass(frozen=True)
class FileKind:
    """One kind of file that a member sends.

    Attributes:
        source: Table that it is written from.
        columns: Header to SQL over the source's columns; the SQL yields text.
        form: How it reads.
        name: From the first and last month of a file (`YYYY-MM`) to its name.
        is_split: Whether there is a file for every `months_per_file` months; else one for the period.
        faults: What is planted in it.
        gross_column: Header of the gross mass, for the fault that puts net above it.
        rows: SQL over the source's rows, called `drawn`, that yields the rows to write, in their order.
        renamed: Header to its name from the middle of the first year on.
        key_columns: Headers of declaration number and item number, for the ledger.
    """

    source: Source
    columns: Mapping[str, str]
    form: Form | ParquetRows | Workbook
    name: Callable[[str, str], str]
    is_split: bool = False
    faults: tuple[Fault, ...] = ()
    gross_column: str = ""
    rows: str = "select * from drawn"
    renamed: Mapping[str, str] = field(default_factory=dict)
    key_columns: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Dialect:
    """How one member's customs system spells its rows.

    Attributes:
        declaration_id: SQL over `year`, `serial`, `office_code`.
        identifiers: Kind of entity to SQL over its number, written as `{}`.
        files: Everything it sends.
    """

    declaration_id: str
    identifiers: Mapping[str, str]
    files: tuple[FileKind, ...]

    def files_of(self, *sources: Source) -> tuple[FileKind, ...]:
        """Return the kinds of file that are written from these tables."""
        return tuple(kind for kind in self.files if kind.source in sources)

    def entity(self, kind: str, column: str) -> str:
        """Return SQL that spells the entity whose number stands in a column."""
        return spelt(self.identifiers, kind, column)


def spelt(identifiers: Mapping[str, str], kind: str, column: str) -> str:
    """Return SQL that spells the entity whose number stands in a column."""
    return identifiers[kind].format(column)


def whole(name: str) -> Callable[[str, str], str]:
    """Return the naming of a kind of which there is one file."""
    return lambda first, last: name


def time(column: str, pattern: str) -> str:
    """Spell an instant."""
    return f"strftime(make_timestamp({column} * 1000000), '{pattern}')"


def day(column: str, pattern: str) -> str:
    """Spell a date."""
    return f"strftime({column}, '{pattern}')"


def plain(column: str, decimals: int) -> str:
    """Spell a number with a decimal point."""
    return f"format('{{:.{decimals}f}}', {column})"


def french(column: str, decimals: int) -> str:
    """Spell a number with a decimal comma and blanks between thousands."""
    return f"translate(format('{{:,.{decimals}f}}', {column}), ',.', ' ,')"


def code(column: str, spellings: Mapping[str, str]) -> str:
    """Spell a code; what has no spelling becomes null."""
    branches = " ".join(f"when '{canonical}' then '{text}'" for canonical, text in spellings.items())
    return f"case cast({column} as varchar) {branches} end"


def flag(column: str, yes: str, no: str) -> str:
    """Spell a truth value; unknown stays null."""
    return f"case when {column} then '{yes}' when not {column} then '{no}' end"


def numbered(prefix: str, digits: int, multiplier: int = 1, shift: int = 0) -> str:
    """Return the spelling of an entity: a prefix and its number in at least so many digits."""
    # A null number gives null: format would take it for text.
    return (
        f"'{prefix}' || case when {{0}} is not null"
        f" then format('{{{{:0{digits}d}}}}', {{0}} * {multiplier} + {shift}) end"
    )


def iso_codes(attribute: str) -> dict[str, str]:
    """Return ISO 3166-1 alpha-2 codes with the code of another kind, numbers without leading zeros."""
    return {country.alpha_2: getattr(country, attribute).lstrip("0") for country in pycountry.countries}


text = "cast({} as varchar)".format
DOCUMENT = "format('{:09d}', document)"
CONTAINER = (
    "cast(container_owner as varchar) || case when container_serial is not null then"
    " format('{:06d}', container_serial) || cast(container_check as varchar) end"
)
