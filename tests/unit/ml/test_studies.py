"""Backtest, search, transfer and the choices of a booster, on the tiny mart."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import yaml

from ml.backtest import backtest, figure_rows, origin_splits
from ml.boosting import fit_bundle
from ml.bundle import load_bundle
from ml.choices import FeatureChoice, Range, SearchChoice
from ml.config import ModelConfig
from ml.data import read_labelled, read_vocabularies
from ml.explain import contributions
from ml.search import search
from ml.splits import split_items
from ml.tracking import open_client
from ml.transfer import leave_one_out
from tests.unit.ml.items import labelled_items
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import Settings


@pytest.fixture(scope="module")
def quick(small_config: ModelConfig) -> ModelConfig:
    split = small_config.split.model_copy(update={"test_days": 40, "calibration_days": 40})
    boosting = small_config.boosting.model_copy(update={"max_rounds": 15, "max_depth": 2})
    features = FeatureChoice(include=("price__*", "tax__*", "profile__product_line_*"))
    return small_config.model_copy(update={"split": split, "boosting": boosting, "features": features})


def test_no_origin_sees_a_label_that_was_not_known_then(small_config: ModelConfig) -> None:
    rng = np.random.default_rng(2)
    day = np.datetime64("2025-01-01") + np.sort(rng.integers(0, 300, 4000))
    label_at = day.astype("datetime64[us]") + rng.integers(1, 90, 4000).astype("timedelta64[D]")
    items = labelled_items(4000, registered_day=day, label_at=label_at)
    planned = origin_splits(items, small_config, 3, 40)
    assert len(planned) == 3
    seen: set[int] = set()
    for first, last, split in planned:
        start = np.datetime64(first)
        calibration = start - np.timedelta64(small_config.split.calibration_days, "D")
        assert (label_at[split.fit] < calibration).all()
        assert (label_at[split.calibration] < start).all()
        assert (day[split.test] >= start).all()
        assert (day[split.test] <= np.datetime64(last)).all()
        assert not seen & set(np.flatnonzero(split.test))
        seen |= set(np.flatnonzero(split.test))


def test_a_backtest_judges_each_origin_and_all_of_them(fresh: Settings, quick: ModelConfig) -> None:
    told: list[tuple[int, int]] = []
    found = backtest(fresh, quick, "XA", 2, 40, told=lambda done, of, _: told.append((done, of)))
    assert [one.last_day < two.first_day for one, two in zip(found.origins, found.origins[1:], strict=False)]
    assert found.pooled.n == sum(one.assessment.n for one in found.origins)
    assert found.pooled.rankings["model"]["auc"].low > 0.6
    assert found.pooled.over["random_expected"]["average_precision"].low > 0
    assert told[-1] == (2, 2)
    rows = figure_rows(found, ("auc",))
    assert len(rows) == 3
    with pytest.raises(TidewaiterError, match="no origin has enough labels"):
        backtest(fresh, quick, "XA", 1, 40, until=date(2025, 2, 1))


def test_a_search_goes_on_where_it_stopped_and_records_every_trial(
    fresh: Settings, quick: ModelConfig
) -> None:
    chosen = SearchChoice(
        origins=2,
        origin_days=30,
        space={"max_depth": Range(low=1, high=3), "subsample": Range(low=0.5, high=1)},
    )
    config = quick.model_copy(update={"search": chosen})
    first = search(fresh, config, "XA", "data-1", trials=2)
    again = search(fresh, config, "XA", "data-1", trials=4)
    assert (first.trials, again.trials) == (2, 4)
    assert first.search_id == again.search_id
    assert again.best_value >= max(first.best_value, first.start_value)
    assert set(again.best) == {"max_depth", "subsample"}
    client = open_client(fresh)
    experiment = client.get_run(again.mlflow_run_id).info.experiment_id
    children = client.search_runs(
        [experiment], filter_string=f"tags.`mlflow.parentRunId` = '{again.mlflow_run_id}'"
    )
    assert len(children) == 4
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}
    assert search(fresh, config, "XA", "data-1", trials=4) == again
    assert ModelConfig.model_validate(yaml.safe_load(again.configuration))


def test_a_member_is_taught_by_the_others(fresh: Settings, quick: ModelConfig) -> None:
    """XA cut in two by office stands for two members of one truth: few own labels need the others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ml.data import features_path, labels_path

    features = pq.read_table(features_path(fresh))
    is_two = np.asarray(features.column("office_code")) == "010"
    member = np.where(is_two, "XC", "XA")
    keys = dict(zip(features.column("declaration_id").to_pylist(), member.tolist(), strict=True))
    pq.write_table(features.set_column(0, "member_iso2", pa.array(member)), features_path(fresh))
    labels = pq.read_table(labels_path(fresh))
    named = pa.array([keys[one] for one in labels.column("declaration_id").to_pylist()])
    pq.write_table(labels.set_column(0, "member_iso2", named), labels_path(fresh))
    split = quick.split.model_copy(update={"minimum_labels": 100})
    config = quick.model_copy(update={"split": split})
    found = leave_one_out(fresh, config, ["XC"], labels=(0, 200, 100_000))
    assert [(one.member_iso2, one.labels) for one in found] == [("XC", 0), ("XC", 200)]
    nothing, few = found
    assert "local" not in nothing.figures
    assert nothing.figures["transfer"]["auc"].value > 0.65
    # By the figure that promotion reads: of so few items, the interval of an AUC is ten points to each side.
    by_promotion = {name: one["average_precision"].value for name, one in few.figures.items()}
    assert by_promotion["transfer"] > by_promotion["local"]
    assert few.is_negative is False
    only_one = config.model_copy(update={"split": split.model_copy(update={"minimum_labels": 800})})
    with pytest.raises(TidewaiterError, match="only XA has enough labels"):
        leave_one_out(fresh, only_one)


