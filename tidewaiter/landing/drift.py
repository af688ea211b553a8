"""Schema drift: the columns of a file against those that its contract maps, before anything lands.

A column that is mapped and missing stops the extract. A column that the contract does not know stops
nothing; it is worth a look, because it may be a missing one under another name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tidewaiter.contracts import Contract, Extract
from tidewaiter.contracts.propose import similarity
from tidewaiter.errors import GateRefused
from tidewaiter.landing.expressions import parse_expression
from tidewaiter.warehouse import open_duckdb

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings

_ALIKE = 0.6


class SchemaDrift(GateRefused):
    """A column that the contract maps is missing or ambiguous: the extract is not landed (exit 3)."""


@dataclass(frozen=True)
class MissingColumn:
    """A mapped column that the file does not have.

    Attributes:
        columns: The names it may have.
        fields: Canonical fields that need it.
        is_optional: Whether all of them do without it.
        may_be: Columns of the file that the contract does not use and that are called alike, best first.
    """

    columns: tuple[str, ...]
    fields: tuple[str, ...]
    is_optional: bool
    may_be: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """How the columns of a file differ from the contract.

    Attributes:
        header: Columns of the file.
        missing: Mapped columns that it does not have.
        added: Columns that the contract does not use.
    """

    header: tuple[str, ...]
    missing: tuple[MissingColumn, ...]
    added: tuple[str, ...]

    @property
    def stops(self) -> tuple[MissingColumn, ...]:
        """The missing columns without which nothing lands."""
        return tuple(column for column in self.missing if not column.is_optional)


def read_header(path: Path, extract: Extract, contract: Contract, settings: Settings) -> tuple[str, ...]:
    """Return the names of a file's columns under the extract's format; the file is only read.

    Raises:
        TidewaiterError: The file does not read as the contract says.
    """
    from tidewaiter.landing.formats import is_read_in_pieces, open_format
    from tidewaiter.landing.text import prepare_text

    where = f"member {contract.member}, file {path.name}"
    with TemporaryDirectory(prefix="tidewaiter-header-") as folder, open_duckdb(settings) as connection:
        if is_read_in_pieces(extract.format):
            return prepare_text(path.resolve(), extract.format, Path(folder), where).header
        wanted = tuple(name for names in _wanted(connection, extract, contract).values() for name in names)
        return open_format(connection, path, extract.format, Path(folder), where, wanted, settings).header


def compare_columns(
    header: tuple[str, ...], extract: Extract, contract: Contract, settings: Settings
) -> Drift:
    """Compare the columns of a file with those that the contract maps."""
    with open_duckdb(settings) as connection:
        wanted = _wanted(connection, extract, contract)
    present = set(header)
    used = {name for names in wanted.values() for name in names} | _of_blocks(extract)
    added = tuple(name for name in header if name not in used)
    absent = [names for names in wanted.values() if not present.intersection(names)]
    missing = []
    for names in dict.fromkeys(absent):
        fields = tuple(place[0] for place, candidates in wanted.items() if candidates == names)
        optional = all(extract.fields[field].optional for field in fields)
        missing.append(MissingColumn(names, fields, optional, _alike(names, added)))
    return Drift(header, tuple(missing), added)


def without_missing(extract: Extract, drift: Drift) -> Extract:
    """Return the extract without the fields that the file cannot fill, for trying the others."""
    gone = {field for column in drift.missing for field in column.fields}
    fields = {name: mapping for name, mapping in extract.fields.items() if name not in gone}
    return extract.model_copy(update={"fields": fields})


def mapped_columns(
    connection: duckdb.DuckDBPyConnection, extract: Extract, contract: Contract
) -> dict[str, tuple[str, ...]]:
    """Return for each mapped field the source columns that it names; several names of one are all there."""
    return {
        field: parse_expression(connection, mapping.expression, contract.parameters).columns
        if mapping.expression is not None
        else mapping.candidates
        for field, mapping in extract.fields.items()
    }


def _wanted(
    connection: duckdb.DuckDBPyConnection, extract: Extract, contract: Contract
) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the names that each use of a column may find: field and number of the use to names."""
    wanted: dict[tuple[str, int], tuple[str, ...]] = {}
    for field, names in mapped_columns(connection, extract, contract).items():
        if extract.fields[field].expression is not None:
            wanted |= {(field, number): (name,) for number, name in enumerate(names)}
        elif names:
            wanted[field, 0] = names
    return wanted


def _of_blocks(extract: Extract) -> set[str | None]:
    """Return the columns of the file that become rows, and those that the rows have of them."""
    unpivot = extract.format.unpivot
    if unpivot is None:
        return set()
    return {unpivot.name, *(name for own in unpivot.columns for name in (own, *unpivot.source_columns(own)))}


def _alike(names: Iterable[str], added: Iterable[str]) -> tuple[str, ...]:
    scores = {other: max(similarity(name, other) for name in names) for other in added}
    return tuple(sorted((name for name in scores if scores[name] >= _ALIKE), key=lambda name: -scores[name]))
