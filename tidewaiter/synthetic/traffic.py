"""Who ships what, truly: declarations in time, their goods and prices. Nothing here is declared yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tidewaiter.synthetic.columns import NOBODY, Columns, spread
from tidewaiter.synthetic.goods import HUBS, NOVEL_ORIGIN, ORIGIN_ZIPF, ORIGINS, TRANSIT
from tidewaiter.synthetic.officers import LONGEST_WAIT_S, SHIFTS
from tidewaiter.synthetic.parties import PORTFOLIO, SUPPLIERS, draw_declarants
from tidewaiter.synthetic.periods import Chunk
from tidewaiter.synthetic.profiles import Generator, draw_by_share, zipf_shares
from tidewaiter.synthetic.setting import Setting

DAY_S = 86_400
SEA, ROAD, AIR = 1, 3, 4  # UN/ECE Recommendation 19
_FREIGHT_SHARE = {SEA: 0.05, ROAD: 0.04, AIR: 0.07}  # of CIF at usual distance, assumed
_INSURANCE_SHARE = 0.005
_SINGLE_LINE_SHARE = 0.55  # declarations with one item; longer ones geometric, at most 12 (assumed)
_MOST_LINES = 12
_ELSEWHERE_SHARE = 0.08  # items outside the importer's portfolio, or of another origin than the seller's
_HUB_SHARE = 0.10
_PREFERENCE_CLAIMED = 0.9
_SPLIT_HOURS = 60
_DOCUMENT_STEP = 387_420_489  # odd, not a multiple of five: distinct numbers stay distinct


@dataclass(frozen=True)
class Declarations(Columns):
    """One row per declaration; instants are local seconds since 1970-01-01.

    Attributes:
        importer, courier: Entity, or `NOBODY`. `consignee` is the importer even where none is named.
        dispatch: Country that the goods truly came from, index into `COUNTRIES`.
        mode: Transport at the border.
        lines: Number of goods lines.
        document: Number of the transport document; a re-registered declaration keeps it.
        arranged_with: S6, the pair that the declaration is arranged by, or -1.
        is_split: S5, whether it is a part of a split consignment.
        is_novel: S12, whether it is of the new kind.
        is_again: Whether it was registered before and cancelled.
    """

    registered_s: np.ndarray
    office: np.ndarray
    importer: np.ndarray
    consignee: np.ndarray
    declarant: np.ndarray
    seller: np.ndarray
    courier: np.ndarray
    dispatch: np.ndarray
    mode: np.ndarray
    lines: np.ndarray
    document: np.ndarray
    arranged_with: np.ndarray
    is_split: np.ndarray
    is_novel: np.ndarray
    is_again: np.ndarray


@dataclass(frozen=True)
class TrueItems(Columns):
    """One row per goods line, in order of declaration and item number.

    Attributes:
        commodity: Index into `Commodities`.
        origin: Index into `COUNTRIES`.
        value_usd: CIF.
        freight_share, insurance_share: Of the CIF value.
        ln_reference_price: Usual ln USD per kg of this commodity from this origin on this day.
        is_preferential: Whether the goods truly enjoy the free trade agreement and claim it.
    """

    item_no: np.ndarray
    commodity: np.ndarray
    origin: np.ndarray
    value_usd: np.ndarray
    net_kg: np.ndarray
    gross_kg: np.ndarray
    freight_share: np.ndarray
    insurance_share: np.ndarray
    ln_reference_price: np.ndarray
    is_preferential: np.ndarray


def draw_declarations(setting: Setting, chunk: Chunk) -> Declarations:
    """Draw a chunk's declarations with exactly `chunk.items` goods lines among them."""
    request, parties = setting.request, setting.parties
    world, profile = request.world, request.profile
    random = request.stream("declarations", chunk.number)
    lines = _lines_per_declaration(random, chunk.items)
    size = lines.size
    importer = parties.occupant[chunk.month][draw_by_share(random, parties.place_shares, size)]
    importer = importer.astype(np.int64)
    office = np.where(
        random.random(size) < 0.9,
        parties.importer_office[importer],
        random.integers(0, len(profile.offices), size),
    )
    keeps = (random.random(size) < world.declarant_stickiness) & (office == parties.importer_office[importer])
    other = draw_declarants(random, office, parties.declarant_office, parties.declarant_shares)
    seller = parties.suppliers[importer, draw_by_share(random, zipf_shares(SUPPLIERS, 1.2), size)]
    by_courier = random.random(size) < profile.courier_share
    is_walk_in = random.random(size) < profile.walk_in_share
    drawn = Declarations(
        registered_s=_registration_times(random, chunk, size),
        office=office,
        importer=np.where(is_walk_in, NOBODY, importer),
        consignee=importer,
        declarant=np.where(keeps, parties.importer_declarant[importer], other),
        seller=seller,
        courier=np.where(by_courier, random.integers(0, parties.couriers, size), NOBODY),
        dispatch=_dispatch(setting, random, parties.seller_country[seller]),
        mode=np.where(by_courier, AIR, np.where(random.random(size) < 0.7, SEA, ROAD)),
        lines=lines,
        document=np.zeros(size, dtype=np.int64),
        arranged_with=np.full(size, -1),
        is_split=np.zeros(size, dtype=bool),
        is_novel=np.zeros(size, dtype=bool),
        is_again=np.zeros(size, dtype=bool),
    )
    return _with_parts_played(setting, chunk, drawn)


