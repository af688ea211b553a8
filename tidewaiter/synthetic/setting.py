"""What stands before the first declaration is lodged, and stays the same throughout the period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.goods import COUNTRIES, Commodities, Tariff, draw_tariff, load_commodities
from tidewaiter.synthetic.officers import Officers, draw_officers
from tidewaiter.synthetic.parties import Parties, draw_parties
from tidewaiter.synthetic.profiles import Request
from tidewaiter.synthetic.rates import ExchangeRates, draw_rates
from tidewaiter.synthetic.schemes import Cast, draw_cast

_YEAR_S = 365.25 * 86_400
_SMALL_FROM = 0.05  # importers below the largest twentieth are small; they lodge about half of all
_SEASON = 0.15  # amplitude of ln price of fresh produce, assumed


@dataclass(frozen=True)
class Setting:
    """One member's goods, rules, people and parts.

    Attributes:
        opinion: What selectivity thinks of each importer: informed, and noisy.
        ln_price_by_origin: Shift of ln price by commodity and country.
        is_partner: By country, whether it is party to the free trade agreement.
        is_small_importer: Whether the importer is below the largest twentieth by size.
    """

    request: Request
    goods: Commodities
    tariff: Tariff
    rates: ExchangeRates
    parties: Parties
    officers: Officers
    cast: Cast
    opinion: np.ndarray
    ln_price_by_origin: np.ndarray
    is_partner: np.ndarray
    is_small_importer: np.ndarray

    def ln_reference_price(
        self, commodity: np.ndarray, origin: np.ndarray, local_s: np.ndarray
    ) -> np.ndarray:
        """Return the usual ln USD per kg: by commodity and origin, with drift and season."""
        years = (local_s - self.request.first_s) / _YEAR_S
        price: np.ndarray = np.log(self.goods.usd_per_kg)[commodity]
        price = price + self.ln_price_by_origin[commodity, origin]
        price += self.request.world.price_drift_per_year * years
        season = _SEASON * np.sin(2 * np.pi * years)
        return price + np.where(self.goods.is_seasonal[commodity], season, 0.0)


def draw_setting(request: Request) -> Setting:
    """Draw what stands before the first declaration."""
    goods = load_commodities(request.profile.hs_edition)
    parties = draw_parties(request, goods)
    officers = draw_officers(request)
    random = request.stream("setting")
    return Setting(
        request=request,
        goods=goods,
        tariff=draw_tariff(request, goods),
        rates=draw_rates(request),
        parties=parties,
        officers=officers,
        cast=draw_cast(request, goods, parties, officers),
        opinion=parties.is_bent * 0.6 + random.normal(0, 0.5, parties.importers),
        ln_price_by_origin=random.normal(
            0, request.world.price_sigma_origin, (goods.hs6.size, COUNTRIES.size)
        ),
        is_partner=np.isin(COUNTRIES, request.profile.partner_iso2),
        is_small_importer=parties.importer_place >= _SMALL_FROM * parties.place_shares.size,
    )
