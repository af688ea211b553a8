"""From true goods to declared values: the planted scenarios, and what they hide in tax.

S1 undervaluation, S2 switch to a lower-taxed neighbouring subheading, S3 origin moved to a partner of
the trade agreement while the dispatch stays, S4 mass (and value with it) declared short. One item
carries at most one scenario.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.goods import Commodities, Tariff
from tidewaiter.synthetic.profiles import Generator, Request
from tidewaiter.synthetic.traffic import NOBODY, Declarations, Parties, TrueItems

SCENARIOS = ("S1", "S2", "S3", "S4")
HONEST = -1
_HIGHEST_PROBABILITY = 0.9  # even a bent importer declares some goods rightly
_OTHER_SCENARIO_WEIGHT = 0.15  # a bent importer's weight outside its preferred scenario


@dataclass(frozen=True)
class DeclaredItems:
    """What the declaration says, one entry per goods line, beside the truth about its tax.

    Attributes:
        scenario: Index into `SCENARIOS`, or `HONEST`.
        rate_pct: Duty that the declaration applies, preference included.
        tax_usd: Duty and value added tax computed from the declaration.
        true_rate_pct, true_tax_usd: The same from the true goods.
    """

    scenario: np.ndarray
    commodity: np.ndarray
    origin_iso2: np.ndarray
    is_preferential: np.ndarray
    value_usd: np.ndarray
    net_kg: np.ndarray
    gross_kg: np.ndarray
    rate_pct: np.ndarray
    tax_usd: np.ndarray
    true_rate_pct: np.ndarray
    true_tax_usd: np.ndarray


def declare(
    request: Request,
    goods: Commodities,
    tariff: Tariff,
    parties: Parties,
    declarations: Declarations,
    true: TrueItems,
) -> DeclaredItems:
    """Choose the irregular items and write every declaration accordingly."""
    random = request.stream("irregularities")
    true_rate = np.where(true.is_preferential, 0.0, tariff.rate_pct[true.commodity])
    importer = declarations.importer[true.declaration]
    scenario = _choose_scenarios(request, random, goods, tariff, parties, true, true_rate, importer)
    size = request.items
    value_factor = np.where(scenario == 0, random.uniform(0.30, 0.75, size), 1.0)
    mass_factor = np.where(scenario == 3, random.uniform(0.60, 0.85, size), 1.0)
    commodity = np.where(scenario == 1, tariff.lower_neighbour[true.commodity], true.commodity)
    partner = random.choice(np.array(request.profile.partner_iso2), size)
    is_preferential = true.is_preferential | (scenario == 2)
    value = true.value_usd * value_factor * mass_factor
    rate = np.where(is_preferential, 0.0, tariff.rate_pct[commodity])
    return DeclaredItems(
        scenario=scenario,
        commodity=commodity,
        origin_iso2=np.where(scenario == 2, partner, true.origin_iso2),
        is_preferential=is_preferential,
        value_usd=value,
        net_kg=true.net_kg * mass_factor,
        gross_kg=true.gross_kg * mass_factor,
        rate_pct=rate,
        tax_usd=tax_of(value, rate, request.profile.vat_pct),
        true_rate_pct=true_rate,
        true_tax_usd=tax_of(true.value_usd, true_rate, request.profile.vat_pct),
    )


def tax_of(value: np.ndarray, rate_pct: np.ndarray, vat_pct: float) -> np.ndarray:
    """Return duty plus value added tax on value and duty, in the unit of `value`."""
    duty = value * rate_pct / 100
    tax: np.ndarray = duty + (value + duty) * vat_pct / 100
    return tax


def _choose_scenarios(
    request: Request,
    random: Generator,
    goods: Commodities,
    tariff: Tariff,
    parties: Parties,
    true: TrueItems,
    true_rate: np.ndarray,
    importer: np.ndarray,
) -> np.ndarray:
    world = request.world
    is_bent = (importer != NOBODY) & parties.is_bent[importer]
    preferred = parties.preferred_scenario[importer]
    is_partner_origin = np.isin(true.origin_iso2, request.profile.partner_iso2)
    eligible = (
        goods.is_differentiated[true.commodity] & (true_rate >= 20),
        (tariff.lower_neighbour[true.commodity] >= 0) & ~true.is_preferential,
        ~is_partner_origin & (true_rate >= 5),
        np.ones(request.items, dtype=bool),
    )
    shares = (world.undervaluation_share, world.hs_switch_share, world.origin_share, world.weight_share)
    scenario = np.full(request.items, HONEST)
    for index, share in enumerate(shares):
        bent_weight = world.bent_weight * np.where(preferred == index, 1.0, _OTHER_SCENARIO_WEIGHT)
        weight = np.where(is_bent, bent_weight, 1.0) * (eligible[index] & (scenario == HONEST))
        chosen = random.random(request.items) < _probabilities(weight, share * request.items)
        scenario[chosen] = index
    return scenario


def _probabilities(weight: np.ndarray, expected: float) -> np.ndarray:
    """Probabilities proportional to `weight`, capped, whose sum is `expected` where the cap allows."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        if np.minimum(middle * weight, _HIGHEST_PROBABILITY).sum() < expected:
            low = middle
        else:
            high = middle
    probabilities: np.ndarray = np.minimum(low * weight, _HIGHEST_PROBABILITY)
    return probabilities
