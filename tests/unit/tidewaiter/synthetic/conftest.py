"""Drawn worlds as columns over the whole period, and the probability with which a right one may fail."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
import pytest

from tidewaiter.synthetic.columns import spread
from tidewaiter.synthetic.parameters import Plan, plan
from tidewaiter.synthetic.profiles import PROFILES, Request
from tidewaiter.synthetic.world import World

# Probability with which each statistical check fails a right generator under a fresh seed. Seeds are
# fixed, so a check fails always or never; with about a hundred checks the suite as a whole would fail
# one right generator in ten thousand.
FALSE_ALARM = 1e-6


@dataclass(frozen=True)
class Drawn:
    """A whole world in columns; `of` is the declaration of each item."""

    world: World
    declarations: Any
    true: Any
    declared: Any
    selected: Any
    cancelled: Any
    assigned: Any
    cleared: Any
    outcomes: Any
    serial: np.ndarray
    of: np.ndarray

    @property
    def setting(self) -> Any:
        return self.world.setting

    @property
    def request(self) -> Request:
        return self.world.setting.request


def draw(
    member: str = "XA", items: int = 60_000, months: int = 12, seed: int = 11, how: Plan | None = None
) -> Drawn:
    """Draw a world and join its chunks."""
    chosen = how or plan("none", "none")
    request = Request(PROFILES[member], chosen, items, date(2024, 1, 1), months, seed)
    world = World(request)
    chunks = list(world.chunks())

    def join(get: Any) -> Any:
        tables = [get(chunk) for chunk in chunks]
        return type(tables[0]).joined(*tables)

    declarations = join(lambda chunk: chunk.batch.declarations)
    return Drawn(
        world=world,
        declarations=declarations,
        true=join(lambda chunk: chunk.batch.true),
        declared=join(lambda chunk: chunk.batch.declared),
        **{name: join(lambda chunk, name=name: getattr(chunk, name)) for name in _JOINED},
        serial=np.concatenate([chunk.serial for chunk in chunks]),
        of=spread(declarations.lines),
    )


_JOINED = [
    entry.name
    for entry in fields(Drawn)
    if entry.name in ("selected", "cancelled", "assigned", "cleared", "outcomes")
]


@pytest.fixture(scope="session")
def null_world() -> Drawn:
    """XA without scenarios and decoys."""
    return draw()


@pytest.fixture(scope="session")
def planted_world() -> Drawn:
    """XA with everything in it, large enough for brokers with hundreds of files."""
    return draw(items=150_000, months=18, how=plan())


@pytest.fixture(scope="session")
def draw_world() -> Any:
    """The function that draws a world of one's own."""
    return draw


@pytest.fixture(scope="session")
def false_alarm() -> float:
    """Probability of a false alarm, of each check."""
    return FALSE_ALARM
