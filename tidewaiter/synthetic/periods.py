"""The period cut into chunks that fit in memory: months, or parts of busy ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tidewaiter.synthetic.profiles import Request

_MOST_ITEMS = 250_000
_HOLIDAY_RUSH = 1.4
_WEEKDAYS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.35, 0.08])  # Monday first, assumed


@dataclass(frozen=True)
class Chunk:
    """Consecutive days that are drawn together.

    Attributes:
        number: From 0.
        days: Days since 1970-01-01.
        weights: How much is registered on each day, summing to one.
        items: Goods lines first registered in it.
        month: Month of the period, from 0.
    """

    number: int
    days: np.ndarray
    weights: np.ndarray
    items: int
    month: int

    @property
    def end_s(self) -> int:
        """First instant after the chunk, in local seconds."""
        return int(self.days[-1] + 1) * 86_400


def cut(request: Request) -> list[Chunk]:
    """Cut the period; the chunks' items add up to the request's."""
    days = np.arange(request.first_day, request.end_day)
    weights = day_weights(days)
    months = (days.astype("datetime64[M]") - request.first_day.astype("datetime64[M]")).astype(np.int64)
    expected = np.bincount(months, weights) / weights.sum() * request.items
    parts = np.maximum(1, np.ceil(expected / _MOST_ITEMS)).astype(np.int64)
    of_month = np.arange(days.size) - np.searchsorted(months, months)
    sizes = np.bincount(months)
    part = of_month * parts[months] // sizes[months]
    label = months * (parts.max() + 1) + part
    bounds = np.flatnonzero(np.diff(label, prepend=-1, append=-2))
    shares = np.add.reduceat(weights, bounds[:-1]) / weights.sum()
    items = request.stream("chunks").multinomial(request.items, shares)
    return [
        Chunk(
            number=number,
            days=days[low:high].astype(np.int64),
            weights=weights[low:high] / weights[low:high].sum(),
            items=int(items[number]),
            month=int(months[low]),
        )
        for number, (low, high) in enumerate(pairwise(bounds))
    ]


def day_weights(days: np.ndarray) -> np.ndarray:
    """Return how busy each day is: a yearly wave, a rush before the holidays, weekdays."""
    of_year = (days - days.astype("datetime64[Y]")).astype(np.int64)
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    weight: np.ndarray = 1 + 0.2 * np.sin(2 * np.pi * of_year / 365.25)
    weight *= np.where((of_year >= 334) & (of_year < 358), _HOLIDAY_RUSH, 1.0)
    weight *= _WEEKDAYS[weekday]
    return weight
