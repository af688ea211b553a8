"""The causal order: one chunk of a member's world after the other, with what is carried between them.

True goods, declared values, selectivity, lane, cancellation, assignment, examination, release, label:
each step sees what came before it and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic import selectivity
from tidewaiter.synthetic.assignment import Assigned, assign
from tidewaiter.synthetic.declaring import declare
from tidewaiter.synthetic.examination import Cleared, Outcomes, examine
from tidewaiter.synthetic.periods import Chunk, cut
from tidewaiter.synthetic.profiles import Request
from tidewaiter.synthetic.resubmission import (
    Batch,
    Cancelled,
    cancel,
    join,
    registered_again,
    take,
    unregistered,
)
from tidewaiter.synthetic.selectivity import Selected, Thresholds
from tidewaiter.synthetic.setting import Setting, draw_setting
from tidewaiter.synthetic.traffic import (
    Declarations,
    draw_declarations,
    draw_items,
    draw_split_declarations,
    with_documents,
)

_CALIBRATION = 1_000_000  # chunk number of the draw that sets the thresholds; no period has as many
_CALIBRATION_ITEMS = 20_000


@dataclass(frozen=True)
class DrawnChunk:
    """Everything that happened to the declarations registered in one chunk, in order of registration.

    Attributes:
        serial: Registration number within year and office.
    """

    chunk: Chunk
    batch: Batch
    selected: Selected
    cancelled: Cancelled
    assigned: Assigned
    cleared: Cleared
    outcomes: Outcomes
    serial: np.ndarray


class World:
    """A member's world, drawn chunk by chunk.

    Attributes:
        setting: What stands before the first declaration.
        thresholds: Of selectivity.
    """

    def __init__(self, request: Request) -> None:
        self.setting = draw_setting(request)
        self.thresholds = _calibrated(self.setting)
        self._carried: Batch | None = None
        self._documents = 0
        self._serials: dict[int, int] = {}

    def chunks(self) -> Iterator[DrawnChunk]:
        """Draw the period from its first day to its last."""
        for chunk in cut(self.setting.request):
            drawn = self._draw(chunk)
            if drawn is not None:
                yield drawn

    def _draw(self, chunk: Chunk) -> DrawnChunk | None:
        setting = self.setting
        batches = [batch for batch in (self._fresh(chunk), self._carried) if batch is not None]
        self._carried = None
        if not batches:
            return None
        random = setting.request.stream("selectivity", chunk.number)
        first = join(*batches)
        selected = self._select(random, first)
        cancelled = cancel(
            setting, setting.request.stream("cancelling", chunk.number), first.declarations, selected
        )
        batch = first
        again = registered_again(first, cancelled)
        if again is not None:
            is_now = again.declarations.registered_s < chunk.end_s
            self._carried = take(again, np.flatnonzero(~is_now)) if (~is_now).any() else None
            if is_now.any():
                again = take(again, np.flatnonzero(is_now))
                batch = join(first, again)
                selected = Selected.joined(selected, self._select(random, again))
                cancelled = Cancelled.joined(cancelled, unregistered(len(again.declarations)))
        order = np.argsort(batch.declarations.registered_s, kind="stable")
        batch = take(batch, order)
        selected, cancelled = selected.take(order), cancelled.take(order)
        assigned = assign(
            setting, setting.request.stream("assignment", chunk.number), batch, selected, cancelled
        )
        examination = setting.request.stream("examination", chunk.number)
        cleared, outcomes = examine(setting, examination, batch, selected, cancelled, assigned)
        return DrawnChunk(
            chunk, batch, selected, cancelled, assigned, cleared, outcomes, self._number(batch.declarations)
        )

    def _fresh(self, chunk: Chunk) -> Batch | None:
        setting = self.setting
        parts = [draw_declarations(setting, chunk)] if chunk.items else []
        split = draw_split_declarations(setting, chunk)
        parts += [split] if split is not None else []
        if not parts:
            return None
        declarations = with_documents(Declarations.joined(*parts), self._documents)
        self._documents += len(declarations)
        true = draw_items(setting, chunk, declarations)
        return Batch(declarations, true, declare(setting, chunk, declarations, true))

    def _select(self, random: np.random.Generator, batch: Batch) -> Selected:
        scores = selectivity.score(self.setting, random, batch.declarations, batch.true, batch.declared)
        return selectivity.select(self.setting, random, batch.declarations, scores, self.thresholds)

    def _number(self, declarations: Declarations) -> np.ndarray:
        """Number the declarations: from 1 within year and office, in order of time, over all chunks."""
        year = declarations.registered_s.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64)
        key = year * 1_000 + declarations.office
        order = np.argsort(key, kind="stable")
        keys, starts, sizes = np.unique(key[order], return_index=True, return_counts=True)
        before = np.array([self._serials.get(int(one), 0) for one in keys])
        serial = np.empty(key.size, dtype=np.int64)
        serial[order] = np.arange(key.size) - np.repeat(starts, sizes) + 1 + np.repeat(before, sizes)
        self._serials |= {int(one): int(last) for one, last in zip(keys, before + sizes, strict=True)}
        return serial


def _calibrated(setting: Setting) -> Thresholds:
    """Return the thresholds at which lanes have their expected shares, from a draw that is thrown away."""
    chunks = cut(setting.request)
    days = np.concatenate([chunk.days for chunk in chunks])
    weights = np.concatenate([chunk.weights * chunk.items for chunk in chunks])
    middle = chunks[len(chunks) // 2].month
    chunk = Chunk(_CALIBRATION, days, weights / weights.sum(), _CALIBRATION_ITEMS, middle)
    declarations = draw_declarations(setting, chunk)
    true = draw_items(setting, chunk, declarations)
    declared = declare(setting, chunk, declarations, true)
    random = setting.request.stream("selectivity", _CALIBRATION)
    scores = selectivity.score(setting, random, declarations, true, declared)
    return selectivity.thresholds(setting, scores)