def draw_split_declarations(setting: Setting, chunk: Chunk) -> Declarations | None:
    """Draw the declarations of consignments that S5 splits: parts by courier within 60 hours."""
    scenario = setting.request.plan.scenarios.S5
    if scenario is None or not setting.cast.splitters.size:
        return None
    parties = setting.parties
    random = setting.request.stream("splitting", chunk.number)
    share_of_month = chunk.days.size / 30.4
    consignments = random.poisson(scenario.per_month * share_of_month, setting.cast.splitters.size)
    parts = random.integers(scenario.parts_from, scenario.parts_to + 1, int(consignments.sum()))
    importer = np.repeat(setting.cast.splitters, consignments)[spread(parts)].astype(np.int64)
    size = importer.size
    if not size:
        return None
    consignment = spread(parts)
    start = random.choice(chunk.days, parts.size) * DAY_S + random.integers(7, 15, parts.size) * 3600
    offset = (random.random(size) * _SPLIT_HOURS * 3600).astype(np.int64)
    seller = parties.suppliers[importer, 0]
    return Declarations(
        registered_s=np.minimum(start[consignment] + offset, chunk.end_s - 1),
        office=parties.importer_office[importer],
        importer=importer,
        consignee=importer,
        declarant=parties.importer_declarant[importer],
        seller=seller,
        courier=random.integers(0, parties.couriers, parts.size)[consignment],
        dispatch=parties.seller_country[seller],
        mode=np.full(size, AIR),
        lines=np.ones(size, dtype=np.int64),
        document=np.zeros(size, dtype=np.int64),
        arranged_with=np.full(size, -1),
        is_split=np.ones(size, dtype=bool),
        is_novel=np.zeros(size, dtype=bool),
        is_again=np.zeros(size, dtype=bool),
    )


def with_documents(declarations: Declarations, first: int) -> Declarations:
    """Number the transport documents, from the `first` consignment of the period on."""
    number = (first + np.arange(len(declarations)) + 1) * _DOCUMENT_STEP % 1_000_000_000
    return replace(declarations, document=number)


