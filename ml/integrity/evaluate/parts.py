"""A part: what one unit plays in one scenario."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Part:
    """What one unit plays in one scenario.

    Attributes:
        scenario: S1 to S12, or a decoy.
        role: What the unit is, see `judgement.yaml`.
        unit_id, counterpart_id: As signals name it; a set has its members in `counterpart_id`.
        starts_on, ends_on: When; no end where it goes on to the end of the data.
        files: Declarations that the scenario touched with it.
        loss_usd: Taxes that these were short of.
        diversion: S6, planted share of the broker's files.
        is_named: Whether the truth names it; else it is derived from the items.
    """

    scenario: str
    role: str
    unit_id: str
    counterpart_id: str | None
    starts_on: date
    ends_on: date | None
    files: int
    loss_usd: float
    diversion: float | None = None
    is_named: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the part as it is put on record."""
        return asdict(self) | {
            "starts_on": self.starts_on.isoformat(),
            "ends_on": self.ends_on and self.ends_on.isoformat(),
        }
