"""Units of measure that sources use, and how much of a canonical unit each is. Declared in `units.yaml`."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict


class Unit(BaseModel):
    """One unit of a source.

    Attributes:
        factor: How much of the canonical unit one of it is, exact.
        code: UN/ECE Recommendation 20 code, where there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: Decimal
    description: str
    code: str | None = None


class Measure(BaseModel):
    """Units of one kind, such as mass.

    Attributes:
        of: Units of canonical fields that are measured so.
        units: Name to unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: tuple[str, ...]
    units: dict[str, Unit]

    def unit(self, name: str) -> Unit | None:
        """Return the unit of that name or Recommendation 20 code, or None."""
        by_code = {unit.code: unit for unit in self.units.values() if unit.code}
        return self.units.get(name) or by_code.get(name)


@cache
def load_measures() -> dict[str, Measure]:
    """Return all kinds of units, as declared."""
    text = files(__package__).joinpath("units.yaml").read_text(encoding="utf-8")
    return {name: Measure.model_validate(entry) for name, entry in yaml.safe_load(text).items()}


def measure_of(canonical_unit: str | None) -> Measure | None:
    """Return the units that a field of this canonical unit can be converted from; None: there are none."""
    return next((found for found in load_measures().values() if canonical_unit in found.of), None)
