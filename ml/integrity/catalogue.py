"""The catalogue of indicators: what each asks, of what, against which null, and what else may explain it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ml.integrity.multiplicity import Correction
from ml.integrity.periods import Every

CATALOGUE = Path(__file__).with_name("catalogue.yaml")


class Looks(BaseModel):
    """When an indicator looks.

    Attributes:
        every: At the end of each calendar month, quarter or year.
        window_months: How far back each look goes.
        in_term: Looks over which the level is spent evenly; then a new term begins.
        history_months: Months of data that a look needs at least: before, there is nothing to compare with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Every
    window_months: Annotated[int, Field(ge=1)]
    in_term: Annotated[int, Field(ge=1)]
    history_months: Annotated[int, Field(ge=1)] = 1


class Entry(BaseModel):
    """One indicator.

    Attributes:
        id: Such as `A1`; the module `ml.integrity.indicators.a1` computes it.
        title: What it is called.
        question: What it answers, in one sentence.
        unit: What a row is about.
        inputs: Canonical fields that a member must have values of, as `dataset.field`.
        parameters: Of the member's contract that it needs.
        tables: Hand-over marts that it reads.
        optional_tables: Marts that it reads where the member has rows in them.
        null_hypothesis: What holds where nothing is wrong.
        test: How that is tested.
        support_minimum: What a unit needs to be tested; `support_unit` says of what.
        options: Numbers of the indicator's own, such as further minima.
        correction: How false discoveries are controlled within a family.
        alpha: Level of a term.
        minimum_effect: Effects below it, in absolute value, are not flagged; `effect_unit` gives the unit.
        innocent_explanations: What else may explain a signal.
        checks: What an analyst should look at before anything else is thought.
        sources: Author, year, title.
        limits: What it cannot tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[A-E][1-9]$")]
    title: str
    question: str
    unit: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    tables: tuple[str, ...] = Field(min_length=1)
    optional_tables: tuple[str, ...] = ()
    null_hypothesis: str
    test: str
    looks: Looks
    support_minimum: float
    support_unit: str
    options: dict[str, float] = Field(default_factory=dict)
    correction: Correction
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    minimum_effect: float
    effect_unit: str
    innocent_explanations: tuple[str, ...] = Field(min_length=1)
    checks: tuple[str, ...] = Field(min_length=1)
    sources: tuple[str, ...] = Field(min_length=1)
    limits: tuple[str, ...] = Field(min_length=1)

    @property
    def module_name(self) -> str:
        """Module under `ml.integrity.indicators`."""
        return self.id.lower()

    def compute(self) -> Any:
        """Return the indicator's function `compute(inputs, entry, random)`."""
        return import_module(f"ml.integrity.indicators.{self.module_name}").compute


@cache
def load_catalogue(path: Path = CATALOGUE) -> tuple[Entry, ...]:
    """Return the indicators in the order of the file.

    Raises:
        ValueError: An entry is not valid, or an id occurs twice.
    """
    entries = tuple(Entry.model_validate(one) for one in yaml.safe_load(path.read_text(encoding="utf-8")))
    ids = [entry.id for entry in entries]
    if len(set(ids)) < len(ids):
        raise ValueError(f"indicators occur more than once in {path.name}")
    return entries
