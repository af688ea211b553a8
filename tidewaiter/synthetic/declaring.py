"""From true goods to declared values: what is hidden, and what it hides in tax.

S1 undervaluation, S2 the cheapest-taxed subheading of the heading, S3 origin moved to a partner of the
trade agreement while the dispatch stays, S4 mass and value short, S5 parts under the de minimis value,
S6 what colluding brokers undervalue, S12 mass and value short in a trade that nobody knows. An item
carries one at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.columns import NOBODY, Columns, spread
from tidewaiter.synthetic.periods import Chunk
from tidewaiter.synthetic.profiles import Generator
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.traffic import Declarations, TrueItems

SCENARIOS = ("S1", "S2", "S3", "S4", "S5", "S6", "S12")
S1, S2, S3, S4, S5, S6, S12 = range(len(SCENARIOS))
HONEST = -1
FINDINGS = ("CONFORM", "VALUE", "HS", "ORIGIN", "QTY")
CONFORM, VALUE, HS, ORIGIN, QTY = range(len(FINDINGS))
FINDING_OF_SCENARIO = np.array([VALUE, HS, ORIGIN, QTY, VALUE, VALUE, QTY])
_HIGHEST_PROBABILITY = 0.9  # even a bent importer declares some goods rightly
_OTHER_SCENARIO_WEIGHT = 0.15  # a bent importer's weight outside its preferred scenario


@dataclass(frozen=True)
class DeclaredItems(Columns):
    """What the declaration says, one row per goods line, beside the truth about its tax.

    Attributes:
        scenario: Index into `SCENARIOS`, or `HONEST`.
        rate_pct: Duty that the declaration applies, preference and relief included.
        is_relieved: Whether it passes as a courier consignment under the de minimis value.
        tax_usd: Duty and value added tax computed from the declaration.
        true_rate_pct, true_tax_usd: The same from the true goods.
    """

    scenario: np.ndarray
    commodity: np.ndarray
    origin: np.ndarray
    is_preferential: np.ndarray
    is_relieved: np.ndarray
    value_usd: np.ndarray
    net_kg: np.ndarray
    gross_kg: np.ndarray
    rate_pct: np.ndarray
    tax_usd: np.ndarray
    true_rate_pct: np.ndarray
    true_tax_usd: np.ndarray


def declare(setting: Setting, chunk: Chunk, declarations: Declarations, true: TrueItems) -> DeclaredItems:
    """Choose the irregular items and write every declaration accordingly."""
    random = setting.request.stream("irregularities", chunk.number)
    of = spread(declarations.lines)
    period = setting.tariff.period(declarations.registered_s[of])
    true_rate = np.where(true.is_preferential, 0.0, setting.tariff.rate_pct[period, true.commodity])
    scenario = _choose(setting, random, declarations, of, true, true_rate, period)
    size = of.size
    luck = random.random(size)
    value_factor, mass_factor = _factors(setting, scenario, luck)
    lower = setting.tariff.lower_neighbour[period, true.commodity]
    commodity = np.where(scenario == S2, lower, true.commodity)
    partners = np.flatnonzero(setting.is_partner)
    origin = np.where(scenario == S3, partners[random.integers(0, partners.size, size)], true.origin)
    is_preferential = true.is_preferential | (scenario == S3)
    value = true.value_usd * value_factor
    is_relieved = _is_relieved(setting, declarations, of, value)
    rate = np.where(is_preferential | is_relieved, 0.0, setting.tariff.rate_pct[period, commodity])
    truly_relieved = _is_relieved(setting, declarations, of, true.value_usd) & (scenario != S5)
    return DeclaredItems(
        scenario=scenario,
        commodity=commodity,
        origin=origin,
        is_preferential=is_preferential,
        is_relieved=is_relieved,
        value_usd=value,
        net_kg=true.net_kg * mass_factor,
        gross_kg=true.gross_kg * mass_factor,
        rate_pct=rate,
        tax_usd=np.where(is_relieved, 0.0, tax_of(value, rate, setting.request.profile.vat_pct)),
        true_rate_pct=np.where(truly_relieved, 0.0, true_rate),
        true_tax_usd=np.where(
            truly_relieved, 0.0, tax_of(true.value_usd, true_rate, setting.request.profile.vat_pct)
        ),
    )


def tax_of(value: np.ndarray, rate_pct: np.ndarray, vat_pct: float) -> np.ndarray:
    """Return duty plus value added tax on value and duty, in the unit of `value`."""
    duty = value * rate_pct / 100
    tax: np.ndarray = duty + (value + duty) * vat_pct / 100
    return tax


def _factors(setting: Setting, scenario: np.ndarray, luck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return declared over true value and mass."""
    plan = setting.request.plan.scenarios
    value, mass = np.ones(scenario.size), np.ones(scenario.size)
    strengths = {S1: plan.S1, S4: plan.S4, S6: plan.S1, S12: plan.S12}
    for index, strength in strengths.items():
        low, high = (strength.low, strength.high) if strength else (0.30, 0.75)
        is_chosen = scenario == index
        factor = low + luck[is_chosen] * (high - low)
        value[is_chosen] = factor
        if index in (S4, S12):
            mass[is_chosen] = factor
    return value, mass


