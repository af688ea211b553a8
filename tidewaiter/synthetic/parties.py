"""Who trades with a member: importers, declarants, sellers, couriers, and their habits, which persist.

Importers occupy places by size. Each month some leave and newcomers take their places, so that size
stays heavy-tailed; the largest tenth never leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.goods import ORIGIN_ZIPF, ORIGINS, Commodities
from tidewaiter.synthetic.profiles import Generator, Request, draw_by_share, zipf_shares

PORTFOLIO = 6  # subheadings per importer
SUPPLIERS = 4  # sellers per importer
OFFICE_ZIPF = 0.7
_PERMANENT_SHARE = 0.10


@dataclass(frozen=True)
class Parties:
    """Everybody who trades with one member; entities are numbered from 0.

    Attributes:
        occupant: Importer by month and place; a place's number is its rank by size.
        place_shares: Share of the declarations of each place.
        importer_place: Place of each importer; those of scenario S12 have none and come last.
        importer_office, importer_declarant: Usual office and declarant.
        importer_size: Shift of ln consignment value.
        is_bent: Whether irregularities concentrate on the importer.
        preferred_scenario: Index of the scenario, S1 to S4, that a bent importer mostly uses.
        portfolio: Commodities of each importer, commonest first (importers x 6).
        suppliers: Sellers of each importer, commonest first (importers x 4).
        seller_country: Index into `COUNTRIES`.
        seller_price: Shift of ln price.
        declarant_office: Where the declarant mostly works.
        declarant_shares: How often importers choose each.
        couriers: How many there are.
    """

    occupant: np.ndarray
    place_shares: np.ndarray
    importer_place: np.ndarray
    importer_office: np.ndarray
    importer_declarant: np.ndarray
    importer_size: np.ndarray
    is_bent: np.ndarray
    preferred_scenario: np.ndarray
    portfolio: np.ndarray
    suppliers: np.ndarray
    seller_country: np.ndarray
    seller_price: np.ndarray
    declarant_office: np.ndarray
    declarant_shares: np.ndarray
    couriers: int

    @property
    def importers(self) -> int:
        """How many importers there are over the whole period."""
        return int(self.importer_place.size)

    @property
    def declarants(self) -> int:
        """How many declarants there are."""
        return int(self.declarant_office.size)


def draw_parties(request: Request, goods: Commodities) -> Parties:
    """Draw the entities and their habits."""
    random, world = request.stream("parties"), request.world
    places, sellers = max(40, request.items // 30), max(60, request.items // 25)
    novel = request.plan.scenarios.S12
    occupant, importer_place = _occupants(request, random, places, novel.importers if novel else 0)
    importers = importer_place.size
    offices = len(request.profile.offices)
    declarants = int(np.clip(round(6 * (request.items / 100) ** 0.5), 12, 2_000))
    declarant_office = _spread_over_offices(random, declarants, offices)
    declarant_shares = zipf_shares(declarants, world.declarant_zipf)
    importer_office = draw_by_share(random, zipf_shares(offices, OFFICE_ZIPF), importers)
    return Parties(
        occupant=occupant,
        place_shares=zipf_shares(places, world.importer_zipf),
        importer_place=importer_place,
        importer_office=importer_office,
        importer_declarant=draw_declarants(random, importer_office, declarant_office, declarant_shares),
        importer_size=random.normal(0, world.importer_size_sigma, importers),
        is_bent=_bent_importers(random, places, importer_place, world.bent_importer_share),
        preferred_scenario=draw_by_share(random, np.array([0.45, 0.22, 0.14, 0.19]), importers),
        portfolio=_portfolios(request, random, goods, importers),
        suppliers=random.integers(0, sellers, (importers, SUPPLIERS)),
        seller_country=draw_by_share(random, zipf_shares(ORIGINS, ORIGIN_ZIPF), sellers),
        seller_price=random.normal(0, world.price_sigma_seller, sellers),
        declarant_office=declarant_office,
        declarant_shares=declarant_shares,
        couriers=max(3, min(60, request.items // 4000)),
    )


def draw_declarants(
    random: Generator, office: np.ndarray, declarant_office: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Draw a declarant who works at each of these offices."""
    chosen = np.empty(office.size, dtype=np.int64)
    for one in np.unique(office):
        there = np.flatnonzero(declarant_office == one)
        rows = np.flatnonzero(office == one)
        chosen[rows] = there[draw_by_share(random, shares[there], rows.size)]
    return chosen


def _occupants(request: Request, random: Generator, places: int, novel: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the importer in each place by month, and the place of each importer."""
    permanent = max(1, round(places * _PERMANENT_SHARE))
    rate = min(1.0, request.world.newcomer_share_per_month / (1 - _PERMANENT_SHARE))
    is_new = random.random((request.months, places), dtype=np.float32) < rate
    is_new[0], is_new[:, :permanent] = True, False
    is_new[0, :permanent] = True
    number = np.cumsum(is_new.ravel()).reshape(is_new.shape) - 1
    # Between replacements the last newcomer stays: numbers grow with the months.
    occupant = np.maximum.accumulate(np.where(is_new, number, -1), axis=0).astype(np.int32)
    place = np.nonzero(is_new)[1]
    return occupant, np.concatenate([place, np.full(novel, places)])


def _bent_importers(random: Generator, places: int, place: np.ndarray, share: float) -> np.ndarray:
    """One in every `1 / share` neighbours by size, so that luck with the giants decides nothing.

    The largest neighbours of all are exempt: they have compliance departments (assumed). A newcomer is
    bent with the same probability as its neighbours.
    """
    is_bent = np.zeros(place.size, dtype=bool)
    if share <= 0:
        return is_bent
    stride = max(1, round(1 / share))
    chosen = np.arange(stride, places - stride + 1, stride)
    is_bent[chosen + random.integers(0, stride, chosen.size)] = True
    is_bent[places:] = random.random(place.size - places) < share
    return is_bent


def _spread_over_offices(random: Generator, declarants: int, offices: int) -> np.ndarray:
    """Every office has declarants, busy ones more; the largest declarants are at the busy offices."""
    shares = zipf_shares(offices, OFFICE_ZIPF)
    office = draw_by_share(random, shares, declarants)
    office[:offices] = np.arange(offices)
    return office


def _portfolios(request: Request, random: Generator, goods: Commodities, importers: int) -> np.ndarray:
    usual = np.flatnonzero(~goods.is_novel)
    popularity = random.permutation(usual)
    shares = zipf_shares(usual.size, request.world.commodity_zipf)
    drawn = draw_by_share(random, shares, importers * PORTFOLIO)
    portfolio: np.ndarray = popularity[drawn].reshape(importers, PORTFOLIO).astype(np.int16)
    return portfolio
