"""Reasons in words: which features belong together, and what is said about them.

The wording lives in `reasons.yaml`; this module reads, checks and applies it. Contributions come from
`explain`. Texts describe what was seen; they accuse nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

CATALOGUE_FILE = Path(__file__).resolve().parent / "reasons.yaml"

Values = Mapping[str, float]

_FORMATS: dict[str, Callable[[float], str]] = {
    "percent": lambda value: f"{100 * value:.0f} %",
    "count": lambda value: f"{value:,.0f}",
    "usd": lambda value: f"{value:,.2f}",
    "number": lambda value: f"{value:,.6g}",
    "deviations": lambda value: f"{value:+,.1f}",
}
# Smoothing weight of the identical line's rate (k + a*p0)/(n + a): with a = 1 and p0 below 1, k is
# the whole part. Other rates are smoothed harder, and their k cannot be read back.
_IDENTICAL_LINE_SMOOTHING = 1.0
_FLOAT32_TOLERANCE = 1e-6


class Bounds(BaseModel):
    """Inclusive bounds on a value; an unknown value meets none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum: float = -math.inf
    maximum: float = math.inf


class Wording(BaseModel):
    """One text and when it may be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    when: dict[str, Bounds] = Field(default_factory=dict)

    def render(self, values: Values) -> str | None:
        """Return the text with its values, or None where a condition fails or a value is unknown."""
        for condition, bounds in self.when.items():
            if not bounds.minimum <= values.get(condition, math.nan) <= bounds.maximum:
                return None
        words: list[str] = []
        for literal, name, kind, _ in Formatter().parse(self.text):
            words.append(literal)
            if name:
                value = values.get(name, math.nan)
                if not math.isfinite(value):
                    return None
                words.append(_FORMATS[kind or "number"](value))
        return "".join(words)


class Group(BaseModel):
    """Features that say the same thing, and the wordings for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[str, ...]
    wordings: tuple[Wording, ...] = Field(min_length=1)

    def render(self, values: Values) -> str:
        """Return the first wording that applies. The last one always does."""
        for wording in self.wordings:
            text = wording.render(values)
            if text is not None:
                return text
        raise AssertionError(f"no wording applies to {self.features}")


class _Entity(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    words: str
    is_person: bool = False


class _Profiles(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    wordings: tuple[Wording, ...]
    to_be_checked: str
    entities: dict[str, _Entity]

    def group(self, entity: str) -> Group:
        """Spell the wordings out for one entity."""
        described = self.entities[entity]
        ending = self.to_be_checked if described.is_person else ""
        parts = ("rate", "labelled_n", "items_n")
        wordings = []
        for wording in self.wordings:
            text = wording.text.replace("{words}", described.words) + ending
            for part in parts:
                text = text.replace(f"{{{part}:", f"{{profile__{entity}_{part}:")
            when = {f"profile__{entity}_{part}": bounds for part, bounds in wording.when.items()}
            wordings.append(Wording(text=text, when=when))
        shown = (*parts, "recent_rate", "recent_items_n")
        return Group(features=tuple(f"profile__{entity}_{part}" for part in shown), wordings=tuple(wordings))


@dataclass(frozen=True)
class Catalogue:
    """All groups, in order of precedence."""

    groups: dict[str, Group]

    def group_of(self, feature: str) -> str | None:
        """Return the first group that names the feature, or None."""
        for name, group in self.groups.items():
            if any(fnmatchcase(feature, glob) for glob in group.features):
                return name
        return None

    def assign(self, features: tuple[str, ...]) -> dict[str, str]:
        """Return the group of every feature; its family, where no group names it.

        A new family is explained from its first day, in fewer words: `group` makes them.
        """
        found = {}
        for feature in features:
            family = feature.partition("__")[0]
            found[feature] = self.group_of(feature) or f"family {family}"
        return found

    def group(self, name: str) -> Group:
        """Return a group by the name that `assign` gave."""
        if name in self.groups:
            return self.groups[name]
        family = name.removeprefix("family ")
        text = f"features of the family '{family}', for which no words are written yet"
        return Group(features=(f"{family}__*",), wordings=(Wording(text=text),))


@cache
def load_catalogue() -> Catalogue:
    """Read the catalogue that comes with the code."""
    found: dict[str, Any] = yaml.safe_load(CATALOGUE_FILE.read_text(encoding="utf-8"))
    groups = {name: Group.model_validate(group) for name, group in found["groups"].items()}
    profiles = _Profiles.model_validate(found["profiles"])
    for entity in profiles.entities:
        groups[f"profile_{entity}"] = profiles.group(entity)
    return Catalogue(groups)


def with_derived(values: Values) -> dict[str, float]:
    """Add the values that wordings name but no feature holds as such; unknown ones are NaN.

    `unit_value`, `reference_unit_value` (USD/kg), `value_usd`, `net_kg`, `identical_line_irregular_n`.
    """

    def of(name: str) -> float:
        return values.get(name, math.nan)

    log_unit_value = of("value__ln_unit_value_usd_per_kg")
    denominator = of("profile__product_line_labelled_n") + _IDENTICAL_LINE_SMOOTHING
    smoothed = (of("profile__product_line_rate") + _FLOAT32_TOLERANCE) * denominator
    return {
        **values,
        "unit_value": math.exp(log_unit_value),
        "reference_unit_value": math.exp(log_unit_value - of("price__ln_ratio_to_reference")),
        "value_usd": math.exp(of("value__ln_value_usd")),
        "net_kg": math.exp(of("value__ln_net_kg")),
        "identical_line_irregular_n": (math.nan if math.isnan(smoothed) else math.floor(smoothed)),
    }