@pytest.mark.parametrize(
    ("changed", "target"),
    [({"objective": "ranking"}, "any_irregularity"), ({}, "recovered_revenue"), ({}, "serious")],
)
def test_other_objectives_order_and_explain(
    fresh: Settings, quick: ModelConfig, tmp_path: object, changed: dict[str, str], target: str
) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "bundle"
    folder.mkdir()
    config = quick.model_copy(
        update={"target": target, "boosting": quick.boosting.model_copy(update=changed)}
    )
    vocabularies = read_vocabularies(fresh, ("office_code", "origin_iso2"), "XA", 2)
    assert all(len(codes) == 2 for codes in vocabularies.values())
    columns = ("price__ln_ratio_to_reference", "profile__product_line_rate", *vocabularies)
    items = read_labelled(fresh, config, "XA", columns, vocabularies)
    assert set(np.unique(items.matrix[:, 2][~np.isnan(items.matrix[:, 2])])) == {0.0, 1.0}
    split = split_items(items, config)
    bundle = fit_bundle(items, split, config, 7, 1, vocabularies).bundle
    bundle.save(folder)
    again = load_bundle(folder)
    test = items.take(split.test)
    score = bundle.score(test.matrix)
    assert again.score(test.matrix) == pytest.approx(score)
    assert ((score > 0) & (score < 1)).all()
    assert np.corrcoef(score, test.is_irregular)[0, 1] > 0.1
    # Sums are checked inside: a row that misses its margin raises.
    assert contributions(again, test.matrix[:20]).shape == (20, len(columns) + 1)


def test_monotone_constraints_hold(fresh: Settings, quick: ModelConfig) -> None:
    name = "price__ln_ratio_to_reference"
    boosting = quick.boosting.model_copy(update={"monotone": {name: -1}})
    config = quick.model_copy(update={"boosting": boosting})
    items = read_labelled(fresh, config, "XA", (name, "profile__product_line_rate"))
    bundle = fit_bundle(items, split_items(items, config), config, 7, 1).bundle
    line = np.stack([np.linspace(-3, 3, 50), np.full(50, 0.3)], axis=1).astype(np.float32)
    assert (np.diff(bundle.score(line)) <= 1e-7).all()
