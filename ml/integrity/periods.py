"""When an indicator looks, and how far back: the ends of calendar months or quarters.

Whatever is looked at again is tested again, so the level is spent over the looks of a term, see
`ml.integrity.multiplicity`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Every = Literal["month", "quarter", "year"]
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
# Offices close on holidays: a month is over when its last days have been seen, give or take these.
_QUIET_DAYS = 3


@dataclass(frozen=True, order=True)
class Period:
    """Days that a test looks at, both included; whole calendar months."""

    start: date
    end: date

    @property
    def label(self) -> str:
        """Name of the period in files."""
        return f"{self.start:%Y-%m}_{self.end:%Y-%m}"


def month_start(day: date) -> date:
    """Return the first day of the month."""
    return day.replace(day=1)


def plus_months(first: date, months: int) -> date:
    """Return the first day of the month that lies so many months later."""
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def looks(
    first_day: date, last_day: date, every: Every, window_months: int, history_months: int = 1
) -> list[Period]:
    """Return the periods whose ends lie within the data, the earliest first.

    Args:
        first_day: First day that the member's data has; periods are cut there at the month's begin.
        last_day: Last day that it has; a month that is not over is not looked at.
        every: How often: at the end of each calendar month, quarter or year.
        window_months: How far back each look goes.
        history_months: A look whose period has fewer months, whole or begun, is left out.
    """
    begin, step = month_start(first_day), _MONTHS[every]
    found = []
    following = plus_months(begin, 1)
    while (end := following - timedelta(days=1)) <= last_day + timedelta(days=_QUIET_DAYS):
        has_history = plus_months(begin, history_months) <= following
        if (following.month - 1) % step == 0 and has_history:
            found.append(Period(max(begin, plus_months(following, -window_months)), end))
        following = plus_months(following, 1)
    return found
