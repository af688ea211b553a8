"""What happens to a file: examination, act, amendment, release, label, and audits afterwards.

Findings are noisy: an irregularity is found with the inspector's sensitivity, an honest item accused
with one minus the specificity. What nobody looked at has no label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.assignment import Assigned
from tidewaiter.synthetic.columns import Columns, spread
from tidewaiter.synthetic.declaring import (
    CONFORM,
    FINDING_OF_SCENARIO,
    HONEST,
    VALUE,
    tax_of,
)
from tidewaiter.synthetic.profiles import Generator
from tidewaiter.synthetic.resubmission import NEVER, Batch, Cancelled
from tidewaiter.synthetic.selectivity import BLUE, RED, Selected
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.traffic import DAY_S

_ACT_MEDIAN_H = (6.0, 2.5)  # from assignment, red and yellow; assumed
_RELEASE_MEDIAN_H = (30.0, 12.0, 1.5, 1.0)  # from the act, or from the lane where nobody acts; assumed
_SIGMA = 0.6
_FOUND_DELAY = 1.5  # factor on the time to release where something was found
_SERIOUS_TAX_SHARE = 0.25  # of the tax due; an irregularity that hides more is serious (assumed)
_AUDIT_FROM_D, _AUDIT_TO_D = 45, 180
_P95_OF_NORMAL = 1.6448536269514722
AUDIT_NONE, AUDIT_RANDOM, AUDIT_TARGETED = range(3)


@dataclass(frozen=True)
class Cleared(Columns):
    """One row per declaration; instants are `NEVER` where nothing happens.

    Attributes:
        act_s: When the inspection act was written.
        is_off_shift: Whether that was off the inspector's shift.
        audit: Kind of audit after clearance.
    """

    act_s: np.ndarray
    released_s: np.ndarray
    is_off_shift: np.ndarray
    audit: np.ndarray
    audited_s: np.ndarray


@dataclass(frozen=True)
class Outcomes(Columns):
    """One row per goods line.

    Attributes:
        is_examined: Whether an inspector looked at it.
        finding: Index into `FINDINGS`; meaningful where examined.
        is_extorted: S10, whether the value was raised without ground.
        is_audited: Whether an audit looked at it by the end of the period.
        audit_finding: Index into `FINDINGS`; meaningful where audited.
        is_labelled: Whether the outcome is known by the end of the period.
        is_irregular, is_serious: What was found; meaningful where labelled.
        by_audit: Whether the label is the audit's.
        recovered_tax_usd: Assessed minus declared tax; meaningful where labelled.
        assessed_value_usd: Value after amendment; as declared where nothing was found or known.
        label_s: Instant from which the label is known.
    """

    is_examined: np.ndarray
    finding: np.ndarray
    is_extorted: np.ndarray
    is_audited: np.ndarray
    audit_finding: np.ndarray
    is_labelled: np.ndarray
    is_irregular: np.ndarray
    is_serious: np.ndarray
    by_audit: np.ndarray
    recovered_tax_usd: np.ndarray
    assessed_value_usd: np.ndarray
    label_s: np.ndarray


def examine(
    setting: Setting,
    random: Generator,
    batch: Batch,
    selected: Selected,
    cancelled: Cancelled,
    assigned: Assigned,
) -> tuple[Cleared, Outcomes]:
    """Examine, release and label everything that is not cancelled."""
    of = spread(batch.declarations.lines)
    is_examined = assigned.is_assigned & (cancelled.cancelled_s == NEVER)
    finding, is_extorted = _findings(setting, random, batch, assigned, of)
    is_found = (finding != CONFORM) & is_examined[of]
    has_found = np.bincount(of, is_found, minlength=len(batch.declarations)) > 0
    cleared = _clear(setting, random, batch, selected, cancelled, assigned, has_found)
    return cleared, _outcomes(setting, random, batch, cleared, is_examined[of], finding, is_extorted, of)


def _findings(
    setting: Setting, random: Generator, batch: Batch, assigned: Assigned, of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the inspector in charge finds, or would find, in each item."""
    world, plan, cast = setting.request.world, setting.request.plan.scenarios, setting.cast
    inspector = assigned.last[of]
    at_s = assigned.assigned_s[of]
    scenario = batch.declared.scenario
    is_true = scenario != HONEST
    sensitivity = np.full(of.size, world.sensitivity)
    if plan.S9:
        is_lenient = np.isin(inspector, cast.lenient) & (at_s >= setting.request.instant_s(plan.S9.start))
        sensitivity[is_lenient] = plan.S9.sensitivity
    # The colluding inspector sees nothing in what he was given to pass.
    sensitivity[assigned.is_diverted[of]] = 0.0
    luck = random.random((2, of.size))
    is_found = luck[0] < np.where(is_true, sensitivity, 1 - world.specificity)
    finding = np.where(is_found, np.where(is_true, FINDING_OF_SCENARIO[scenario], VALUE), CONFORM)
    is_extorted = np.zeros(of.size, dtype=bool)
    if plan.S10:
        theirs = np.isin(inspector, cast.extorting) & (at_s >= setting.request.instant_s(plan.S10.start))
        is_small = setting.is_small_importer[batch.declarations.consignee[of]]
        is_extorted = theirs & is_small & (finding == CONFORM) & (luck[1] < plan.S10.uplifted)
        finding = np.where(is_extorted, VALUE, finding)
    return finding, is_extorted


