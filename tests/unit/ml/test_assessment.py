from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ml.assessment import MODEL, Scored, assess
from ml.baselines import simple_baselines
from ml.config import ModelConfig
from ml.figures import Sample, probability_worlds, ranking_worlds, share_suffix
from ml.resampling import Blocks, Interval, interval_of, single_world, week_blocks
from tests.unit.ml.items import labelled_items

_ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 9), st.integers(1, 5), st.integers(0, 2)),
    min_size=3,
    max_size=30,
)


def _sample(rows: list[tuple[int, bool, int, int, int]], counts: np.ndarray | None = None) -> Sample:
    n = len(rows)
    blocks = single_world(n)
    if counts is not None:
        blocks = Blocks(np.asarray([row[4] for row in rows]), counts)
    return Sample(
        is_irregular=np.asarray([row[1] for row in rows]),
        recovered_usd=np.asarray([row[2] for row in rows], dtype=float),
        weight=np.asarray([row[3] for row in rows], dtype=float),
        blocks=blocks,
    )


@settings(deadline=None, max_examples=80)
@given(_ROWS)
def test_weighted_auc_and_average_precision_are_scikit_learns(
    rows: list[tuple[int, bool, int, int, int]],
) -> None:
    sample, score = _sample(rows), np.asarray([row[0] for row in rows], dtype=float)
    found = ranking_worlds(score, sample, (0.1,))
    if not 0 < sample.is_irregular.sum() < len(rows):
        assert np.isnan(found["auc"][0])
        return
    auc = roc_auc_score(sample.is_irregular, score, sample_weight=sample.weight)
    ap = average_precision_score(sample.is_irregular, score, sample_weight=sample.weight)
    assert found["auc"][0] == pytest.approx(auc)
    assert found["average_precision"][0] == pytest.approx(ap)


@settings(deadline=None, max_examples=80)
@given(_ROWS, st.lists(st.integers(0, 3), min_size=3, max_size=3), st.sampled_from([0.05, 0.3, 0.9]))
def test_a_resampled_world_is_the_items_repeated(
    rows: list[tuple[int, bool, int, int, int]], times: list[int], share: float
) -> None:
    """Counts of blocks give what copying the rows would give, weights and ties included."""
    rows = [(*row[:3], 1, row[4]) for row in rows]
    repeated = [row for row in rows for _ in range(times[row[4]])]
    if not repeated:
        return
    counts = np.asarray([[1.0, 1.0, 1.0], times])
    score, probability = (np.asarray([row[0] for row in rows]) / divisor for divisor in (1.0, 5.0))
    found = ranking_worlds(score, _sample(rows, counts), (share,))
    found |= probability_worlds(probability, _sample(rows, counts))
    again = np.asarray([row[0] for row in repeated], dtype=float)
    expected = ranking_worlds(again, _sample(repeated), (share,))
    expected |= probability_worlds(again / 5.0, _sample(repeated))
    for name, values in expected.items():
        if not name.startswith("calibration_slope") and not name.startswith("calibration_intercept"):
            assert found[name][1] == pytest.approx(values[0], nan_ok=True), name


def test_cells_inspect_their_own_share() -> None:
    """Office A holds the best scores; by office, B inspects half of its own items all the same."""
    score = np.asarray([9.0, 8.0, 7.0, 6.0, 2.0, 1.0])
    truth = np.asarray([True, True, False, False, True, False])
    cell = np.asarray([0, 0, 0, 0, 1, 1])
    sample = Sample(truth, truth * 1.0, np.ones(6), single_world(6), cell)
    found = ranking_worlds(score, sample, (0.5,))
    assert found["precision_at_50"][0] == pytest.approx(1.0)
    assert found["recall_at_50"][0] == pytest.approx(1.0)
    assert "auc" not in found


def test_block_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Weeks differ in their rate: intervals from weeks must be wide enough for that, item-wise ones not."""
    covered, runs = 0, 120
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        rate = rng.beta(4, 6, 30)
        week = np.repeat(np.arange(30), 40)
        truth = rng.random(1200) < rate[week]
        day = np.datetime64("2025-01-06") + 7 * week
        blocks = week_blocks(day, np.asarray(["XA"] * 1200, dtype=object), seed)
        one = interval_of(blocks.sums(truth * 1.0) / blocks.sums(np.ones(1200)))
        covered += one.low <= 0.4 <= one.high
    assert covered >= 0.87 * runs
    assert covered <= runs


def test_too_few_weeks_give_no_interval() -> None:
    items = labelled_items(60, registered_day=np.datetime64("2025-01-06") + np.arange(60) % 20)
    blocks = week_blocks(items.registered_day, items.member_iso2, 1)
    assert blocks.worlds == 1
    assert np.isnan(interval_of(np.asarray([0.5])).low)


def test_intervals_survive_json() -> None:
    for one in (Interval(0.5, 0.4, 0.6), Interval(0.5)):
        again = Interval.from_list(one.as_list())
        assert again.as_list() == one.as_list()


def test_suffixes_tell_shares_apart() -> None:
    assert [share_suffix(share) for share in (0.01, 0.05, 0.1, 0.005, 0.015)] == [
        "at_01",
        "at_05",
        "at_10",
        "at_00_5",
        "at_01_5",
    ]


def test_an_assessment_holds_baselines_slices_and_a_banner(small_config: ModelConfig) -> None:
    items = labelled_items(800)
    rng = np.random.default_rng(4)
    score = np.clip(items.is_irregular * 0.4 + rng.random(800) * 0.6, 0, 1)
    scored = Scored(items, score, score, score)
    found = assess(scored, simple_baselines(items.declared_tax_usd, items.risk_profile, 3), small_config, 3)
    model, over = found.rankings[MODEL]["auc"], found.over["risk_profile"]["auc"]
    assert model.low < model.value < model.high
    assert over.low > 0, "the model beats a random risk profile outside the noise"
    assert set(found.segments) == {"novel", "repeated"}
    assert {"office", "chapter", "origin region", "importer size", "month"} <= set(found.slices)
    assert sum(part.n for part in found.slices["office"].values()) == 800
    assert found.selection == "selective"
    assert found.banner is not None
    assert "SELECTIVE LABELS" in found.banner
    assert (
        found.cells[MODEL]["precision_at_05"].value > found.cells["random_expected"]["precision_at_05"].value
    )


def test_known_chances_of_inspection_weigh_and_lift_the_banner(small_config: ModelConfig) -> None:
    """Irregular items were ten times as likely to be inspected: weighted, the base rate is the true one."""
    rng = np.random.default_rng(5)
    everything = rng.random(20_000) < 0.1
    chance = np.where(everything, 0.5, 0.05)
    chosen = rng.random(20_000) < chance
    n = int(chosen.sum())
    items = labelled_items(n, is_irregular=everything[chosen], selection_probability=chance[chosen])
    score = rng.random(n)
    found = assess(Scored(items, score, score, score), [], small_config, 3)
    assert items.is_irregular.mean() > 0.4
    assert found.base_rate.low < 0.1 < found.base_rate.high
    assert (found.selection, found.banner) == ("weighted", None)
