"""What a ranking learns from: items of one office and week compete, and money is the prize."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.data import Floats, LabelledItems

_GRADES = 4


def relevance_groups(
    items: LabelledItems, fit: LabelledItems
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the order of items by group, each item's group in that order, and its grade.

    A group is a member's office and week. Grade 0 is not irregular; irregular items get 1 to 4 by
    quartile of what the fit window recovered, 1 where the sum is not known.
    """
    week = items.registered_day.astype("datetime64[D]").astype(np.int64) // 7
    office = np.char.add(items.member_iso2.astype(str), items.office_code.astype(str))
    _, office_index = np.unique(office, return_inverse=True)
    _, group = np.unique(np.stack([office_index, week]), axis=1, return_inverse=True)
    recovered = fit.recovered_usd[fit.is_irregular & (fit.recovered_usd > 0)]
    edges = np.quantile(recovered, np.arange(1, _GRADES) / _GRADES) if len(recovered) else np.zeros(0)
    reached = np.searchsorted(edges, np.nan_to_num(items.recovered_usd, nan=0.0), side="right")
    grade = np.where(items.is_irregular, 1.0 + reached, 0.0).astype(np.float64)
    group = np.asarray(group, dtype=np.int64).reshape(-1)
    order = np.argsort(group, kind="stable").astype(np.int64)
    return order, group[order], grade[order]
