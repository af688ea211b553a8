"""Cancelled declarations and the same consignments registered anew.

Honest cancellations are corrections, whatever the lane. A broker who shops for lanes (S7) cancels reds
and registers the same goods, under the same transport document, in the hope of a softer one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tidewaiter.synthetic.columns import Columns, members_of
from tidewaiter.synthetic.declaring import DeclaredItems
from tidewaiter.synthetic.profiles import Generator
from tidewaiter.synthetic.selectivity import RED, Selected
from tidewaiter.synthetic.setting import Setting
from tidewaiter.synthetic.traffic import Declarations, TrueItems

NEVER = -1
_AGAIN_WITHIN_S = 60 * 3600


@dataclass(frozen=True)
class Cancelled(Columns):
    """One row per declaration.

    Attributes:
        cancelled_s: Instant, or `NEVER`.
        again_s: When the consignment is registered anew, or `NEVER`.
        is_shopped: S7, whether the broker did it to shop for a lane.
    """

    cancelled_s: np.ndarray
    again_s: np.ndarray
    is_shopped: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Declarations with their goods; items stand in the order of their declarations."""

    declarations: Declarations
    true: TrueItems
    declared: DeclaredItems

    @property
    def lines(self) -> int:
        """Number of goods lines."""
        return len(self.true)


def cancel(setting: Setting, random: Generator, declarations: Declarations, selected: Selected) -> Cancelled:
    """Choose what is cancelled, and what of it comes again."""
    world, plan, size = setting.request.world, setting.request.plan.scenarios, len(declarations)
    luck = random.random((5, size))
    is_first = ~declarations.is_again
    is_cancelled = is_first & (luck[0] < world.cancelled_share)
    comes_again = is_cancelled & (luck[1] < world.reregistered_share)
    is_shopped = np.zeros(size, dtype=bool)
    if plan.S7:
        theirs = np.isin(declarations.declarant, setting.cast.shoppers) & is_first
        theirs &= selected.lane_s >= setting.request.instant_s(plan.S7.start)
        is_shopped = theirs & (selected.lane_initial == RED) & (luck[2] < plan.S7.share)
    wait_s = np.where(is_shopped, 600 + luck[3] * 3 * 3600, 3600 + luck[3] * 24 * 3600).astype(np.int64)
    again_s = (1800 + luck[4] ** 2 * _AGAIN_WITHIN_S).astype(np.int64)
    cancelled_s = np.where(is_cancelled | is_shopped, selected.lane_s + wait_s, NEVER)
    return Cancelled(
        cancelled_s=cancelled_s,
        again_s=np.where(comes_again | is_shopped, cancelled_s + again_s, NEVER),
        is_shopped=is_shopped,
    )


def registered_again(batch: Batch, cancelled: Cancelled) -> Batch | None:
    """Return the declarations that are registered anew, the same but for their time."""
    rows = np.flatnonzero(cancelled.again_s != NEVER)
    if not rows.size:
        return None
    again = take(batch, rows)
    declarations = replace(
        again.declarations, registered_s=cancelled.again_s[rows], is_again=np.ones(rows.size, dtype=bool)
    )
    return replace(again, declarations=declarations)


def take(batch: Batch, rows: np.ndarray) -> Batch:
    """Return these declarations with their items, in that order."""
    items = members_of(rows, batch.declarations.lines)
    return Batch(batch.declarations.take(rows), batch.true.take(items), batch.declared.take(items))


def join(*batches: Batch) -> Batch:
    """Return the declarations of several batches one after the other."""
    return Batch(
        Declarations.joined(*(batch.declarations for batch in batches)),
        TrueItems.joined(*(batch.true for batch in batches)),
        DeclaredItems.joined(*(batch.declared for batch in batches)),
    )


def unregistered(size: int) -> Cancelled:
    """Return columns in which nothing is cancelled."""
    never = np.full(size, NEVER, dtype=np.int64)
    return Cancelled(never, never.copy(), np.zeros(size, dtype=bool))
