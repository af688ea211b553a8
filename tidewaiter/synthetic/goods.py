"""Commodities, countries and the tariff of one member: what may be traded and what it costs to bring in.

`commodities.csv` holds real HS 2022 subheadings, `hs2017.csv` what they are called in the edition
before where that differs. Which goods are differentiated (after Rauch 1999, our own reading) and their
usual price in USD per kg are assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from tidewaiter.synthetic.profiles import Request

TARIFF_STEPS_PCT = np.array([0.0, 5.0, 10.0, 20.0, 35.0])
_STEP_SHARES_HOMOGENEOUS = (0.25, 0.30, 0.25, 0.15, 0.05)
_STEP_SHARES_DIFFERENTIATED = (0.05, 0.10, 0.25, 0.35, 0.25)
_SUBHEADING_DEVIATES = 0.40
_CHANGED_HEADINGS = 0.10  # of the tariff, at mid-year
# Nobody trades in this chapter until scenario S12 begins.
NOVEL_CHAPTER = "88"

# Origins by weight: the large exporters first (order after usual world trade shares, weights assumed).
# fmt: off
_ORIGINS = [
    "CN", "US", "DE", "JP", "IN", "KR", "IT", "TR", "FR", "NL", "TH", "VN", "BR", "ZA", "GB", "ES",
    "ID", "MY", "EG", "MX", "AE", "PK", "UG", "TZ", "CI", "GH", "NG", "TG", "CR", "SV", "HN", "PL",
]
# fmt: on
ORIGINS = len(_ORIGINS)
# All countries of a world: origins first, then hubs and a new origin that only scenario S12 uses.
COUNTRIES = np.array([*_ORIGINS, "SG", "HK", "PA", "KE", "GE"])
ORIGIN_ZIPF = 0.8
HUBS = np.flatnonzero(np.isin(COUNTRIES, ["AE", "SG", "NL", "HK", "PA"]))
NOVEL_ORIGIN = int(np.flatnonzero(COUNTRIES == "GE")[0])
# Ports through which a landlocked member's goods come.
TRANSIT = np.flatnonzero(np.isin(COUNTRIES, ["KE", "TZ"]))


@dataclass(frozen=True)
class Commodities:
    """Subheadings in order of `hs6`, one entry each.

    Attributes:
        hs6: Six digits as text, in the member's edition.
        is_differentiated: Whether prices differ by brand and quality rather than by weight.
        usd_per_kg: Usual price.
        heading: Index of the HS4 heading, from 0.
        chapter: Two digits as text.
    """

    hs6: np.ndarray
    is_differentiated: np.ndarray
    usd_per_kg: np.ndarray
    heading: np.ndarray
    chapter: np.ndarray

    @property
    def hs_national(self) -> np.ndarray:
        """Eight-digit national codes: some subheadings are split, the last two digits differ."""
        last = self.hs6.astype(np.int64) % 4 * 10
        codes: np.ndarray = np.char.add(self.hs6, np.char.zfill(last.astype("U2"), 2))
        return codes

    @property
    def is_novel(self) -> np.ndarray:
        """Whether ordinary trade never has it."""
        novel: np.ndarray = self.chapter == NOVEL_CHAPTER
        return novel

    @property
    def is_vehicle(self) -> np.ndarray:
        """Motor vehicles and their parts."""
        vehicle: np.ndarray = self.chapter == "87"
        return vehicle

    @property
    def is_seasonal(self) -> np.ndarray:
        """Flowers, vegetables and fruit."""
        seasonal: np.ndarray = np.isin(self.chapter, ["06", "07", "08"])
        return seasonal


@dataclass(frozen=True)
class Tariff:
    """Rates of one member before and after the mid-year change.

    Attributes:
        changes_on: First day of the new rates.
        rate_pct: Duty by period (0 before, 1 after) and commodity.
        lower_neighbour: By period and commodity: the commodity of the same heading with the lowest
            rate, where that is lower; otherwise -1.
    """

    changes_on: np.datetime64
    rate_pct: np.ndarray
    lower_neighbour: np.ndarray

    def period(self, local_s: np.ndarray) -> np.ndarray:
        """Return 0 or 1 for each instant."""
        is_new: np.ndarray = local_s // 86_400 >= self.changes_on.astype(np.int64)
        return is_new.astype(np.int64)


@cache
def load_commodities(edition: str = "HS2022") -> Commodities:
    """Read the checked-in subheadings, as that edition of the Harmonized System calls them."""
    types = {"hs6": pa.string(), "is_differentiated": pa.int8(), "usd_per_kg": pa.float64()}
    table = _read_csv("commodities.csv", types)
    hs6 = table["hs6"].to_numpy().astype("U6")
    if edition == "HS2017":
        renamed = _read_csv("hs2017.csv", {"hs2022": pa.string(), "hs2017": pa.string()}).to_pydict()
        for new, old in zip(renamed["hs2022"], renamed["hs2017"], strict=True):
            hs6[hs6 == new] = old
    # Where an edition splits what the other has as one, the first stands for both.
    hs6, rows = np.unique(hs6, return_index=True)
    return Commodities(
        hs6=hs6,
        is_differentiated=table["is_differentiated"].to_numpy()[rows] == 1,
        usd_per_kg=table["usd_per_kg"].to_numpy()[rows],
        heading=np.unique(hs6.astype("U4"), return_inverse=True)[1],
        chapter=hs6.astype("U2"),
    )


def draw_tariff(request: Request, goods: Commodities) -> Tariff:
    """Draw rates that cluster by heading, some subheadings a step beside it, and a change at mid-year."""
    random = request.stream("tariff")
    headings = int(goods.heading.max()) + 1
    first_of_heading = np.searchsorted(goods.heading, np.arange(headings))
    shares = np.where(
        goods.is_differentiated[first_of_heading, None],
        np.array(_STEP_SHARES_DIFFERENTIATED),
        np.array(_STEP_SHARES_HOMOGENEOUS),
    )
    base = (shares.cumsum(axis=1) < random.random((headings, 1))).sum(axis=1)
    deviates = random.random(goods.hs6.size) < _SUBHEADING_DEVIATES
    shift = np.where(deviates, random.choice([-1, 1], goods.hs6.size), 0)
    is_changed = random.random(headings) < _CHANGED_HEADINGS
    change = np.where(is_changed, random.choice([-1, 1], headings), 0)
    last = len(TARIFF_STEPS_PCT) - 1
    before = base.clip(max=last)[goods.heading] + shift
    steps = np.stack([before, before.clip(0, last) + change[goods.heading]]).clip(0, last)
    rates = TARIFF_STEPS_PCT[steps]
    return Tariff(
        changes_on=_mid_year(request),
        rate_pct=rates,
        lower_neighbour=np.stack([_cheapest_neighbour(goods, rate) for rate in rates]),
    )


def _mid_year(request: Request) -> np.datetime64:
    """The first 1 July within the period, or the middle month of a period without one."""
    months = request.first_day.astype("datetime64[M]") + np.arange(1, request.months)
    julys = months[months.astype(np.int64) % 12 == 6]
    if julys.size:
        return np.datetime64(julys[0], "D")
    return np.datetime64(request.first_day.astype("datetime64[M]") + (request.months + 1) // 2, "D")


def _cheapest_neighbour(goods: Commodities, rate: np.ndarray) -> np.ndarray:
    by_rate = np.lexsort((rate, goods.heading))
    cheapest = by_rate[np.searchsorted(goods.heading[by_rate], goods.heading)]
    return np.where(rate[cheapest] < rate, cheapest, -1)


def _read_csv(name: str, types: dict[str, pa.DataType]) -> pa.Table:
    source = files(__package__).joinpath(name).read_bytes()
    return pa_csv.read_csv(BytesIO(source), convert_options=pa_csv.ConvertOptions(column_types=types))