def draw_items(setting: Setting, chunk: Chunk, declarations: Declarations) -> TrueItems:
    """Draw the goods of every declaration: commodity, origin, price, mass."""
    random = setting.request.stream("items", chunk.number)
    parties, goods, world = setting.parties, setting.goods, setting.request.world
    declaration = spread(declarations.lines)
    size = declaration.size
    consignee = declarations.consignee[declaration]
    seller = declarations.seller[declaration]
    registered_s = declarations.registered_s[declaration]
    commodity = _commodities(setting, random, declarations, declaration, consignee)
    elsewhere = draw_by_share(random, zipf_shares(ORIGINS, ORIGIN_ZIPF), size)
    is_usual = random.random(size) < 1 - _ELSEWHERE_SHARE
    origin = np.where(is_usual, parties.seller_country[seller], elsewhere)
    origin = np.where(declarations.is_novel[declaration], NOVEL_ORIGIN, origin)
    reference = setting.ln_reference_price(commodity, origin, registered_s)
    sigma = np.where(
        goods.is_differentiated[commodity],
        world.price_sigma_differentiated,
        world.price_sigma_homogeneous,
    )
    ln_price = reference + parties.seller_price[seller] + random.normal(0, 1, size) * sigma
    ln_value = random.normal(world.ln_value_mean, world.ln_value_sigma, size)
    ln_value += parties.importer_size[consignee]
    ln_value[declarations.courier[declaration] != NOBODY] -= 1.5  # parcels (assumed)
    ln_value = np.where(
        declarations.is_split[declaration],
        np.log(setting.request.profile.de_minimis_usd * random.uniform(0.6, 0.98, size)),
        ln_value,
    )
    value, ln_price = _by_price_list(setting, random, consignee, np.exp(ln_value), ln_price)
    net_kg = np.exp(np.log(value) - ln_price)
    mode = declarations.mode[declaration]
    freight = np.select([mode == SEA, mode == ROAD], [_FREIGHT_SHARE[SEA], _FREIGHT_SHARE[ROAD]])
    freight = np.where(mode == AIR, _FREIGHT_SHARE[AIR], freight) * random.uniform(0.7, 2.1, size)
    rate = setting.tariff.rate_pct[setting.tariff.period(registered_s), commodity]
    is_partner = setting.is_partner[origin]
    return TrueItems(
        item_no=np.arange(size) - (np.cumsum(declarations.lines) - declarations.lines)[declaration] + 1,
        commodity=commodity,
        origin=origin,
        value_usd=value,
        net_kg=net_kg,
        gross_kg=net_kg / np.minimum(random.beta(18, 2, size), 0.995),
        freight_share=freight,
        insurance_share=np.full(size, _INSURANCE_SHARE),
        ln_reference_price=reference,
        is_preferential=is_partner & (rate > 0) & (random.random(size) < _PREFERENCE_CLAIMED),
    )


def _with_parts_played(setting: Setting, chunk: Chunk, drawn: Declarations) -> Declarations:
    """Let Z2's broker lodge at night, S12's importers come in, and S6's brokers arrange their files."""
    request, cast = setting.request, setting.cast
    random = request.stream("parts", chunk.number)
    size = len(drawn)
    luck = random.random((4, size))
    registered_s, declarant = drawn.registered_s.copy(), drawn.declarant
    if cast.night_declarants.size and request.plan.decoys.Z2:
        is_night = np.isin(declarant, cast.night_declarants) & (luck[0] < request.plan.decoys.Z2.share)
        hour_s = (22 * 3600 + luck[1] * 7 * 3600).astype(np.int64)
        at_night = registered_s // DAY_S * DAY_S + hour_s
        # The small hours are those of the same day, so that none leaves the chunk.
        at_night = np.where(hour_s >= DAY_S, at_night - DAY_S, at_night)
        registered_s = np.where(is_night, at_night, registered_s)
    novel = request.plan.scenarios.S12
    is_novel = np.zeros(size, dtype=bool)
    consignee, importer = drawn.consignee, drawn.importer
    if novel and cast.novel.size:
        is_novel = (luck[2] < novel.share) & (registered_s >= request.instant_s(novel.start))
        newcomer = random.choice(cast.novel, size)
        consignee = np.where(is_novel, newcomer, consignee)
        importer = np.where(is_novel, newcomer, importer)
    arranged = np.full(size, -1)
    for number, pair in enumerate(cast.pairs):
        is_theirs = (declarant == pair.declarant) & (registered_s >= pair.start_s)
        rows = np.flatnonzero(is_theirs & (luck[3] < pair.arranged_share))
        rows, times = _in_his_shift(setting, pair.inspector, rows, registered_s[rows], luck[1][rows])
        arranged[rows] = number
        registered_s[rows] = times
    return replace(
        drawn,
        registered_s=registered_s,
        importer=importer,
        consignee=consignee,
        dispatch=np.where(is_novel, NOVEL_ORIGIN, drawn.dispatch),
        arranged_with=arranged,
        is_novel=is_novel,
    )