def _is_relieved(
    setting: Setting, declarations: Declarations, of: np.ndarray, value_usd: np.ndarray
) -> np.ndarray:
    total = np.bincount(of, value_usd, minlength=len(declarations))
    is_small = (total < setting.request.profile.de_minimis_usd) & (declarations.courier != NOBODY)
    relieved: np.ndarray = is_small[of]
    return relieved


def _choose(
    setting: Setting,
    random: Generator,
    declarations: Declarations,
    of: np.ndarray,
    true: TrueItems,
    true_rate: np.ndarray,
    period: np.ndarray,
) -> np.ndarray:
    plan, parties = setting.request.plan.scenarios, setting.parties
    size = of.size
    importer = declarations.importer[of]
    is_bent = (importer != NOBODY) & parties.is_bent[importer]
    preferred = parties.preferred_scenario[importer]
    is_free = ~declarations.is_split[of] & ~declarations.is_novel[of] & (declarations.arranged_with[of] < 0)
    strengths = (plan.S1, plan.S2, plan.S3, plan.S4)
    is_differentiated = setting.goods.is_differentiated[true.commodity]
    lower = setting.tariff.lower_neighbour[period, true.commodity]
    eligible = (
        is_differentiated & (true_rate >= (plan.S1.rate_from_pct if plan.S1 else 0.0)),
        (lower >= 0) & ~true.is_preferential,
        ~setting.is_partner[true.origin] & (true_rate >= 5),
        np.ones(size, dtype=bool),
    )
    scenario = np.full(size, HONEST)
    for index, strength in enumerate(strengths):
        luck = random.random(size)
        if strength is None:
            continue
        way = np.where(preferred == index, 1.0, _OTHER_SCENARIO_WEIGHT)
        weight = np.where(is_bent, setting.request.world.bent_weight * way, 1.0)
        weight *= is_free & eligible[index] & (scenario == HONEST)
        scenario[luck < _probabilities(weight, strength.share * size)] = index
    luck = random.random((2, size))
    if plan.S12:
        scenario[declarations.is_novel[of] & (luck[0] < plan.S12.irregular)] = S12
    if plan.S6:
        is_arranged = (declarations.arranged_with[of] >= 0) & (true_rate > 0)
        scenario[is_arranged & (luck[1] < plan.S6.undervalued)] = S6
    scenario[declarations.is_split[of]] = S5
    return scenario


def _probabilities(weight: np.ndarray, expected: float) -> np.ndarray:
    """Probabilities proportional to `weight`, capped, whose sum is `expected` where the cap allows."""
    distinct, place, counts = np.unique(weight, return_inverse=True, return_counts=True)
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        if (np.minimum(middle * distinct, _HIGHEST_PROBABILITY) * counts).sum() < expected:
            low = middle
        else:
            high = middle
    probabilities: np.ndarray = np.minimum(low * distinct, _HIGHEST_PROBABILITY)[place]
    return probabilities
