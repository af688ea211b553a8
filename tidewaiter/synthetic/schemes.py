"""Who plays which part: the entities of each scenario and decoy, and from when on.

Parts are given by position, never by outcome: a broker busy enough to be noticed, an inspector of the
office where that broker works. Nothing of this reaches an extract except by what it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tidewaiter.synthetic.goods import Commodities
from tidewaiter.synthetic.officers import GENERAL, SUPERVISORS_PER_OFFICE, Officers
from tidewaiter.synthetic.parties import Parties
from tidewaiter.synthetic.periods import day_weights
from tidewaiter.synthetic.profiles import Generator, Request

_LINES_PER_DECLARATION = 1.8  # about; only to guess how many files a declarant will have
_MOST_CERTAIN = 0.95
RING_OFFICE = 0  # the busiest one, where S8's supervisor serves


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Pair:
    """A broker and an inspector who collude (S6).

    Attributes:
        diversion: Share of the broker's assigned files that is to go to the inspector beyond chance.
        arranged_share: Share of the broker's declarations that are arranged, on days on which the
            inspector serves: the diversion over what such a day gains on the even draw.
    """

    declarant: int
    inspector: int
    diversion: float
    arranged_share: float
    start_s: int


@dataclass(frozen=True)
class Cast:
    """Entities by part; empty where a part is not played. Importers, declarants and officers by number.

    Attributes:
        pairs: S6.
        shoppers: S7, declarants.
        ring_importers, ring_supervisor: S8.
        lenient, extorting: S9 and S10, inspectors.
        passed_over: S11, declarants.
        splitters: S5, importers.
        novel: S12, importers.
        vehicle_declarants, night_declarants: Z1 and Z2.
        operators: Z3, importers.
        listed: Z5, importers.
    """

    pairs: tuple[Pair, ...] = ()
    shoppers: np.ndarray = field(default_factory=_none)
    ring_importers: np.ndarray = field(default_factory=_none)
    ring_supervisor: int = -1
    lenient: np.ndarray = field(default_factory=_none)
    extorting: np.ndarray = field(default_factory=_none)
    passed_over: np.ndarray = field(default_factory=_none)
    splitters: np.ndarray = field(default_factory=_none)
    novel: np.ndarray = field(default_factory=_none)
    vehicle_declarants: np.ndarray = field(default_factory=_none)
    night_declarants: np.ndarray = field(default_factory=_none)
    operators: np.ndarray = field(default_factory=_none)
    listed: np.ndarray = field(default_factory=_none)


def draw_cast(request: Request, goods: Commodities, parties: Parties, officers: Officers) -> Cast:
    """Choose who plays which part; everybody plays one part at most."""
    random, scenarios, decoys = request.stream("cast"), request.plan.scenarios, request.plan.decoys
    brokers = _Brokers(request, random, parties)
    staff = _Staff(random, officers)
    importers = _Importers(random, parties)
    s6, s7, s8, s9, s10, s11 = (getattr(scenarios, f"S{number}") for number in range(6, 12))
    return Cast(
        vehicle_declarants=brokers.of_office(0, decoys.Z1.brokers) if decoys.Z1 else _none(),
        night_declarants=brokers.round_the_clock(decoys.Z2.brokers) if decoys.Z2 else _none(),
        pairs=_pairs(request, brokers, staff, officers) if s6 else (),
        shoppers=brokers.busy(s7.brokers, 300) if s7 else _none(),
        passed_over=brokers.busy(s11.brokers, 1_500) if s11 else _none(),
        operators=importers.large(decoys.Z3.importers) if decoys.Z3 else _none(),
        ring_importers=importers.bent_of_office(s8.importers, RING_OFFICE) if s8 else _none(),
        ring_supervisor=int(random.integers(SUPERVISORS_PER_OFFICE)) if s8 else -1,
        listed=importers.large(decoys.Z5.importers) if decoys.Z5 else _none(),
        lenient=staff.some(s9.inspectors) if s9 else _none(),
        extorting=staff.some(s10.inspectors) if s10 else _none(),
        splitters=importers.small(min(scenarios.S5.consignees, max(2, request.items // 6_000)))
        if scenarios.S5
        else _none(),
        novel=np.flatnonzero(parties.importer_place == parties.place_shares.size),
    )


def _pairs(request: Request, brokers: _Brokers, staff: _Staff, officers: Officers) -> tuple[Pair, ...]:
    scenario = request.plan.scenarios.S6
    if scenario is None:
        return ()
    start_s = request.instant_s(scenario.start)
    days = np.arange(np.datetime64(start_s // 86_400, "D"), request.end_day)
    weights = day_weights(days) / day_weights(days).sum()
    found = []
    for declarant, diversion in zip(
        brokers.busy(len(scenario.diversion), scenario.least_files), scenario.diversion, strict=False
    ):
        inspector = staff.at(int(brokers.parties.declarant_office[declarant]))
        gain = float((officers.steerable(inspector, days.astype(np.int64)) * weights).sum())
        arranged = min(_MOST_CERTAIN, diversion / max(gain, 1e-9))
        found.append(Pair(int(declarant), inspector, diversion, arranged, start_s))
    return tuple(found)


class _Brokers:
    """Declarants who have no part yet."""

    def __init__(self, request: Request, random: Generator, parties: Parties) -> None:
        self.parties = parties
        self._random = random
        self._request = request
        self._is_free = np.ones(parties.declarants, dtype=bool)
        inspected = request.profile.red_share + request.profile.yellow_share
        self._files = _expected_files(parties, request.items / _LINES_PER_DECLARATION) * inspected

    def busy(self, number: int, least_files: int) -> np.ndarray:
        """Declarants who will have so many assigned files; the busiest where too few do."""
        order = np.argsort(-self._files, kind="stable")
        free = order[self._is_free[order]]
        enough = free[self._files[free] >= least_files]
        pool = enough if enough.size >= number else free[: max(number, 8)]
        return self._take(pool, number)

    def of_office(self, office: int, number: int) -> np.ndarray:
        """Middling declarants of one office."""
        pool = np.flatnonzero(self._is_free & (self.parties.declarant_office == office))
        return self._take(pool[1 : 1 + 4 * number] if pool.size > 4 * number else pool, number)

    def round_the_clock(self, number: int) -> np.ndarray:
        """Declarants of an office with a night shift, of the busiest office where none has one."""
        clock = [place for place, one in enumerate(self._request.profile.offices) if one.is_round_the_clock]
        return self.of_office(clock[0] if clock else 0, number)

    def _take(self, pool: np.ndarray, number: int) -> np.ndarray:
        taken = self._random.permutation(pool)[:number]
        self._is_free[taken] = False
        return taken


def _expected_files(parties: Parties, declarations: float) -> np.ndarray:
    """Return how many declarations each declarant will about have: of importers at start, by place."""
    importer = parties.occupant[0]
    usual = np.bincount(
        parties.importer_declarant[importer], weights=parties.place_shares, minlength=parties.declarants
    )
    files: np.ndarray = declarations * (0.85 * usual + 0.15 * parties.declarant_shares)
    return files


class _Staff:
    """Inspectors of general teams, present throughout, who have no part yet."""

    def __init__(self, random: Generator, officers: Officers) -> None:
        self._random = random
        self._officers = officers
        days_on = (officers.shift >= 0).mean(axis=1)
        self._is_free = (officers.team == GENERAL) & (days_on > 0.55)

    def at(self, office: int) -> int:
        """An inspector of this office."""
        pool = np.flatnonzero(self._is_free & (self._officers.office == office))
        if not pool.size:
            pool = np.flatnonzero((self._officers.office == office) & (self._officers.team == GENERAL))
        chosen = int(self._random.choice(pool))
        self._is_free[chosen] = False
        return chosen

    def some(self, number: int) -> np.ndarray:
        """Inspectors of the busier half of the offices."""
        offices = int(self._officers.office.max()) + 1
        return np.array([self.at(place % max(1, offices // 2)) for place in range(number)], dtype=np.int64)


class _Importers:
    """Importers present from the first day, who have no part yet, by size."""

    def __init__(self, random: Generator, parties: Parties) -> None:
        self._random = random
        self._places = parties.place_shares.size
        self._is_bent = parties.is_bent[: self._places]
        self._office = parties.importer_office[: self._places]
        self._is_free = np.ones(self._places, dtype=bool)

    def large(self, number: int) -> np.ndarray:
        """Some of the largest honest ones."""
        return self._choose(np.flatnonzero(~self._is_bent & self._is_free)[: 3 * number], number)

    def bent_of_office(self, number: int, office: int) -> np.ndarray:
        """Some of the largest at one office among whom irregularities concentrate."""
        theirs = np.flatnonzero(self._is_bent & self._is_free & (self._office == office))
        return self._choose(theirs[: 2 * number], number)

    def small(self, number: int) -> np.ndarray:
        """Some honest ones of the smaller three quarters."""
        fit = np.flatnonzero(~self._is_bent & self._is_free)
        small = fit[fit >= self._places // 4]
        return self._choose(small if small.size >= number else fit, number)

    def _choose(self, pool: np.ndarray, number: int) -> np.ndarray:
        taken = np.sort(self._random.permutation(pool)[:number])
        self._is_free[taken] = False
        return taken