def _in_his_shift(
    setting: Setting, inspector: int, rows: np.ndarray, registered_s: np.ndarray, luck: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """S6: which declarations can be lodged early in a day or late shift of the inspector, and when."""
    officers = setting.officers
    day = registered_s // DAY_S
    shift = officers.shift[inspector, day - officers.first_day]
    serves = (shift == SHIFTS.index("DAY")) | (shift == SHIFTS.index("LATE"))
    office = np.full(rows.size, officers.office[inspector])
    begins, ends = officers.bounds_s(office, day, np.maximum(shift, 0))
    # Whoever is selected is assigned within four hours: that must still be in the shift.
    times = begins + (luck * (ends - begins - LONGEST_WAIT_S - 100)).astype(np.int64)
    return rows[serves], times[serves]


def _commodities(
    setting: Setting,
    random: Generator,
    declarations: Declarations,
    declaration: np.ndarray,
    consignee: np.ndarray,
) -> np.ndarray:
    """Mostly of the importer's portfolio; parts of a split consignment are all of one kind."""
    size, goods = declaration.size, setting.goods
    portfolio = setting.parties.portfolio
    usual = portfolio[consignee, draw_by_share(random, zipf_shares(PORTFOLIO, 1.0), size)]
    ordinary = np.flatnonzero(~goods.is_novel)
    anything = ordinary[random.integers(0, ordinary.size, size)]
    is_any = random.random(size) < _ELSEWHERE_SHARE
    is_any |= (declarations.importer[declaration] == NOBODY) & (random.random(size) < 0.5)
    commodity = np.where(is_any, anything, usual)
    commodity = np.where(declarations.is_split[declaration], portfolio[consignee, 0], commodity)
    new = np.flatnonzero(goods.is_novel)
    chosen = new[random.integers(0, new.size, size)]
    if setting.cast.vehicle_declarants.size:
        is_theirs = np.isin(declarations.declarant[declaration], setting.cast.vehicle_declarants)
        vehicles = np.flatnonzero(goods.is_vehicle)
        drawn = vehicles[random.integers(0, vehicles.size, size)]
        commodity = np.where(is_theirs & (random.random(size) < 0.85), drawn, commodity)
    picked: np.ndarray = np.where(declarations.is_novel[declaration], chosen, commodity)
    return picked.astype(np.int64)


def _by_price_list(
    setting: Setting,
    random: Generator,
    consignee: np.ndarray,
    value: np.ndarray,
    ln_price: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Z5: values of a few prices times round quantities; the price per kg stays usual."""
    decoy = setting.request.plan.decoys.Z5
    is_listed = np.isin(consignee, setting.cast.listed)
    if decoy is None or not is_listed.any():
        return value, ln_price
    size = value.size
    price = np.array([39.0, 45.0, 48.5, 52.0, 58.0])[random.integers(0, decoy.prices, size) % 5]
    quantity = random.choice([100.0, 500.0, 1000.0], size)
    return np.where(is_listed, price * quantity, value), ln_price


def _dispatch(setting: Setting, random: Generator, country: np.ndarray) -> np.ndarray:
    via_hub = random.random(country.size) < _HUB_SHARE
    dispatch = np.where(via_hub, random.choice(HUBS, country.size), country)
    if setting.request.profile.is_landlocked:
        by_port = random.random(country.size) < 0.8
        dispatch = np.where(by_port, random.choice(TRANSIT, country.size), dispatch)
    return dispatch


def _lines_per_declaration(random: Generator, items: int) -> np.ndarray:
    if items == 0:
        return np.zeros(0, dtype=np.int64)
    lines = np.minimum(random.geometric(_SINGLE_LINE_SHARE, items), _MOST_LINES)
    last = int(np.searchsorted(np.cumsum(lines), items))
    lines = lines[: last + 1].copy()
    lines[-1] -= lines.sum() - items
    return lines


def _registration_times(random: Generator, chunk: Chunk, size: int) -> np.ndarray:
    """Local seconds: by the weight of the day, around midday."""
    day = chunk.days[draw_by_share(random, chunk.weights, size)]
    second = np.clip(random.normal(12.5, 3.2, size), 0, 23.99) * 3600
    times: np.ndarray = day * DAY_S + second.astype(np.int64)
    return times
