"""What a contract supports downstream, from the fields that it maps. Declared in `capabilities.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from tidewaiter.canonical import DATASETS, load_dataset
from tidewaiter.contracts.model import Contract, Extract

_DEFAULT_DATASET = "declaration_items"
_HEADERS = "declarations"


class Capability(BaseModel):
    """Something that can be done with a member's data.

    Attributes:
        kind: Where it is used.
        needs: Groups of fields; of each group one is enough.
        source: Where the need comes from.
        unless_constant: Field to constants with which nothing is needed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["features", "labels", "values", "integrity"]
    source: str
    needs: tuple[tuple[str, ...], ...]
    unless_constant: dict[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class Lack:
    """A capability that a contract does not support, and the fields that are missing for it."""

    capability: Capability
    missing: tuple[tuple[str, ...], ...]

    @property
    def in_words(self) -> str:
        """The missing fields: `a or b, and c`."""
        return ", and ".join(" or ".join(group) for group in self.missing)


@cache
def load_capabilities() -> tuple[Capability, ...]:
    """Return what can be done downstream, as declared."""
    text = files(__package__).joinpath("capabilities.yaml").read_text(encoding="utf-8")
    return tuple(Capability.model_validate(entry) for entry in yaml.safe_load(text))


def unsupported(contract: Contract) -> list[Lack]:
    """Return what a contract does not support, with the fields that it would have to map."""
    is_apart = any(extract.header == "apart" for extract in contract.extracts)
    mapped = {
        name
        for extract in contract.extracts
        for field in extract.fields
        for name in _names(extract.dataset, field, with_header=is_apart)
    }
    lacks = []
    for capability in load_capabilities():
        missing = tuple(group for group in capability.needs if mapped.isdisjoint(group))
        if missing and not _is_spared(capability, contract):
            lacks.append(Lack(capability, missing))
    return lacks


def fields_not_sent(contract: Contract, entries: Iterable[Extract] | None = None) -> frozenset[str]:
    """Return the canonical fields that not every file of a member need fill.

    Fields of declaration items by their names, others as `dataset.field`. Rates are no matter for a member
    whose every value is in USD.

    Args:
        contract: The member's contract.
        entries: Those of its entries that matter; all by default. A field counts as sent where each entry of
            its dataset fills it and none may be without it.
    """
    entries = contract.extracts if entries is None else tuple(entries)
    is_apart = any(extract.header == "apart" for extract in entries)
    sent: set[str] = set()
    for name in DATASETS:
        filled = [
            {field for field, mapping in extract.fields.items() if not mapping.optional}
            for extract in entries
            if extract.dataset == name
        ]
        for field in set.intersection(*filled) if filled else ():
            sent.update(_names(name, field, with_header=is_apart))
    items = [extract for extract in entries if extract.dataset == _DEFAULT_DATASET]
    if items and all(_is_in_usd(extract) for extract in items):
        sent.add("exchange_rates.units_per_usd")
    known = {
        one for name in DATASETS for field in load_dataset(name).by_name for one in _names_of(name, field)
    }
    return frozenset(known - sent)


def _is_in_usd(extract: Extract) -> bool:
    currency = extract.fields.get("currency_code")
    return currency is not None and currency.constant == "USD"


def _names_of(dataset: str, field: str) -> tuple[str, ...]:
    return (field,) if dataset == _DEFAULT_DATASET else (f"{dataset}.{field}",)


def _is_spared(capability: Capability, contract: Contract) -> bool:
    return any(
        extract.fields[field].constant in constants
        for field, constants in capability.unless_constant.items()
        for extract in contract.extracts
        if field in extract.fields
    )


def _names(dataset: str, field: str, *, with_header: bool) -> tuple[str, ...]:
    """Return what a mapped field is called where it is needed; a header that comes apart fills its items."""
    qualified = f"{dataset}.{field}"
    is_items = dataset == _DEFAULT_DATASET or (with_header and dataset == _HEADERS)
    return (field, qualified) if is_items else (qualified,)
