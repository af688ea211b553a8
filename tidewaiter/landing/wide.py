"""Wide records, whose blocks are the rows: how many there are of what, so that none goes missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class WideRecords:
    """What became of the blocks of wide records, before rows of erased subjects were taken out.

    Each record that could be read has `blocks` blocks, and each of them is a row or is empty:
    `(records - unreadable) * blocks = rows + empty`. A record that could not be read is one row.

    Attributes:
        records: Records of the source.
        unreadable: Those among them that could not be split into columns.
        blocks: Blocks of each.
        empty: Blocks that hold nothing and are no row.
    """

    records: int
    unreadable: int
    blocks: int
    empty: int

    @property
    def rows(self) -> int:
        """Rows that there must be, whether landed or quarantined."""
        return (self.records - self.unreadable) * self.blocks - self.empty + self.unreadable

    def line(self, source_line: int) -> int:
        """Return the record that a row comes from: in a text of lines, its line."""
        return (source_line - 1) // self.blocks + 1

    def whole(self, source_lines: Iterable[int]) -> set[int]:
        """Return the places of all blocks of the records that these rows come from."""
        records = {self.line(one) for one in source_lines}
        return {
            (record - 1) * self.blocks + block for record in records for block in range(1, self.blocks + 1)
        }