def _clear(
    setting: Setting,
    random: Generator,
    batch: Batch,
    selected: Selected,
    cancelled: Cancelled,
    assigned: Assigned,
    has_found: np.ndarray,
) -> Cleared:
    size = len(batch.declarations)
    pace = _pace(setting, batch, selected, assigned)
    median_h = np.where(selected.lane_final == RED, *_ACT_MEDIAN_H)
    act_s, is_off_shift = _act_times(setting, random, batch, assigned, median_h * pace)
    stands = cancelled.cancelled_s == NEVER
    acts = assigned.is_assigned & stands
    lane_h = np.array(_RELEASE_MEDIAN_H)[selected.lane_final]
    delay_h = lane_h * np.exp(random.normal(0, _SIGMA, size)) * pace
    delay_h *= np.where(has_found, _FOUND_DELAY, 1.0)
    start = np.where(acts, act_s, selected.lane_s)
    released_s = np.where(stands, start + (delay_h * 3600).astype(np.int64), NEVER)
    audit, audited_s = _audits(setting, random, selected, released_s)
    return Cleared(
        act_s=np.where(acts, act_s, NEVER),
        released_s=released_s,
        is_off_shift=is_off_shift & acts,
        audit=audit,
        audited_s=audited_s,
    )


def _pace(setting: Setting, batch: Batch, selected: Selected, assigned: Assigned) -> np.ndarray:
    """Return the factor on all times: of favours, of extortion, of trust."""
    plan, cast = setting.request.plan, setting.cast
    pace = np.ones(len(batch.declarations))
    if plan.scenarios.S6:
        pace[assigned.is_diverted] *= plan.scenarios.S6.clearance
    if plan.scenarios.S10:
        theirs = np.isin(assigned.last, cast.extorting) & assigned.is_assigned
        theirs &= assigned.assigned_s >= setting.request.instant_s(plan.scenarios.S10.start)
        pace[theirs] *= plan.scenarios.S10.delay
    if plan.decoys.Z3:
        pace[np.isin(batch.declarations.importer, cast.operators)] *= plan.decoys.Z3.clearance
    return pace


