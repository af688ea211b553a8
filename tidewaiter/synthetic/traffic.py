"""Who ships what, truly: parties, declarations in time, goods, prices. Nothing here is declared yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.goods import HUBS, ORIGIN_ZIPF, ORIGINS, Commodities, Tariff
from tidewaiter.synthetic.profiles import Generator, Request, zipf_shares

NOBODY = -1
_DAY_S = 86_400
_PORTFOLIO = 6  # subheadings per importer
_SUPPLIERS = 4  # sellers per importer
_SINGLE_LINE_SHARE = 0.55  # declarations with one item; longer ones geometric, at most 12 (assumed)


@dataclass(frozen=True)
class Parties:
    """Everybody who trades with one member; entities are numbered from 0.

    Attributes:
        importer_enters_month: Month index in which the importer first trades.
        importer_office, importer_declarant: Usual office and declarant.
        importer_size: Shift of ln consignment value.
        is_bent: Whether irregularities concentrate on the importer.
        preferred_scenario: Index of the scenario that a bent importer mostly uses.
        portfolio: Commodities of each importer, commonest first (importers x 6).
        suppliers: Sellers of each importer, commonest first (importers x 4).
        seller_country: Index into `ORIGINS`.
        seller_price: Shift of ln price.
        declarants, couriers: How many there are.
    """

    importer_enters_month: np.ndarray
    importer_office: np.ndarray
    importer_declarant: np.ndarray
    importer_size: np.ndarray
    is_bent: np.ndarray
    preferred_scenario: np.ndarray
    portfolio: np.ndarray
    suppliers: np.ndarray
    seller_country: np.ndarray
    seller_price: np.ndarray
    declarants: int
    couriers: int


@dataclass(frozen=True)
class Declarations:
    """One entry per declaration, in order of registration.

    Attributes:
        registered_s: Local seconds since 1970-01-01.
        importer, courier: Entity, or `NOBODY`.
        dispatch_iso2: Country that the goods truly came from.
        items: Number of goods lines.
    """

    registered_s: np.ndarray
    office: np.ndarray
    importer: np.ndarray
    declarant: np.ndarray
    seller: np.ndarray
    courier: np.ndarray
    dispatch_iso2: np.ndarray
    items: np.ndarray


@dataclass(frozen=True)
class TrueItems:
    """One entry per goods line, in order of declaration and item number.

    Attributes:
        declaration: Index into `Declarations`.
        item_no: From 1 within the declaration.
        commodity: Index into `Commodities`.
        ln_reference_price: Usual ln USD per kg of this commodity from this origin on this day.
        is_preferential: Whether the goods truly enjoy the free trade agreement and claim it.
    """

    declaration: np.ndarray
    item_no: np.ndarray
    commodity: np.ndarray
    origin_iso2: np.ndarray
    value_usd: np.ndarray
    net_kg: np.ndarray
    gross_kg: np.ndarray
    ln_reference_price: np.ndarray
    is_preferential: np.ndarray


def draw_parties(request: Request, goods: Commodities) -> Parties:
    """Draw the entities and their habits, which persist over the whole period."""
    random, world, profile = request.stream("parties"), request.world, request.profile
    importers, sellers = max(40, request.items // 30), max(60, request.items // 25)
    declarants = max(12, request.items // 250)
    commodity_shares = zipf_shares(goods.hs6.size, world.commodity_zipf)
    popularity = random.permutation(goods.hs6.size)
    enters = random.integers(1, max(2, request.months), importers)
    offices = len(profile.office_codes)
    return Parties(
        importer_enters_month=np.where(random.random(importers) < world.incumbent_share, 0, enters),
        importer_office=random.choice(offices, importers, p=zipf_shares(offices, 0.7)),
        importer_declarant=random.choice(
            declarants, importers, p=zipf_shares(declarants, world.declarant_zipf)
        ),
        importer_size=random.normal(0, 0.5, importers),
        is_bent=_bent_importers(random, importers, world.bent_importer_share),
        preferred_scenario=random.choice(4, importers, p=[0.45, 0.22, 0.14, 0.19]),
        portfolio=popularity[random.choice(goods.hs6.size, (importers, _PORTFOLIO), p=commodity_shares)],
        suppliers=random.integers(0, sellers, (importers, _SUPPLIERS)),
        seller_country=random.choice(ORIGINS.size, sellers, p=zipf_shares(ORIGINS.size, ORIGIN_ZIPF)),
        seller_price=random.normal(0, 0.1, sellers),
        declarants=declarants,
        couriers=max(3, request.items // 4000),
    )


def draw_declarations(request: Request, parties: Parties) -> Declarations:
    """Draw declarations in order of time, with exactly `request.items` goods lines among them."""
    random, world = request.stream("declarations"), request.world
    items = _lines_per_declaration(random, request.items)
    size = items.size
    registered_s = _registration_times(request, random, size)
    months = registered_s.astype("datetime64[s]").astype("datetime64[M]")
    month = (months - request.first_day.astype("datetime64[M]")).astype(int)
    importer = _active_importers(random, month, parties, world.importer_zipf)
    office = np.where(
        random.random(size) < 0.9,
        parties.importer_office[importer],
        random.integers(0, len(request.profile.office_codes), size),
    )
    declarant = np.where(
        random.random(size) < world.declarant_stickiness,
        parties.importer_declarant[importer],
        random.choice(parties.declarants, size, p=zipf_shares(parties.declarants, world.declarant_zipf)),
    )
    supplier = random.choice(_SUPPLIERS, size, p=zipf_shares(_SUPPLIERS, 1.2))
    seller = parties.suppliers[importer, supplier]
    by_courier = random.random(size) < world.courier_share
    via_hub = random.random(size) < 0.10
    return Declarations(
        registered_s=registered_s,
        office=office,
        importer=np.where(random.random(size) < world.walk_in_share, NOBODY, importer),
        declarant=declarant,
        seller=seller,
        courier=np.where(by_courier, random.integers(0, parties.couriers, size), NOBODY),
        dispatch_iso2=np.where(via_hub, random.choice(HUBS, size), ORIGINS[parties.seller_country[seller]]),
        items=items,
    )


def draw_items(
    request: Request, goods: Commodities, tariff: Tariff, parties: Parties, declarations: Declarations
) -> TrueItems:
    """Draw the goods of every declaration: commodity, origin, price, mass."""
    random, world = request.stream("items"), request.world
    size = request.items
    declaration = np.repeat(np.arange(declarations.items.size), declarations.items)
    first = np.cumsum(declarations.items) - declarations.items
    importer, seller = declarations.importer[declaration], declarations.seller[declaration]
    commodity = parties.portfolio[importer, random.choice(_PORTFOLIO, size, p=zipf_shares(_PORTFOLIO, 1.0))]
    anything = random.integers(0, goods.hs6.size, size)
    commodity = np.where((importer == NOBODY) | (random.random(size) < 0.08), anything, commodity)
    elsewhere = random.choice(ORIGINS.size, size, p=zipf_shares(ORIGINS.size, ORIGIN_ZIPF))
    origin = np.where(random.random(size) < 0.92, parties.seller_country[seller], elsewhere)
    reference = _ln_reference_price(
        request, random, goods, commodity, origin, declarations.registered_s[declaration]
    )
    sigma = np.where(
        goods.is_differentiated[commodity],
        world.price_sigma_differentiated,
        world.price_sigma_homogeneous,
    )
    ln_price = reference + parties.seller_price[seller] + random.normal(0, 1, size) * sigma
    size_of_importer = np.where(importer == NOBODY, -1.0, parties.importer_size[importer])
    ln_value = random.normal(8.0, 1.1, size) + size_of_importer
    net_kg = np.exp(ln_value - ln_price)
    origin_iso2 = ORIGINS[origin]
    is_preferential = (
        np.isin(origin_iso2, request.profile.partner_iso2)
        & (tariff.rate_pct[commodity] > 0)
        & (random.random(size) < 0.9)
    )
    return TrueItems(
        declaration=declaration,
        item_no=np.arange(size) - first[declaration] + 1,
        commodity=commodity,
        origin_iso2=origin_iso2,
        value_usd=np.exp(ln_value),
        net_kg=net_kg,
        gross_kg=net_kg / np.minimum(random.beta(18, 2, size), 0.995),
        ln_reference_price=reference,
        is_preferential=is_preferential,
    )


def _bent_importers(random: Generator, importers: int, share: float) -> np.ndarray:
    """One in every `1 / share` neighbours by size, so that luck with the giants decides nothing.

    The largest neighbours of all are exempt: they have compliance departments (assumed).
    """
    stride = max(1, round(1 / share))
    chosen = np.arange(stride, importers - stride + 1, stride)
    is_bent = np.zeros(importers, dtype=bool)
    is_bent[chosen + random.integers(0, stride, chosen.size)] = True
    return is_bent


def _lines_per_declaration(random: Generator, items: int) -> np.ndarray:
    lines = np.minimum(random.geometric(_SINGLE_LINE_SHARE, items), 12)
    last = int(np.searchsorted(np.cumsum(lines), items))
    lines = lines[: last + 1].copy()
    lines[-1] -= lines.sum() - items
    return lines


def _registration_times(request: Request, random: Generator, size: int) -> np.ndarray:
    """Local seconds, sorted: a yearly wave, a rush before the holidays, weekdays, office hours."""
    days = np.arange(request.first_day, request.end_day)
    of_year = (days - days.astype("datetime64[Y]")).astype(int)
    weekday = (days.astype(int) + 3) % 7  # 1970-01-01 was a Thursday
    weight = 1 + 0.2 * np.sin(2 * np.pi * of_year / 365.25)
    weight *= np.where((of_year >= 334) & (of_year < 358), 1.4, 1.0)
    weight *= np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.35, 0.08])[weekday]
    day = random.choice(days.astype(int), size, p=weight / weight.sum())
    second = np.clip(random.normal(12.5, 2.5, size), 6, 21) * 3600
    times: np.ndarray = np.sort(day * _DAY_S + second.astype(int))
    return times


def _active_importers(random: Generator, month: np.ndarray, parties: Parties, exponent: float) -> np.ndarray:
    # Rank is the importer's number; entry months are independent of it, so newcomers come in all sizes.
    shares = zipf_shares(parties.importer_enters_month.size, exponent)
    importer = np.empty(month.size, dtype=np.int64)
    for index in np.unique(month):
        active = np.where(parties.importer_enters_month <= index, shares, 0.0)
        of_month = month == index
        importer[of_month] = random.choice(shares.size, int(of_month.sum()), p=active / active.sum())
    return importer


def _ln_reference_price(
    request: Request,
    random: Generator,
    goods: Commodities,
    commodity: np.ndarray,
    origin: np.ndarray,
    registered_s: np.ndarray,
) -> np.ndarray:
    by_origin = random.normal(0, 0.15, (goods.hs6.size, ORIGINS.size))
    years = (registered_s - request.first_day.astype("datetime64[s]").astype(int)) / (365.25 * _DAY_S)
    season = np.where(_is_seasonal(goods)[commodity], 0.15 * np.sin(2 * np.pi * years), 0.0)
    price: np.ndarray = (
        np.log(goods.usd_per_kg[commodity])
        + by_origin[commodity, origin]
        + request.world.price_drift_per_year * years
        + season
    )
    return price


def _is_seasonal(goods: Commodities) -> np.ndarray:
    """Flowers, vegetables and fruit: chapters 06 to 08."""
    chapter = goods.hs6.astype("U2").astype(int)
    seasonal: np.ndarray = (chapter >= 6) & (chapter <= 8)
    return seasonal
