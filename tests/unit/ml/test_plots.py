from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml import plots
from ml.resampling import Interval


def _figures(irregular: int) -> dict[str, object]:
    rng = np.random.default_rng(0)
    n = 200
    truth, score = np.arange(n) < irregular, rng.random(n)
    series = [
        *plots.baseline_series({"declared_duty": score, "random_expected": np.zeros(n), "other": score}),
        plots.Series("model", score, "#0b5394", score, is_emphasised=True),
    ]
    figures = {"auc": Interval(0.7, 0.6, 0.8), "ap": Interval(0.3)}
    rows = {"office: 010": {"one": figures, "two": figures}, "office: 020": {"one": {}}}
    return {
        "pr": plots.precision_recall("a model", truth, series),
        "revenue": plots.revenue_curve("a model", truth * 10.0, series),
        "reliability": plots.reliability("a model", truth, series),
        "importance": plots.importance("a model", {"a": 0.7, "b": 0.3}, "gain", "%"),
        "forest": plots.forest("a model", "slices", "AUC", rows, "auc"),
        "differences": plots.differences("two", "paired", {"two": figures}, ("auc", "absent")),
        "over_time": plots.over_time("a model", "AUC", {"2025-01": rows["office: 010"]}, "auc"),
        "dependence": plots.dependence("a", "a", np.where(score < 0.5, np.nan, score), score, score),
        "heat": plots.heat("a", "together", ["a", "b"], np.ones((2, 2))),
    }


@pytest.mark.parametrize("irregular", [40, 1])
def test_every_plot_is_drawn_the_same_twice(tmp_path: Path, irregular: int) -> None:
    one, two = _figures(irregular), _figures(irregular)
    for name, figure in one.items():
        drawn = [plots.write_png(each, tmp_path / "x.png").read_bytes() for each in (figure, two[name])]  # type: ignore[arg-type]
        assert drawn[0] == drawn[1]
        assert drawn[0].startswith(b"\x89PNG")
        pages = [plots.as_svg(each) for each in (figure, two[name])]  # type: ignore[arg-type]
        assert pages[0] == pages[1]
        assert pages[0].startswith("<svg")


def test_the_legend_names_every_ranking_once() -> None:
    legend = _figures(40)["revenue"].legends[0]  # type: ignore[attr-defined]
    assert [text.get_text() for text in legend.get_texts()] == ["declared duty", "random", "model", "oracle"]


def test_the_revenue_curve_shares_tied_places() -> None:
    curve = plots.captured(
        np.asarray([1.0, 1.0, 0.0]), np.asarray([9.0, 3.0, 4.0]), np.asarray([0.3, 0.6, 1.0])
    )
    assert curve.tolist() == [6.0, 12.0, 16.0]
