"""The proposal: one entry for each kind of sample, with the guesses for its fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from tidewaiter.canonical import DATASETS, Dataset, DatasetName, load_dataset
from tidewaiter.contracts.propose.apart import with_headers_apart
from tidewaiter.contracts.propose.content import null_spellings, number_marks, profile_column
from tidewaiter.contracts.propose.match import Guess, guess_fields, in_order
from tidewaiter.contracts.propose.nameless import counted_item, has_made_up_names, nameless_guesses
from tidewaiter.contracts.propose.sniff import Sample, read_samples
from tidewaiter.warehouse import open_duckdb, quote_identifier

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings

_NUMBERS = re.compile(r"\d+(?:[-_.]?\d+)*")
_GLOB = re.compile(r"([\[\]*?])")
_LEAST_SHARE = 0.5
_MOST_KEY_COLUMNS = 5


@dataclass(frozen=True)
class ProposedExtract:
    """One entry of `extracts`, as far as it could be guessed.

    Attributes:
        dataset: Canonical table that the columns fit best.
        samples: Names of the samples it was guessed from.
        files: Patterns that the samples' names suggest.
        members: Patterns for the names of the files in an archive; empty where it needs none.
        header: Whether items have their header's values, or headers come apart; see the contract.
        unique_columns: Columns of which each row of the sample has another value.
        key_columns: The first columns, as many as it takes to tell each row of the sample from the others.
        format: The contract's `format`.
        null_values: Spellings of "no value" that the sample has.
        columns: Columns of the sample, in order.
        guesses: Canonical field to its guess, in canonical order.
        notes: What to look at again.
    """

    dataset: DatasetName
    samples: tuple[str, ...]
    files: tuple[str, ...]
    format: dict[str, Any]
    null_values: tuple[str, ...]
    columns: tuple[str, ...]
    guesses: dict[str, Guess]
    notes: tuple[str, ...]
    members: tuple[str, ...] = ()
    header: Literal["on_items", "apart"] = "on_items"
    unique_columns: tuple[str, ...] = ()
    key_columns: tuple[str, ...] = ()

    @property
    def mapped(self) -> dict[str, Guess]:
        """The guesses that can stand as they are."""
        return {name: guess for name, guess in self.guesses.items() if not guess.open_question}

    @property
    def unmapped(self) -> list[str]:
        """Fields that a contract may map and this one does not, in canonical order."""
        fields = load_dataset(self.dataset).fields
        return [field.name for field in fields if not field.set_by_landing and field.name not in self.mapped]

    @property
    def to_fill_in(self) -> list[str]:
        """Fields without which the contract does not load."""
        dataset = load_dataset(self.dataset)
        return [
            name
            for name in required_fields(dataset)
            if name not in self.mapped
            and not (self.header == "apart" and dataset.field(name).may_come_with_header)
        ]

    @property
    def unused_columns(self) -> list[str]:
        """Columns of the sample that feed no field."""
        used = {column for guess in self.guesses.values() for column in guess.columns}
        return [column for column in self.columns if column not in used]


@dataclass(frozen=True)
class Proposal:
    """A contract as it may be."""

    member: str
    name: str
    time_zone: str | None
    extracts: tuple[ProposedExtract, ...]


def propose(
    member: str, samples: Sequence[Path], settings: Settings, *, name: str = "", time_zone: str | None = None
) -> Proposal:
    """Guess a contract from samples; samples with the same columns make one entry.

    Args:
        member: ISO 3166-1 alpha-2 code.
        samples: Files as the member sends them.
        settings: For the connection.
        name: Name of the administration; the code where it is not given.
        time_zone: Zone of the source's times; UTC, marked as open, where it is not given.

    Raises:
        UsageProblem: A sample cannot be read.
    """
    entries: dict[tuple[Any, ...], ProposedExtract] = {}
    with open_duckdb(settings) as connection:
        for number, path in enumerate(samples):
            with read_samples(path, connection, f"sample_{number}", settings, member) as found:
                proposed = [_propose_extract(connection, sample) for sample in found]
            for entry in proposed:
                kind = (entry.dataset, entry.columns, entry.format["kind"])
                if known := entries.get(kind):
                    entry = replace(
                        known,
                        samples=tuple(dict.fromkeys((*known.samples, *entry.samples))),
                        files=tuple(dict.fromkeys((*known.files, *entry.files))),
                        members=tuple(dict.fromkeys((*known.members, *entry.members))),
                    )
                entries[kind] = entry
    extracts = with_headers_apart(tuple(entries.values()))
    return Proposal(member, name or f"Member {member}", time_zone, extracts)


def required_fields(dataset: Dataset) -> list[str]:
    """Return the fields that every contract for the dataset must map."""
    return [
        field.name
        for field in dataset.fields
        if not field.nullable and field.default is None and not field.set_by_landing
    ]


def _propose_extract(connection: duckdb.DuckDBPyConnection, sample: Sample) -> ProposedExtract:
    null_values = null_spellings(connection, sample.table, sample.columns)
    marks = number_marks(connection, sample.table, sample.columns)
    columns = [
        profile_column(connection, sample.table, position, name, null_values, marks)
        for position, name in enumerate(sample.columns)
    ]
    guesses = {name: guess_fields(load_dataset(name), columns) for name in DATASETS}
    # A header has no commodity; whatever has one is an item with its header's values repeated. Sums have
    # no numbers of items.
    excluded = {"declarations"} if "hs6" in guesses["declaration_items"] else set()
    if (item := guesses["declaration_items"].get("item_no")) is not None and item.columns:
        excluded.add("aggregate_flows")
    fitting = [name for name in DATASETS if name not in excluded]
    dataset = max(fitting, key=lambda name: _completeness(load_dataset(name), guesses[name]))
    if dataset == "declaration_items" and has_made_up_names(sample.columns):
        more = nameless_guesses(connection, sample.table, columns, marks, guesses[dataset])
        guesses[dataset] = in_order(dataset, guesses[dataset] | more)
    if dataset == "declaration_items":
        counted = counted_item(connection, sample.table, columns, guesses[dataset])
        if counted is not None:
            guesses[dataset] = in_order(dataset, guesses[dataset] | {"item_no": counted})
    text_format = dict(sample.format)
    if marks.decimal != ".":
        text_format["decimal_mark"] = marks.decimal
    if marks.thousands:
        text_format["thousands_mark"] = marks.thousands
    return ProposedExtract(
        dataset=dataset,
        samples=(sample.path.name,),
        files=(_pattern(sample.path.name),),
        format=text_format,
        null_values=null_values,
        columns=sample.columns,
        guesses=guesses[dataset],
        notes=sample.notes,
        members=(_pattern(PurePosixPath(sample.name_in_archive).name),) if sample.name_in_archive else (),
        unique_columns=tuple(column.name for column in columns if column.is_unique),
        key_columns=_key_columns(connection, sample),
    )


def _key_columns(connection: duckdb.DuckDBPyConnection, sample: Sample) -> tuple[str, ...]:
    """Return the fewest first columns that together are different on each row; none where many do not do."""
    for size in range(1, min(_MOST_KEY_COLUMNS, len(sample.columns)) + 1):
        key = ", ".join(f"c{position}" for position in range(size))
        row = connection.execute(
            f"select count(*), count(distinct ({key})) from {quote_identifier(sample.table)}"
        ).fetchone()
        if row and 1 < row[0] == row[1]:
            return sample.columns[:size]
    return ()


def _completeness(dataset: Dataset, guesses: dict[str, Guess]) -> tuple[float, int]:
    """Share of the required fields that were guessed; of equals, the dataset with more fields guessed.

    Less than half is no share: one currency makes a third of a table of exchange rates.
    """
    required = required_fields(dataset)
    share = sum(name in guesses for name in required) / len(required)
    return (share if share >= _LEAST_SHARE else 0.0), len(guesses)


def _pattern(file_name: str) -> str:
    """Return a pattern for a name: what is a number may be another one."""
    escaped = _GLOB.sub(r"[\1]", file_name)
    stem, dot, suffix = escaped.rpartition(".")
    return f"{_NUMBERS.sub('*', stem)}{dot}{suffix}" if dot else _NUMBERS.sub("*", escaped)