def _act_times(
    setting: Setting, random: Generator, batch: Batch, assigned: Assigned, median_h: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return when acts are written: within the shift, or early in the inspector's next one."""
    officers, size = setting.officers, len(batch.declarations)
    office, inspector = batch.declarations.office, assigned.last
    worked_s = (median_h * np.exp(random.normal(0, _SIGMA, size)) * 3600).astype(np.int64)
    at_once = assigned.assigned_s + worked_s
    _, ends = officers.bounds_s(office, assigned.duty_day, assigned.shift)
    place = np.clip(assigned.duty_day - officers.first_day, 0, officers.days - 1)
    # Long work fills whole duty days; what is left over is done on the one after.
    next_place = officers.next_day[inspector, place]
    is_long = worked_s > DAY_S
    next_place = np.where(is_long, officers.next_day[inspector, next_place], next_place)
    next_shift = np.maximum(officers.shift[inspector, next_place], 0)
    begins, _ = officers.bounds_s(office, next_place + officers.first_day, next_shift)
    later = begins + worked_s % (6 * 3600)
    is_overtime = random.random(size) < setting.request.world.overtime_share
    within = at_once < ends
    act_s = np.where(within | is_overtime, at_once, later)
    return act_s, ~within & is_overtime


def _audits(
    setting: Setting, random: Generator, selected: Selected, released_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose audits after clearance: evenly drawn, or targeted at the blue lane and at high scores."""
    world, size = setting.request.world, released_s.size
    luck = random.random((3, size))
    is_random = luck[0] < world.audit_random_share
    chosen = np.where(selected.lane_final == BLUE, world.audit_blue_share, world.audit_targeted_share)
    audit = np.where(is_random, AUDIT_RANDOM, np.where(luck[1] < chosen, AUDIT_TARGETED, AUDIT_NONE))
    wait_s = ((_AUDIT_FROM_D + luck[2] * (_AUDIT_TO_D - _AUDIT_FROM_D)) * DAY_S).astype(np.int64)
    audited_s = np.where((audit != AUDIT_NONE) & (released_s != NEVER), released_s + wait_s, NEVER)
    audited_s[audited_s >= setting.request.end_s] = NEVER
    return np.where(audited_s == NEVER, AUDIT_NONE, audit), audited_s


def _outcomes(
    setting: Setting,
    random: Generator,
    batch: Batch,
    cleared: Cleared,
    is_examined: np.ndarray,
    finding: np.ndarray,
    is_extorted: np.ndarray,
    of: np.ndarray,
) -> Outcomes:
    world, size = setting.request.world, of.size
    declared = batch.declared
    is_true = declared.scenario != HONEST
    luck = random.random((2, size))
    is_audited = cleared.audited_s[of] != NEVER
    found_by_audit = luck[0] < np.where(is_true, world.audit_sensitivity, 1 - world.audit_specificity)
    truly = np.where(is_true, FINDING_OF_SCENARIO[declared.scenario], VALUE)
    audit_finding = np.where(found_by_audit, truly, CONFORM)
    sigma = np.log(world.label_delay_p95_d / world.label_delay_median_d) / _P95_OF_NORMAL
    delay_d = world.label_delay_median_d * np.exp(random.normal(0, sigma, size))
    examined_s = cleared.released_s[of] + (delay_d * DAY_S).astype(np.int64)
    is_known = is_examined & (examined_s < setting.request.end_s)
    by_audit = is_audited & ~is_examined
    result = np.where(is_examined, finding, audit_finding)
    is_irregular = result != CONFORM
    assessed_value, recovered = _assessed(setting, batch, is_true, is_extorted, luck[1])
    recovered = np.where(is_irregular, recovered, 0.0)
    is_labelled = is_known | by_audit
    owed = declared.tax_usd + recovered
    return Outcomes(
        is_examined=is_examined,
        finding=finding,
        is_extorted=is_extorted & is_examined,
        is_audited=is_audited,
        audit_finding=audit_finding,
        is_labelled=is_labelled,
        is_irregular=is_irregular,
        is_serious=is_irregular & (recovered >= _SERIOUS_TAX_SHARE * owed) & (recovered > 0),
        by_audit=by_audit,
        recovered_tax_usd=recovered,
        assessed_value_usd=np.where(is_irregular & is_labelled, assessed_value, declared.value_usd),
        label_s=np.where(is_examined, examined_s, cleared.audited_s[of]),
    )


def _assessed(
    setting: Setting, batch: Batch, is_true: np.ndarray, is_extorted: np.ndarray, luck: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return value and additional tax that a finding gives."""
    true, declared, plan = batch.true, batch.declared, setting.request.plan.scenarios
    # A wrong finding costs the importer a small uplift of the value.
    uplift = 1 + 0.01 + 0.05 * luck
    if plan.S10:
        uplift = np.where(is_extorted, 1 + plan.S10.uplift, uplift)
    uplifted = declared.value_usd * uplift
    wrong_tax = np.where(
        declared.is_relieved, 0.0, tax_of(uplifted, declared.rate_pct, setting.request.profile.vat_pct)
    )
    value = np.where(is_true, true.value_usd, uplifted)
    tax = np.where(is_true, declared.true_tax_usd, wrong_tax)
    return value, tax - declared.tax_usd
