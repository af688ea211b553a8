"""Selectivity: what the system thinks of a declaration, and the lane it gives.

It sees the declaration and its own noisy opinion of the importer, never the truth. A declaration is red
by the random draw, by criteria, or evenly drawn to top the lane up to its expected rate; a supervisor
may move a red one to yellow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.columns import NOBODY, Columns, spread
from tidewaiter.synthetic.declaring import DeclaredItems
from tidewaiter.synthetic.profiles import Generator
from tidewaiter.synthetic.schemes import RING_OFFICE
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.traffic import DAY_S, Declarations, TrueItems

LANES = ("RED", "YELLOW", "BLUE", "GREEN")
RED, YELLOW, BLUE, GREEN = range(len(LANES))
SOURCES = ("RANDOM", "CRITERION", "TOPUP", "NONE")
RANDOM, CRITERION, TOPUP, NONE = range(len(SOURCES))
REASONS = ("PERISHABLE", "OPERATOR", "OTHER")
PERISHABLE, OPERATOR, OTHER = range(len(REASONS))
_NO_OPINION = 0.3  # of whoever gives no number


@dataclass(frozen=True)
class Selected(Columns):
    """One row per declaration.

    Attributes:
        score: What the system thinks; higher is more suspect.
        lane_initial, lane_final: Index into `LANES`.
        source: Index into `SOURCES`: why the first lane was given.
        override_by: Supervisor within the office who changed the lane, or `NOBODY`.
        override_reason: Index into `REASONS`; meaningful where the lane was changed.
        is_ring: S8, whether the change was part of the scheme.
        is_passed_over: S11, whether the draw would have taken it.
    """

    lane_s: np.ndarray
    score: np.ndarray
    lane_initial: np.ndarray
    lane_final: np.ndarray
    source: np.ndarray
    override_by: np.ndarray
    override_s: np.ndarray
    override_reason: np.ndarray
    is_ring: np.ndarray
    is_passed_over: np.ndarray


@dataclass(frozen=True)
class Thresholds:
    """Scores from which a declaration is red, yellow or blue: set by the load that offices expect."""

    red: float
    yellow: float
    blue: float


def score(
    setting: Setting, random: Generator, declarations: Declarations, true: TrueItems, declared: DeclaredItems
) -> np.ndarray:
    """Return the score of each declaration: its most suspect item as declared, and the importer."""
    of = spread(declarations.lines)
    goods = setting.goods
    declared_price = np.log(declared.value_usd / declared.net_kg)
    ln_usual = np.log(goods.usd_per_kg)
    usual_price = true.ln_reference_price + ln_usual[declared.commodity] - ln_usual[true.commodity]
    is_other_route = declared.origin != declarations.dispatch[of]
    suspicion = (
        0.8 * declared.rate_pct / 35
        + 0.8 * np.clip(usual_price - declared_price, 0, 2)
        + 0.6 * (declared.is_preferential & is_other_route)
        + random.normal(0, 0.4, of.size)
    )
    starts = np.cumsum(declarations.lines) - declarations.lines
    worst = np.maximum.reduceat(suspicion, starts)
    opinion = np.where(declarations.importer != NOBODY, setting.opinion[declarations.importer], _NO_OPINION)
    decoy = setting.request.plan.decoys.Z3
    relief = decoy.relief * np.isin(declarations.importer, setting.cast.operators) if decoy else 0.0
    found: np.ndarray = worst + opinion - relief
    return found


def thresholds(setting: Setting, scores: np.ndarray) -> Thresholds:
    """Return the scores at which the expected shares of the lanes are reached."""
    profile, world = setting.request.profile, setting.request.world
    drawn = world.random_share + world.topup_share
    # What the draws take, the criteria need not; of the others a share is drawn before they are judged.
    red = max(0.0, profile.red_share - drawn) / (1 - drawn)
    yellow = red + profile.yellow_share / (1 - drawn)
    blue = yellow + profile.blue_share / (1 - drawn)
    return Thresholds(*(float(np.quantile(scores, max(0.0, 1 - share))) for share in (red, yellow, blue)))


def select(
    setting: Setting, random: Generator, declarations: Declarations, scores: np.ndarray, at: Thresholds
) -> Selected:
    """Give every declaration its lane."""
    world, size = setting.request.world, len(declarations)
    luck = random.random((4, size))
    would_draw = luck[0] < world.random_share
    is_passed_over = would_draw & _is_passed_over(setting, declarations)
    is_drawn = would_draw & ~is_passed_over
    is_topped = ~would_draw & (luck[0] < world.random_share + world.topup_share)
    by_score = np.select(
        [scores >= at.red, scores >= at.yellow, scores >= at.blue], [RED, YELLOW, BLUE], GREEN
    )
    lane = np.where(is_drawn | is_topped, RED, by_score)
    source = np.select([is_drawn, is_topped, by_score != GREEN], [RANDOM, TOPUP, CRITERION], NONE)
    lane_s = declarations.registered_s + random.integers(2, 90, size)
    by, reason, is_ring = _overrides(setting, declarations, lane, lane_s, luck)
    return Selected(
        lane_s=lane_s,
        score=scores,
        lane_initial=lane,
        lane_final=np.where(by != NOBODY, YELLOW, lane),
        source=source,
        override_by=by,
        override_s=lane_s + random.integers(20, 60, size),
        override_reason=reason,
        is_ring=is_ring,
        is_passed_over=is_passed_over,
    )


def _is_passed_over(setting: Setting, declarations: Declarations) -> np.ndarray:
    scenario = setting.request.plan.scenarios.S11
    if scenario is None:
        return np.zeros(len(declarations), dtype=bool)
    start = setting.request.instant_s(scenario.start)
    within = (declarations.registered_s >= start) & (
        declarations.registered_s < start + scenario.days * DAY_S
    )
    return within & np.isin(declarations.declarant, setting.cast.passed_over)


def _overrides(
    setting: Setting,
    declarations: Declarations,
    lane: np.ndarray,
    lane_s: np.ndarray,
    luck: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who moved a red declaration to yellow, the reason entered, and whether the ring did it."""
    plan, cast = setting.request.plan, setting.cast
    supervisor = (luck[2] * 2).astype(np.int64)
    is_red = lane == RED
    honest = is_red & (luck[1] < setting.request.world.override_share)
    reason = np.where(luck[2] * 2 % 1 < 0.6, PERISHABLE, OTHER)
    if plan.decoys.Z3:
        is_trusted = np.isin(declarations.importer, cast.operators) & is_red
        moved = is_trusted & (luck[1] < plan.decoys.Z3.override)
        honest |= moved
        reason = np.where(moved, OPERATOR, reason)
    by = np.where(honest, supervisor, NOBODY)
    is_ring = np.zeros(lane.size, dtype=bool)
    if plan.scenarios.S8:
        theirs = np.isin(declarations.importer, cast.ring_importers) & is_red
        theirs &= lane_s >= setting.request.instant_s(plan.scenarios.S8.start)
        theirs &= declarations.office == RING_OFFICE
        is_ring = theirs & (luck[3] < plan.scenarios.S8.share)
        by = np.where(is_ring, cast.ring_supervisor, by)
        reason = np.where(is_ring, OTHER, reason)
    return by, reason, is_ring
