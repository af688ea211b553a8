"""The worlds that indicators are tried in: what is planted, how large, under which seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tidewaiter.synthetic.parameters import Plan, plan

Kind = Literal["standard", "null", "decoys", "power"]
KINDS: tuple[Kind, ...] = ("standard", "null", "decoys", "power")
MEMBER = "XA"
ITEMS, MONTHS = 600_000, 24

# Diversions of the power curve, each for three pairs of a world, over brokers of all sizes from 100 files on.
POWER_DIVERSIONS = (0.03, 0.05, 0.075, 0.10, 0.15, 0.20)
_PAIRS_EACH = 3
_LEAST_FILES = 100


@dataclass(frozen=True)
class WorldSpec:
    """One world.

    Attributes:
        kind: `standard` has all scenarios and decoys, `null` nothing, `decoys` decoys alone, `power` many
            pairs of S6 and nothing else.
        seed: Root of the world's randomness.
        items: Goods lines over the whole period.
        months: Length of the period.
        indicators: Those that look; all of the catalogue where empty.
    """

    kind: Kind
    seed: int
    items: int = ITEMS
    months: int = MONTHS
    indicators: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the world's file."""
        return f"{self.kind}-{self.seed:04d}"

    def plan(self) -> Plan:
        """Return what happens in the world."""
        if self.kind == "standard":
            return plan("all", "all")
        if self.kind == "power":
            diversions = "/".join(str(one) for one in POWER_DIVERSIONS for _ in range(_PAIRS_EACH))
            strengths = [f"S6.diversion={diversions}", f"S6.least_files={_LEAST_FILES}"]
            return plan("S6", "none", strengths)
        return plan("none", "all" if self.kind == "decoys" else "none")

    def as_json(self) -> dict[str, Any]:
        """Return the world as it is put on record."""
        return asdict(self) | {"indicators": list(self.indicators)}


def worlds(
    seeds: Iterable[int], kinds: Sequence[Kind] = KINDS, items: int = ITEMS, months: int = MONTHS
) -> list[WorldSpec]:
    """Return the worlds seed by seed, so that an interrupted collection has some of every kind."""
    return [
        WorldSpec(kind, seed, items, months, ("A1",) if kind == "power" else ())
        for seed in seeds
        for kind in kinds
    ]
