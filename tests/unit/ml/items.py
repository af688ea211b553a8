"""Labelled items made by hand, for tests that need no mart."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.data import LabelledItems


def labelled_items(n: int, seed: int = 0, **chosen: Any) -> LabelledItems:
    """Items of XA over twenty weeks; what is `chosen` replaces a column."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    columns: dict[str, Any] = {
        "features": ("a", "b"),
        "matrix": rng.normal(size=(n, 2)).astype(np.float32),
        "member_iso2": np.asarray(["XA"] * n, dtype=object),
        "registered_day": np.datetime64("2025-01-01") + np.sort(rng.integers(0, 140, n)),
        "label_at": np.full(n, np.datetime64("2025-07-02", "us")),
        "is_irregular": truth,
        "recovered_usd": truth * rng.lognormal(3, 1, n),
        "declared_tax_usd": rng.random(n),
        "risk_profile": rng.random(n),
        "is_novel_line": rng.random(n) < 0.4,
        "office_code": rng.choice(["010", "020"], n).astype(object),
        "hs6": rng.choice(["010121", "870323"], n).astype(object),
        "origin_iso2": rng.choice(["CN", "DE"], n).astype(object),
        "importer_items_n": rng.integers(0, 40, n).astype(np.float64),
        "importer_days": rng.integers(0, 400, n).astype(np.float64),
        "label_source_code": np.asarray(["TARGETED"] * n, dtype=object),
        "selection_probability": np.full(n, np.nan),
    }
    return LabelledItems(**(columns | chosen))
