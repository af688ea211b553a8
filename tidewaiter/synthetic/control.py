"""What customs does: selectivity, lane, inspector, examination, release, and when the label is known.

Selectivity sees the declaration and its own noisy opinion of the importer, never the truth. What is
not inspected has no label; what is inspected has a noisy one, some days later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.goods import Commodities
from tidewaiter.synthetic.irregularities import HONEST, DeclaredItems, tax_of
from tidewaiter.synthetic.profiles import Generator, Request
from tidewaiter.synthetic.traffic import NOBODY, Declarations, Parties, TrueItems

LANES = np.array(["RED", "YELLOW", "BLUE", "GREEN"])
RED, YELLOW, BLUE, GREEN = range(4)
_FINDING_BY_SCENARIO = np.array(["VALUE", "HS", "ORIGIN", "QTY"])
_RELEASE_MEDIAN_H = np.array([52.0, 20.0, 1.5, 1.0])  # by lane, assumed
_RELEASE_SIGMA = 0.6
_SERIOUS_TAX_SHARE = 0.25  # of the tax due; an irregularity that hides more is serious (assumed)
_P95_OF_NORMAL = 1.6448536269514722


@dataclass(frozen=True)
class ControlledDeclarations:
    """One entry per declaration; instants are local seconds since 1970-01-01.

    Attributes:
        lane: Index into `LANES`.
        is_random: Whether the random draw gave the lane.
        inspector: Officer's number within the member, or `NOBODY`.
    """

    lane: np.ndarray
    is_random: np.ndarray
    inspector: np.ndarray
    lane_s: np.ndarray
    assigned_s: np.ndarray
    released_s: np.ndarray

    @property
    def is_inspected(self) -> np.ndarray:
        """Whether an inspector looked at the goods or the papers."""
        inspected: np.ndarray = self.lane <= YELLOW
        return inspected


@dataclass(frozen=True)
class Outcomes:
    """One entry per goods line.

    Attributes:
        is_labelled: Whether the item was inspected and the outcome known by the end of the period.
        is_irregular, is_serious: What the examination found; meaningful where labelled.
        finding_code: Canonical inspection result; meaningful where labelled.
        recovered_tax_usd: Assessed minus declared tax; meaningful where labelled.
        assessed_value_usd: Value after amendment; as declared where nothing was found or known.
        label_s: Instant from which the label is known.
    """

    is_labelled: np.ndarray
    is_irregular: np.ndarray
    is_serious: np.ndarray
    finding_code: np.ndarray
    recovered_tax_usd: np.ndarray
    assessed_value_usd: np.ndarray
    label_s: np.ndarray


def control(
    request: Request,
    goods: Commodities,
    parties: Parties,
    declarations: Declarations,
    true: TrueItems,
    declared: DeclaredItems,
) -> ControlledDeclarations:
    """Give every declaration a lane, an inspector where one is due, and its instants."""
    random, profile = request.stream("control"), request.profile
    size = declarations.items.size
    is_random = random.random(size) < request.world.random_share
    score = _criteria_score(request, random, goods, parties, declarations, true, declared)
    lane = _lanes(request, score, is_random)
    officer = random.integers(0, profile.inspectors_per_office, size)
    inspector = declarations.office * profile.inspectors_per_office + officer
    lane_s = declarations.registered_s + random.integers(2, 90, size)
    assigned_s = lane_s + random.integers(60, 4 * 3600, size)
    release_h = _RELEASE_MEDIAN_H[lane] * np.exp(random.normal(0, _RELEASE_SIGMA, size))
    start = np.where(lane <= YELLOW, assigned_s, lane_s)
    return ControlledDeclarations(
        lane=lane,
        is_random=is_random,
        inspector=np.where(lane <= YELLOW, inspector, NOBODY),
        lane_s=lane_s,
        assigned_s=assigned_s,
        released_s=start + (release_h * 3600).astype(np.int64),
    )


def examine(
    request: Request, true: TrueItems, declared: DeclaredItems, controlled: ControlledDeclarations
) -> Outcomes:
    """Examine the items of inspected declarations, amend, and wait for the label."""
    random, world, vat_pct = request.stream("examination"), request.world, request.profile.vat_pct
    size = request.items
    is_true = declared.scenario != HONEST
    chance = np.where(is_true, world.sensitivity, 1 - world.specificity)
    is_found = random.random(size) < chance
    # A wrong finding costs the importer a small uplift of the value.
    uplifted = declared.value_usd * (1 + random.uniform(0.01, 0.06, size))
    assessed_value = np.where(is_true, true.value_usd, uplifted)
    assessed_tax = np.where(is_true, declared.true_tax_usd, tax_of(uplifted, declared.rate_pct, vat_pct))
    recovered = np.where(is_found, assessed_tax - declared.tax_usd, 0.0)
    finding = np.where(is_true, _FINDING_BY_SCENARIO[declared.scenario], "VALUE")
    sigma = np.log(world.label_delay_p95_d / world.label_delay_median_d) / _P95_OF_NORMAL
    delay_d = world.label_delay_median_d * np.exp(random.normal(0, sigma, size))
    label_s = controlled.released_s[true.declaration] + (delay_d * 86_400).astype(np.int64)
    end_s = int(request.end_day.astype("datetime64[s]").astype(np.int64))
    is_labelled = controlled.is_inspected[true.declaration] & (label_s < end_s)
    return Outcomes(
        is_labelled=is_labelled,
        is_irregular=is_found,
        is_serious=is_found & (recovered >= _SERIOUS_TAX_SHARE * assessed_tax) & (recovered > 0),
        finding_code=np.where(is_found, finding, "CONFORM"),
        recovered_tax_usd=recovered,
        assessed_value_usd=np.where(is_found & is_labelled, assessed_value, declared.value_usd),
        label_s=label_s,
    )


def _criteria_score(
    request: Request,
    random: Generator,
    goods: Commodities,
    parties: Parties,
    declarations: Declarations,
    true: TrueItems,
    declared: DeclaredItems,
) -> np.ndarray:
    """Score of a declaration: its most suspect item, as declared, and the opinion of the importer."""
    declared_price = np.log(declared.value_usd / declared.net_kg)
    usual_price = true.ln_reference_price + np.log(
        goods.usd_per_kg[declared.commodity] / goods.usd_per_kg[true.commodity]
    )
    is_other_route = declared.origin_iso2 != declarations.dispatch_iso2[true.declaration]
    suspicion = (
        0.8 * declared.rate_pct / 35
        + 0.8 * np.clip(usual_price - declared_price, 0, 2)
        + 0.6 * (declared.is_preferential & is_other_route)
        + random.normal(0, 0.4, request.items)
    )
    starts = np.cumsum(declarations.items) - declarations.items
    worst = np.maximum.reduceat(suspicion, starts)
    opinion = parties.is_bent * 0.6 + random.normal(0, 0.5, parties.is_bent.size)
    known = declarations.importer != NOBODY
    score: np.ndarray = worst + np.where(known, opinion[declarations.importer], 0.3)
    return score


def _lanes(request: Request, score: np.ndarray, is_random: np.ndarray) -> np.ndarray:
    """Red for the random draw and the highest scores, then yellow, then blue, up to their shares."""
    profile, size = request.profile, score.size
    order = np.argsort(np.where(is_random, -np.inf, -score), kind="stable")
    bounds = np.cumsum([profile.red_share, profile.yellow_share, profile.blue_share]) * size
    lane = np.empty(size, dtype=np.int64)
    lane[order] = np.searchsorted(np.rint(bounds), np.arange(size), side="right")
    return lane
