"""Parts of a set of items that deserve a look of their own: who, what, from where, when.

A slice is described, never a person: offices and sizes, not importers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from ml.data import LabelledItems, Mask

_REGIONS_FILE = Path(__file__).resolve().parent / "regions.yaml"
_LARGEST = 12
OTHER, UNKNOWN = "other", "not known"
_SIZE_EDGES = (1, 5, 20, 100)
_SIZES = ("first item", "1 to 4 items", "5 to 19 items", "20 to 99 items", "100 items or more")
_AGE_EDGES = (1, 90, 365)
_AGES = ("first seen today", "under 90 days", "90 days to a year", "over a year")

Names = NDArray[np.object_]


def slices_of(items: LabelledItems) -> dict[str, Names]:
    """Return, per dimension, the slice that each item is in."""
    found = {
        "month": items.registered_day.astype("datetime64[M]").astype(str).astype(object),
        "office": _largest(_codes(items.office_code)),
        "chapter": _largest(_codes(items.hs6.astype("U2").astype(object))),
        "origin region": regions_of(items.origin_iso2),
        "importer size": importer_sizes(items),
        "importer age": importer_ages(items),
        "product line": np.where(items.is_novel_line, "novel", "repeated").astype(object),
        "how labelled": _codes(items.label_source_code),
    }
    if len(set(items.member_iso2)) > 1:
        found["member"] = items.member_iso2
    return found


def regions_of(origin_iso2: Names) -> Names:
    """Return the M49 sub-region of each origin."""
    known = _region_of_code()
    codes, position = np.unique(_codes(origin_iso2).astype(str), return_inverse=True)
    names = np.asarray([known.get(code, UNKNOWN) for code in codes], dtype=object)
    return np.asarray(names[position.reshape(-1)], dtype=object)


def importer_sizes(items: LabelledItems) -> Names:
    """Return the importer's size by how many items it declared before."""
    return _binned(items.importer_items_n, _SIZE_EDGES, _SIZES)


def importer_ages(items: LabelledItems) -> Names:
    """Return how long ago the importer was first seen; an importer without earlier items is new."""
    days = np.where(items.importer_items_n == 0, 0.0, items.importer_days)
    return _binned(days, _AGE_EDGES, _AGES)


def newcomers(items: LabelledItems) -> Names:
    """Return who is a newcomer: no earlier item, or first seen less than 90 days ago."""
    ages = importer_ages(items)
    new = np.isin(ages.astype(str), _AGES[:2])
    return np.where(ages == UNKNOWN, UNKNOWN, np.where(new, "newcomer", "established")).astype(object)


def masks(names: Names) -> dict[str, Mask]:
    """Return the items of every slice, by name in order."""
    return {str(name): names == name for name in sorted(set(names), key=str)}


def _binned(values: NDArray[np.float64], edges: tuple[int, ...], labels: tuple[str, ...]) -> Names:
    position = np.searchsorted(np.asarray(edges, dtype=np.float64), np.nan_to_num(values), side="right")
    return np.where(np.isnan(values), UNKNOWN, np.asarray(labels, dtype=object)[position]).astype(object)


def _codes(values: Names) -> Names:
    return np.where(np.equal(values, None), UNKNOWN, values).astype(object)  # type: ignore[call-overload]


def _largest(names: Names) -> Names:
    found, n = np.unique(names.astype(str), return_counts=True)
    kept = set(found[np.argsort(-n, kind="stable")][:_LARGEST])
    return np.where(np.isin(names.astype(str), list(kept)), names, OTHER).astype(object)


@cache
def _region_of_code() -> dict[str, str]:
    regions = yaml.safe_load(_REGIONS_FILE.read_text(encoding="utf-8"))
    return {str(code): region for region, codes in regions.items() for code in codes}
