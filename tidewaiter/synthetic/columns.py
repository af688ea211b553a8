"""Tables as bundles of equally long NumPy columns: taking rows and joining, without a loop over rows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

NOBODY = -1


@dataclass(frozen=True)
class Columns:
    """A dataclass whose fields are all columns of one table."""

    def __len__(self) -> int:
        """Return the number of rows."""
        first: np.ndarray = getattr(self, fields(self)[0].name)
        return int(first.size)

    def take(self, rows: np.ndarray) -> Self:
        """Return the rows with these numbers, or where this mask is true, in that order."""
        taken: dict[str, Any] = {entry.name: getattr(self, entry.name)[rows] for entry in fields(self)}
        return replace(self, **taken)

    @classmethod
    def joined(cls, first: Self, *others: Self) -> Self:
        """Return the rows of several tables one after the other."""
        if not others:
            return first
        tables = (first, *others)
        return replace(
            first,
            **{
                entry.name: np.concatenate([getattr(table, entry.name) for table in tables])
                for entry in fields(cls)
            },
        )


def spread(sizes: np.ndarray) -> np.ndarray:
    """Return the group of each member of groups of these sizes: 0, 0, 1, 2, 2, 2 for 2, 1, 3."""
    return np.repeat(np.arange(sizes.size), sizes)


def members_of(groups: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the places of the members of these groups, where groups of these sizes stand in a row."""
    starts = np.cumsum(sizes) - sizes
    chosen = sizes[groups]
    within = np.arange(int(chosen.sum())) - np.repeat(np.cumsum(chosen) - chosen, chosen)
    places: np.ndarray = np.repeat(starts[groups], chosen) + within
    return places
