"""The member's officers: inspectors, their tenure, teams and rosters, and supervisors.

The roster is what tests of random assignment condition on: who could have been given a file. It is
drawn for some weeks beyond the period, because files registered at its end are handled later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.columns import NOBODY
from tidewaiter.synthetic.profiles import Generator, Request

SHIFTS = ("DAY", "LATE", "NIGHT")
TEAMS = ("GEN", "VEH")
GENERAL, VEHICLES = range(2)
SUPERVISORS_PER_OFFICE = 2
OFF = -1
LONGEST_WAIT_S = 4 * 3600  # from the lane to the assignment, while the office is open
_ROUND_THE_CLOCK_STARTS_H = np.array([6, 14, 22])
_ROUND_THE_CLOCK_HOURS = 8
_DAY_STARTS_H, _DAY_HOURS = 7, 12
# Six crews take turns by the week: three on days, two on late shifts, one at night (assumed).
_TURNS = np.array([0, 0, 0, 1, 1, 2])
_LEAVE_SHARE = 0.05
_TURNOVER_SHARE = 0.10
_DAYS_BEYOND = 120
_DAYS_BEFORE = 1


@dataclass(frozen=True)
class Officers:
    """Inspectors, numbered from 0 office by office, and who is on duty when.

    Attributes:
        office, team: Of each inspector.
        shift: Shift by inspector and day, or `OFF`.
        first_day: Day of the first column of `shift`, since 1970-01-01.
        is_round_the_clock: By office.
        on_duty: Inspectors in order of office, team, day, shift: the roster.
        starts, counts: Where in `on_duty` each combination stands and how many it has.
        next_day: By inspector and day, the first later day on duty, or the last day of all.
    """

    office: np.ndarray
    team: np.ndarray
    shift: np.ndarray
    first_day: int
    is_round_the_clock: np.ndarray
    on_duty: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    next_day: np.ndarray

    @property
    def days(self) -> int:
        """How many days the roster has."""
        return int(self.shift.shape[1])

    def stratum(self, office: np.ndarray, team: np.ndarray, day: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Return the number of the roster stratum; days since 1970-01-01."""
        place = np.clip(day - self.first_day, 0, self.days - 1)
        stratum: np.ndarray = ((office * len(TEAMS) + team) * self.days + place) * len(SHIFTS) + shift
        return stratum

    def pick(self, stratum: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Return an inspector of each stratum, each with the same probability."""
        chosen: np.ndarray = self.on_duty[
            self.starts[stratum] + (uniform * self.counts[stratum]).astype(np.int64)
        ]
        return chosen

    def is_on(self, inspector: np.ndarray, day: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Return whether each inspector is on duty then."""
        place = np.clip(day - self.first_day, 0, self.days - 1)
        on: np.ndarray = self.shift[inspector, place] == shift
        return on

    def shift_at(self, office: np.ndarray, local_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return duty day and shift of each instant at offices that are open then."""
        day, hour = local_s // 86_400, local_s % 86_400 // 3600
        is_clock = self.is_round_the_clock[office]
        by_clock = np.select([hour < 6, hour < 14, hour < 22], [2, 0, 1], 2)
        # After midnight the night shift is still the one that began on the day before.
        duty_day = np.where(is_clock & (hour < 6), day - 1, day)
        return duty_day, np.where(is_clock, by_clock, 0)

    def opened(self, office: np.ndarray, local_s: np.ndarray) -> np.ndarray:
        """Return each instant, moved to the next opening where the office is closed."""
        day, second = local_s // 86_400, local_s % 86_400
        opens, closes = _DAY_STARTS_H * 3600, (_DAY_STARTS_H + _DAY_HOURS) * 3600
        # Those who waited are seen to within the first hour, in their order.
        early = day * 86_400 + opens + second * 3600 // opens
        late = (day + 1) * 86_400 + opens + (second - closes) * 3600 // (86_400 - closes)
        moved = np.select([second < opens, second >= closes], [early, late], local_s)
        opened: np.ndarray = np.where(self.is_round_the_clock[office], local_s, moved)
        return opened

    def bounds_s(
        self, office: np.ndarray, day: np.ndarray, shift: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the instants at which shifts begin and end."""
        is_clock = self.is_round_the_clock[office]
        hour = np.where(is_clock, _ROUND_THE_CLOCK_STARTS_H[shift], _DAY_STARTS_H)
        begins = day * 86_400 + hour * 3600
        return begins, begins + np.where(is_clock, _ROUND_THE_CLOCK_HOURS, _DAY_HOURS) * 3600

    def steerable(self, inspector: int, days: np.ndarray) -> np.ndarray:
        """Return by day how much likelier than the draw a file lodged for him reaches the inspector.

        It is one minus his share of the draw on days on which he serves a day or late shift, else zero.
        """
        place = days - self.first_day
        shift = self.shift[inspector, place]
        office, team = self.office[inspector], self.team[inspector]
        colleagues = self.counts[self.stratum(office, team, days, np.maximum(shift, 0))]
        is_steerable = (shift == SHIFTS.index("DAY")) | (shift == SHIFTS.index("LATE"))
        gain: np.ndarray = np.where(is_steerable, 1 - 1 / np.maximum(colleagues, 1), 0.0)
        return gain


def draw_officers(request: Request) -> Officers:
    """Draw inspectors and rosters."""
    random = request.stream("officers")
    sizes = np.array(request.inspectors)
    office = np.repeat(np.arange(sizes.size), sizes)
    rank = np.concatenate([np.arange(size) for size in sizes])
    is_round_the_clock = np.array([one.is_round_the_clock for one in request.profile.offices])
    desk = request.plan.decoys.Z1
    at_desk = (office == 0) & (rank < min(desk.inspectors, sizes[0] // 3)) if desk else office < 0
    first_day = int(request.first_day.astype(np.int64)) - _DAYS_BEFORE
    days = int(request.end_day.astype(np.int64)) - first_day + _DAYS_BEYOND
    shift = _shifts(random, office, rank, is_round_the_clock, at_desk, first_day, days)
    team = np.where(at_desk, VEHICLES, GENERAL)
    _relieve(random, shift, office, team, is_round_the_clock)
    strata = sizes.size * len(TEAMS) * days * len(SHIFTS)
    inspector, place = np.nonzero(shift != OFF)
    key = ((office[inspector] * len(TEAMS) + team[inspector]) * days + place) * len(SHIFTS)
    key += shift[inspector, place]
    counts = np.bincount(key, minlength=strata)
    return Officers(
        office=office,
        team=team,
        shift=shift,
        first_day=first_day,
        is_round_the_clock=is_round_the_clock,
        on_duty=inspector[np.argsort(key, kind="stable")],
        starts=np.cumsum(counts) - counts,
        counts=counts,
        next_day=_next_days(shift),
    )


def _shifts(
    random: Generator,
    office: np.ndarray,
    rank: np.ndarray,
    is_round_the_clock: np.ndarray,
    at_desk: np.ndarray,
    first_day: int,
    days: int,
) -> np.ndarray:
    """Turns by the week, two days off in seven, leave, and tenure."""
    day = first_day + np.arange(days)
    crew, within = rank % _TURNS.size, rank // _TURNS.size
    turn = _TURNS[(crew[:, None] + (day + 3)[None, :] // 7) % _TURNS.size]
    has_turns = is_round_the_clock[office] & ~at_desk
    shift = np.where(has_turns[:, None], turn, 0)
    # Members of a crew have different days off, so that no shift stands empty.
    off = np.where(has_turns, 2 * within, 2 * rank)
    weekday = (day[None, :] + 3 + off[:, None]) % 7
    is_off = weekday < 2
    is_off |= random.random(shift.shape) < _LEAVE_SHARE
    enters, leaves = _tenures(random, office.size, days)
    is_off |= (np.arange(days)[None, :] < enters[:, None]) | (np.arange(days)[None, :] >= leaves[:, None])
    return np.where(is_off, OFF, shift)


def _tenures(random: Generator, size: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Most serve throughout; some enter or leave within the period."""
    joins = random.random(size) < _TURNOVER_SHARE
    quits = ~joins & (random.random(size) < _TURNOVER_SHARE)
    within = random.integers(0, days, size)
    return np.where(joins, within // 2, 0), np.where(quits, days // 2 + within // 2, days)


def _relieve(
    random: Generator,
    shift: np.ndarray,
    office: np.ndarray,
    team: np.ndarray,
    is_round_the_clock: np.ndarray,
) -> None:
    """Call somebody who is off to every general shift that stands empty."""
    for one in range(is_round_the_clock.size):
        staff = np.flatnonzero((office == one) & (team == GENERAL))
        for turn in range(len(SHIFTS) if is_round_the_clock[one] else 1):
            for day in np.flatnonzero((shift[staff] == turn).sum(axis=0) == 0):
                free = staff[shift[staff, day] == OFF]
                # Nobody is off: everybody serves on the day, and the largest crew gives one.
                pool = free if free.size else staff[shift[staff, day] == 0]
                shift[random.choice(pool if pool.size else staff), day] = turn


def _next_days(shift: np.ndarray) -> np.ndarray:
    days = shift.shape[1]
    place = np.where(shift != OFF, np.arange(days)[None, :], days - 1)
    upcoming = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    later = np.full_like(upcoming, days - 1)
    later[:, :-1] = upcoming[:, 1:]
    return later


def nobody(size: int) -> np.ndarray:
    """Return a column without any officer."""
    return np.full(size, NOBODY, dtype=np.int64)
