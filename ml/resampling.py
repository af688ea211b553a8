"""Which items a resampled world holds: whole weeks, drawn with replacement, member by member.

Items of one week share officers, targets and prices, so single items are not independent draws and an
interval from resampling items would be too narrow. Blocks of a week keep that dependence (block
bootstrap: Künsch 1989; blocks of dated declarations as in Kim et al., IEEE TKDE 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data import Floats

REPLICATES = 200
CONFIDENCE = 0.95
# With fewer blocks the drawn worlds are too alike to say anything about the next week.
MINIMUM_BLOCKS = 5


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval; bounds are NaN where too few weeks or replicates define it."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def as_list(self) -> list[float | None]:
        """Return value, low, high for JSON, null where not defined."""
        return [number if np.isfinite(number) else None for number in (self.value, self.low, self.high)]

    def as_text(self, digits: int = 3) -> str:
        """Return the figure with its interval, as tables say it."""
        if not np.isfinite(self.value):
            return ""
        if not np.isfinite(self.low):
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"

    @classmethod
    def from_list(cls, stored: list[float | None]) -> Interval:
        """Rebuild an interval from its JSON form."""
        return cls(*(float("nan") if number is None else number for number in stored))


@dataclass(frozen=True)
class Blocks:
    """How often each block of items occurs in the world as it is and in every resampled one.

    Attributes:
        index: Block of each item.
        counts: One row per world, one column per block; the first row is the world as it is.
    """

    index: NDArray[np.int64]
    counts: Floats

    @property
    def worlds(self) -> int:
        """The world as it is and the resampled ones."""
        return len(self.counts)

    def take(self, mask: NDArray[np.bool_]) -> Blocks:
        """Return the blocks of some of the items: the same worlds, seen through fewer items."""
        return Blocks(self.index[mask], self.counts)

    def sums(self, values: Floats) -> Floats:
        """Return, per world, the sum of a value over items."""
        by_block = np.bincount(self.index, weights=values, minlength=self.counts.shape[1])
        return np.asarray(self.counts @ by_block)


def week_blocks(
    day: NDArray[np.datetime64], member: NDArray[np.object_], seed: int, replicates: int = REPLICATES
) -> Blocks:
    """Cut items into member-weeks and draw worlds; every member keeps its number of weeks."""
    week = (day.astype("datetime64[D]").astype(np.int64) + 3) // 7  # Monday to Sunday
    _, member_index = np.unique(member, return_inverse=True)
    keys, index = np.unique(np.stack([member_index, week]), axis=1, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = np.ones((replicates + 1, keys.shape[1]))
    for one in np.unique(keys[0]):
        own = np.flatnonzero(keys[0] == one)
        counts[1:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=replicates)
    if keys.shape[1] < MINIMUM_BLOCKS:
        counts = counts[:1]
    return Blocks(np.asarray(index, dtype=np.int64).reshape(-1), counts)


def single_world(n: int) -> Blocks:
    """Return the world as it is and no other: figures without intervals."""
    return Blocks(np.zeros(n, dtype=np.int64), np.ones((1, 1)))


def interval_of(worlds: Floats) -> Interval:
    """Return the first world's figure with the percentile interval of the others.

    Worlds in which a figure is not defined (no irregular item was drawn) are left out; where that is
    more than one in ten, there is no interval.
    """
    value, drawn = float(worlds[0]), worlds[1:]
    defined = drawn[np.isfinite(drawn)]
    if not len(drawn) or len(defined) < 0.9 * len(drawn) or not np.isfinite(value):
        return Interval(value)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(value, float(low), float(high))
