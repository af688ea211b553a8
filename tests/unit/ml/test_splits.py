from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.config import ModelConfig, choose_features
from ml.data import LabelledItems, feature_mart_columns, read_labelled
from ml.splits import split_items
from tests.unit.ml.items import labelled_items
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import Settings


def _items(days: list[int], delays_h: list[int], irregular: list[bool], member: str = "XA") -> LabelledItems:
    day = np.datetime64("2025-01-01") + np.asarray(days)
    n = len(days)
    return labelled_items(
        n,
        features=("tax__rate_pct",),
        matrix=np.zeros((n, 1), dtype=np.float32),
        member_iso2=np.asarray([member] * n, dtype=object),
        registered_day=day,
        label_at=day.astype("datetime64[us]") + np.asarray(delays_h).astype("timedelta64[h]"),
        is_irregular=np.asarray(irregular),
    )


_ITEM = st.tuples(st.integers(0, 200), st.integers(0, 24 * 60), st.booleans())


@settings(deadline=None, max_examples=150)
@given(st.lists(_ITEM, min_size=40, max_size=120), st.integers(1, 60), st.integers(1, 60))
def test_windows_never_overlap_and_no_label_is_known_after_its_cutoff(
    small_config: ModelConfig, rows: list[tuple[int, int, bool]], test_days: int, calibration_days: int
) -> None:
    choice = small_config.split.model_copy(
        update={
            "test_days": test_days,
            "calibration_days": calibration_days,
            "minimum_labels": 2,
            "minimum_irregular": 1,
        }
    )
    items = _items(*(list(column) for column in zip(*rows, strict=True)))
    try:
        split = split_items(items, small_config.model_copy(update={"split": choice}))
    except TidewaiterError:
        return
    window = split.windows["XA"]
    calibration_from, test_from = np.datetime64(window.calibration_from), np.datetime64(window.test_from)
    assert not (split.fit & split.calibration).any()
    assert not (split.train & split.test).any()
    assert items.registered_day[split.fit].max() < calibration_from
    assert items.label_at[split.fit].max() < calibration_from
    assert calibration_from <= items.registered_day[split.calibration].min()
    assert items.registered_day[split.calibration].max() < test_from
    assert items.label_at[split.calibration].max() < test_from
    known = (items.registered_day < test_from) & (items.label_at < test_from)
    np.testing.assert_array_equal(split.train, known)
    assert test_from <= items.registered_day[split.test].min()
    assert (items.registered_day[split.test].max() - test_from).astype(int) < test_days


def test_the_test_window_has_exactly_the_days_asked_for(small_config: ModelConfig) -> None:
    days = [*range(300)] * 4
    split = split_items(_items(days, [24] * 1200, [True, False] * 600), small_config)
    assert len(np.unique(_items(days, [24] * 1200, [True] * 1200).registered_day[split.test])) == 60


def test_too_few_labels_is_a_problem_that_says_what_is_missing(
    marts: Path, small_config: ModelConfig
) -> None:
    home = Settings(home=marts)
    items = read_labelled(home, small_config, "XB", ("tax__rate_pct",))
    with pytest.raises(TidewaiterError, match="member XB: too few labels to train on"):
        split_items(items, small_config)


def test_pooling_leaves_out_a_member_without_enough_labels(marts: Path, small_config: ModelConfig) -> None:
    home = Settings(home=marts)
    features = choose_features(feature_mart_columns(home), small_config)
    items = read_labelled(home, small_config, None, features)
    split = split_items(items, small_config)
    assert list(split.windows) == ["XA"]
    assert set(items.member_iso2[split.train | split.test]) == {"XA"}


def test_items_come_sorted_by_their_keys_whatever_the_file_order(
    tmp_path: Path, marts: Path, small_config: ModelConfig
) -> None:
    import pyarrow.parquet as pq

    shuffled = Settings(home=tmp_path)
    folder = shuffled.paths.marts / "features"
    folder.mkdir(parents=True)
    for name in ("declaration_item_features.parquet", "declaration_item_labels.parquet"):
        table = pq.read_table(marts / "marts" / "features" / name)
        order = np.random.default_rng(5).permutation(table.num_rows)
        pq.write_table(table.take(order), folder / name)
    features = ("price__robust_z", "tax__ratio_to_value")
    one = read_labelled(Settings(home=marts), small_config, "XA", features)
    other = read_labelled(shuffled, small_config, "XA", features)
    np.testing.assert_array_equal(one.matrix, other.matrix)
    np.testing.assert_array_equal(one.label_at, other.label_at)


def test_a_member_without_labels_is_a_problem(marts: Path, small_config: ModelConfig) -> None:
    with pytest.raises(TidewaiterError, match="no item has a known label"):
        read_labelled(Settings(home=marts), small_config, "XZ", ("tax__rate_pct",))


def test_a_missing_mart_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(TidewaiterError, match="tidewaiter transform"):
        feature_mart_columns(Settings(home=tmp_path))
