"""Wide records: each block of columns becomes a row, whatever the format of the file is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidewaiter.contracts.formats import Unpivot
from tidewaiter.errors import Problems, closest
from tidewaiter.landing.formats.opening import Opening
from tidewaiter.landing.source import MISSING_COLUMN_NEXT_STEP
from tidewaiter.landing.staged import SOURCE_LINE, Staged, raw_column
from tidewaiter.landing.wide import WideRecords
from tidewaiter.warehouse import quote_literal

if TYPE_CHECKING:
    from tidewaiter.landing.staged import Source

_WHITE_SPACE = " \t\u00a0"


@dataclass(frozen=True)
class UnpivotedSource:
    """One file of wide records; `source_line` counts blocks, see `Unpivot`."""

    opening: Opening
    wide: Source
    unpivot: Unpivot

    def __post_init__(self) -> None:
        from tidewaiter.landing.drift import SchemaDrift

        problems = Problems(SchemaDrift)
        times = Counter(self.wide.header)
        for column in self.unpivot.columns:
            for name in filter(None, self.unpivot.source_columns(column)):
                if times[name] != 1:
                    found = f"appears {times[name]} times" if times[name] else "is missing"
                    problems.add(
                        f"column '{name}' {found}; the contract unpivots it to {column}"
                        + closest(name, self.wide.header),
                        where=self.opening.where,
                        next_step=MISSING_COLUMN_NEXT_STEP,
                    )
        for column in (self.unpivot.name, *self.unpivot.columns):
            if column in times:
                problems.add(
                    f"the file has a column '{column}', as unpivot calls one of its own",
                    where=self.opening.where,
                    expected="names that the file has not",
                    next_step="give it another name under unpivot, and where fields use it",
                )
        problems.raise_if_any()

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of the record, the label of the block, and the columns of the block."""
        return (*self.wide.header, self.unpivot.name, *self.unpivot.columns)

    def stage(self, positions: Sequence[int]) -> Staged:
        """Take the blocks apart; see `Source.stage`."""
        own = len(self.wide.header)
        kept = [place for place in positions if place < own]
        of_blocks = {
            self.wide.header.index(name)
            for column in self.unpivot.columns
            for name in self._names(column)
            if name is not None
        }
        staged = self.wide.stage(sorted({*kept, *of_blocks}))
        columns = "".join(f", {raw_column(place)}" for place in kept)
        columns += "".join(
            f", block.{'label' if place == own else f'v{place - own - 1}'} as {raw_column(place)}"
            for place in positions
            if place >= own
        )
        count = len(self.unpivot.blocks)
        records = self._count(staged.records)
        # Written, because a view would take every record apart each time it is read.
        rows = self.opening.copy(
            f"select ({SOURCE_LINE} - 1) * {count} + block.number as {SOURCE_LINE}{columns}"
            f" from (select *, unnest([{', '.join(self._blocks())}]) as block from {staged.records})"
            f" where {self._holds_something()}",
            "blocks.parquet",
        )
        rejects = self.opening.copy(
            f"select ({SOURCE_LINE} - 1) * {count} + 1 as {SOURCE_LINE}, kind, message from {staged.rejects}",
            "block-rejects.parquet",
        )
        result = self.opening.staged(f"select * from {rows}", f"select * from {rejects}")
        return replace(result, wide=self._accounted(records, rows, rejects))

    def _accounted(self, records: int, rows: str, rejects: str) -> WideRecords:
        """Return what became of every block, so that the receipt can prove it."""
        unreadable = self._count(f"(select distinct {SOURCE_LINE} from {rejects})")
        count = len(self.unpivot.blocks)
        empty = records * count - self._count(rows)
        return WideRecords(records=records + unreadable, unreadable=unreadable, blocks=count, empty=empty)

    def _count(self, relation: str) -> int:
        found = self.opening.execute(f"select count(*) from {relation}").fetchone()
        return int(found[0]) if found else 0

    def _blocks(self) -> list[str]:
        """Return SQL of a struct for each block: number from 1, label, and values."""
        return [
            f"{{'number': {number + 1}, 'label': {quote_literal(label)}"
            + "".join(
                f", 'v{place}': {self._value(self._names(column)[number])}"
                for place, column in enumerate(self.unpivot.columns)
            )
            + "}"
            for number, label in enumerate(self.unpivot.blocks)
        ]

    def _holds_something(self) -> str:
        nothing = ", ".join(quote_literal(spelling) for spelling in self.unpivot.nothing) or "null"
        return " or ".join(
            f"trim(block.v{place}, {quote_literal(_WHITE_SPACE)}) not in ({nothing})"
            for place, column in enumerate(self.unpivot.columns)
            if column in self.unpivot.deciding
        )

    def _names(self, column: str) -> tuple[str | None, ...]:
        return self.unpivot.source_columns(column)

    def _value(self, name: str | None) -> str:
        return "cast(null as VARCHAR)" if name is None else raw_column(self.wide.header.index(name))
