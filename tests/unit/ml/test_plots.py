from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.plots import _captured, draw_all


@pytest.mark.parametrize("irregular", [40, 1])
def test_every_plot_is_written_and_drawn_the_same_twice(tmp_path: Path, irregular: int) -> None:
    from ml.data import LabelledItems

    rng = np.random.default_rng(0)
    n = 200
    truth = np.arange(n) < irregular
    test = LabelledItems(
        features=("a",),
        matrix=np.zeros((n, 1), dtype=np.float32),
        member_iso2=np.asarray(["XA"] * n, dtype=object),
        registered_day=np.full(n, np.datetime64("2025-01-01")),
        label_at=np.full(n, np.datetime64("2025-01-02", "us")),
        is_irregular=truth,
        recovered_usd=truth * 10.0,
        declared_tax_usd=rng.random(n),
        risk_profile=rng.random(n),
        is_novel_line=truth,
    )
    score = rng.random(n)
    drawn = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        paths = draw_all(
            folder, "a model", test, score, score, score, {"declared_duty": score}, {"a": 0.7, "b": 0.3}
        )
        drawn.append([path.read_bytes() for path in paths])
        assert len(paths) == 4
    assert drawn[0] == drawn[1]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn[0])


def test_the_revenue_curve_shares_tied_places() -> None:
    curve = _captured(np.asarray([1.0, 1.0, 0.0]), np.asarray([9.0, 3.0, 4.0]), np.asarray([0.3, 0.6, 1.0]))
    assert curve.tolist() == [6.0, 12.0, 16.0]
