"""Who examines: an inspector drawn evenly among those on duty in that office, team and shift.

A colluding broker's arranged file goes to the colluding inspector where he is on duty (S6): the draw is
by-passed, the roster is kept. A supervisor may honestly give a file to another inspector of the shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.columns import NOBODY, Columns
from tidewaiter.synthetic.officers import GENERAL, LONGEST_WAIT_S, VEHICLES
from tidewaiter.synthetic.profiles import Generator
from tidewaiter.synthetic.resubmission import NEVER, Batch, Cancelled
from tidewaiter.synthetic.selectivity import YELLOW, Selected
from tidewaiter.synthetic.setting import Setting

NOT_ASSIGNED = -1


@dataclass(frozen=True)
class Assigned(Columns):
    """One row per declaration; officers are meaningful where `is_assigned`.

    Attributes:
        team, shift: Where the file was put.
        duty_day: Day on which that shift began, since 1970-01-01.
        stratum: Roster stratum.
        drawn: Inspector whom the even draw gave, whatever became of it.
        first, last: Inspector assigned first, and the one who cleared.
        reassigned_s: Instant, or `NEVER`.
        supervisor: Who reassigned, within the office, or `NOBODY`.
        is_diverted: S6, whether the draw was by-passed.
    """

    is_assigned: np.ndarray
    assigned_s: np.ndarray
    team: np.ndarray
    shift: np.ndarray
    duty_day: np.ndarray
    stratum: np.ndarray
    drawn: np.ndarray
    first: np.ndarray
    last: np.ndarray
    reassigned_s: np.ndarray
    supervisor: np.ndarray
    is_diverted: np.ndarray


def assign(
    setting: Setting, random: Generator, batch: Batch, selected: Selected, cancelled: Cancelled
) -> Assigned:
    """Assign what is red or yellow and not cancelled before its turn."""
    declarations, officers = batch.declarations, setting.officers
    size = len(declarations)
    luck = random.random((4, size))
    wait_s = random.integers(60, LONGEST_WAIT_S, size)
    assigned_s = officers.opened(declarations.office, selected.lane_s + wait_s)
    is_inspected = selected.lane_final <= YELLOW
    is_standing = (cancelled.cancelled_s == NEVER) | (cancelled.cancelled_s > assigned_s)
    duty_day, shift = officers.shift_at(declarations.office, assigned_s)
    team = np.where(_is_for_the_desk(setting, batch, shift), VEHICLES, GENERAL)
    stratum = officers.stratum(declarations.office, team, duty_day, shift)
    # The desk is closed on days when nobody of it is on duty.
    team = np.where(officers.counts[stratum] == 0, GENERAL, team)
    stratum = officers.stratum(declarations.office, team, duty_day, shift)
    drawn = officers.pick(stratum, luck[0])
    first = drawn.copy()
    is_diverted = np.zeros(size, dtype=bool)
    for number, pair in enumerate(setting.cast.pairs):
        theirs = (declarations.arranged_with == number) & (team == GENERAL)
        theirs &= declarations.office == officers.office[pair.inspector]
        theirs &= officers.is_on(np.full(size, pair.inspector), duty_day, shift)
        first[theirs] = pair.inspector
        is_diverted |= theirs
    is_reassigned = (luck[1] < setting.request.world.reassigned_share) & ~is_diverted
    other = officers.pick(stratum, luck[2])
    is_reassigned &= other != first
    return Assigned(
        is_assigned=is_inspected & is_standing,
        assigned_s=assigned_s,
        team=team,
        shift=shift,
        duty_day=duty_day,
        stratum=stratum,
        drawn=drawn,
        first=first,
        last=np.where(is_reassigned, other, first),
        reassigned_s=np.where(is_reassigned, assigned_s + 600, NEVER),
        supervisor=np.where(is_reassigned, (luck[3] * 2).astype(np.int64), NOBODY),
        is_diverted=is_diverted & is_inspected & is_standing,
    )


def _is_for_the_desk(setting: Setting, batch: Batch, shift: np.ndarray) -> np.ndarray:
    """Z1: whether the first item is a vehicle, lodged at the office with the desk, by day."""
    declarations = batch.declarations
    if not (setting.officers.team == VEHICLES).any():
        return np.zeros(len(declarations), dtype=bool)
    starts = np.cumsum(declarations.lines) - declarations.lines
    is_vehicle = setting.goods.is_vehicle[batch.declared.commodity[starts]]
    for_desk: np.ndarray = is_vehicle & (declarations.office == 0) & (shift == 0)
    return for_desk
