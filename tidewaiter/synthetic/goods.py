"""Commodities, countries and the tariff of one member: what may be traded and what it costs to bring in.

`commodities.csv` holds real HS 2022 subheadings; whether each is differentiated (after Rauch 1999,
our own reading) and its usual price in USD per kg are assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from tidewaiter.synthetic.profiles import Request

TARIFF_STEPS_PCT = np.array([0.0, 5.0, 10.0, 20.0, 35.0])
_STEP_SHARES_HOMOGENEOUS = (0.25, 0.30, 0.25, 0.15, 0.05)
_STEP_SHARES_DIFFERENTIATED = (0.05, 0.10, 0.25, 0.35, 0.25)
_SUBHEADING_DEVIATES = 0.40

# Origins by weight: the large exporters first (order after usual world trade shares, weights assumed).
# fmt: off
ORIGINS = np.array([
    "CN", "US", "DE", "JP", "IN", "KR", "IT", "TR", "FR", "NL", "TH", "VN", "BR", "ZA", "GB", "ES",
    "ID", "MY", "EG", "MX", "AE", "PK", "UG", "TZ", "CI", "GH", "NG", "TG", "CR", "SV", "HN", "PL",
])
# fmt: on
ORIGIN_ZIPF = 0.8
HUBS = np.array(["AE", "SG", "NL", "HK", "PA"])


@dataclass(frozen=True)
class Commodities:
    """Subheadings in order of `hs6`, one entry each.

    Attributes:
        hs6: Six digits as text.
        is_differentiated: Whether prices differ by brand and quality rather than by weight.
        usd_per_kg: Usual price.
        heading: Index of the HS4 heading, from 0.
    """

    hs6: np.ndarray
    is_differentiated: np.ndarray
    usd_per_kg: np.ndarray
    heading: np.ndarray


@dataclass(frozen=True)
class Tariff:
    """Rates of one member.

    Attributes:
        rate_pct: Duty by commodity.
        lower_neighbour: Commodity of the same heading with the lowest rate, where that is lower;
            otherwise -1.
    """

    rate_pct: np.ndarray
    lower_neighbour: np.ndarray


@cache
def load_commodities() -> Commodities:
    """Read the checked-in subheadings."""
    source = files(__package__).joinpath("commodities.csv").read_bytes()
    types = {"hs6": pa.string(), "is_differentiated": pa.int8(), "usd_per_kg": pa.float64()}
    table = pa_csv.read_csv(
        BytesIO(source), convert_options=pa_csv.ConvertOptions(column_types=types)
    ).sort_by("hs6")
    headings = pc.utf8_slice_codeunits(table["hs6"], 0, 4)
    return Commodities(
        hs6=table["hs6"].to_numpy().astype(str),
        is_differentiated=table["is_differentiated"].to_numpy() == 1,
        usd_per_kg=table["usd_per_kg"].to_numpy(),
        heading=np.unique(headings.to_numpy().astype(str), return_inverse=True)[1],
    )


def draw_tariff(request: Request, goods: Commodities) -> Tariff:
    """Draw rates that cluster by heading, with some subheadings one step above or below."""
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
    last = len(TARIFF_STEPS_PCT) - 1
    rate = TARIFF_STEPS_PCT[np.clip(base.clip(max=last)[goods.heading] + shift, 0, last)]
    by_rate = np.lexsort((rate, goods.heading))
    cheapest = by_rate[np.searchsorted(goods.heading[by_rate], goods.heading)]
    return Tariff(rate_pct=rate, lower_neighbour=np.where(rate[cheapest] < rate, cheapest, -1))
