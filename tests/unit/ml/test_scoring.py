from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml import score
from ml.config import ModelConfig
from ml.data import labels_path, read_labelled
from ml.evaluate import evaluate
from ml.score import ScoreRun, accept_scores, accepted_runs, score_member
from ml.tracking import open_client
from ml.train import train_member
from ml.versions import load_version, resolve
from tidewaiter.errors import TidewaiterError, UsageProblem
from tidewaiter.files import read_json

COLUMNS = {
    "member_iso2": "VARCHAR",
    "declaration_id": "VARCHAR",
    "item_no": "INTEGER",
    "office_code": "VARCHAR",
    "registered_at": "TIMESTAMP",
    "registered_date": "DATE",
    "score": "DOUBLE",
    "probability": "DOUBLE",
    "expected_recovery_usd": "DOUBLE",
    "rank_in_office_day": "INTEGER",
    "suggested_lane_code": "VARCHAR",
    "reason_1": "VARCHAR",
    "reason_2": "VARCHAR",
    "reason_3": "VARCHAR",
    "model_name": "VARCHAR",
    "model_version": "VARCHAR",
    "run_id": "VARCHAR",
    "scored_at": "TIMESTAMP",
}


def _score(trained: Any, stage: Path, **chosen: Any) -> ScoreRun:
    config = chosen.pop("config", trained.config)
    return score_member(trained.settings, "XA", config, "features-1", stage_dir=stage, **chosen)


def _rows(path: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    return duckdb.sql(f"select {columns} from read_parquet('{path}', hive_partitioning=false)").fetchall()


def _with_scoring(config: ModelConfig, **changed: Any) -> ModelConfig:
    return config.model_copy(update={"scoring": config.scoring.model_copy(update=changed)})


@pytest.fixture(scope="module")
def run(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> ScoreRun:
    return _score(trained, tmp_path_factory.mktemp("score") / "stage")


def test_columns_types_and_order_are_the_contract(run: ScoreRun) -> None:
    described = duckdb.sql(
        f"describe select * from read_parquet('{run.folder / 'rows.parquet'}', hive_partitioning=false)"
    ).fetchall()
    assert {row[0]: row[1] for row in described} == COLUMNS
    assert [row[0] for row in described] == list(COLUMNS)
    keys = _rows(run.folder / "rows.parquet", "member_iso2, declaration_id, item_no")
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys) == run.items_scored
    assert {path.name for path in run.folder.iterdir()} == {"rows.parquet", "run.json"}


def test_the_window_is_the_test_window_to_the_end_and_all_its_items(trained: Any, run: ScoreRun) -> None:
    assert run.window_from == date.fromisoformat(trained.model.windows["XA"]["test_from"])
    mart = trained.settings.paths.marts / "features" / "declaration_item_features.parquet"
    expected = duckdb.sql(
        f"select count(*), max(registered_date) from '{mart}'"
        f" where member_iso2 = 'XA' and registered_date >= date '{run.window_from}'"
    ).fetchone()
    assert expected == (run.items_scored, run.window_to)


def test_ranks_follow_expected_recovery_within_office_and_day(run: ScoreRun) -> None:
    rows = _rows(
        run.folder / "rows.parquet",
        "office_code, registered_date, rank_in_office_day, expected_recovery_usd, probability, score,"
        " declaration_id",
    )
    groups: dict[tuple[str, date], list[tuple[Any, ...]]] = {}
    for office, day, *rest in rows:
        groups.setdefault((office, day), []).append(tuple(rest))
    for found in groups.values():
        expected = sorted(found, key=lambda row: (-row[1], -row[2], -row[3], row[4]))
        assert [row[0] for row in expected] == list(range(1, len(found) + 1))


def test_lanes_follow_the_score_and_come_near_their_shares(trained: Any, run: ScoreRun) -> None:
    found = duckdb.sql(
        "select suggested_lane_code, min(score), max(score), count(*)"
        f" from '{run.folder / 'rows.parquet'}' group by 1"
    ).fetchall()
    lanes = {lane: (low, high, n) for lane, low, high, n in found}
    assert lanes["RED"][0] > lanes["YELLOW"][1]
    assert lanes["YELLOW"][0] > lanes["BLUE"][1]
    assert lanes["BLUE"][0] > lanes["GREEN"][1]
    # A threshold is a quantile of the calibration window: both it and the share have the noise of a draw.
    windows = duckdb.sql(
        "select count(*) filter (registered_date < $test), count(*) filter (registered_date >= $test)"
        f" from '{labels_path(trained.settings)}' where registered_date >= $calibration",
        params={name: trained.model.windows["XA"][f"{name}_from"] for name in ("calibration", "test")},
    ).fetchone()
    assert windows is not None
    for lane, share in trained.config.scoring.lane_shares.items():
        deviation = math.sqrt(share * (1 - share) * sum(1 / n for n in windows))
        assert abs(lanes[lane][2] / run.items_scored - share) < 4 * deviation


def test_only_what_people_look_at_first_is_explained(trained: Any, run: ScoreRun) -> None:
    columns = "declaration_id, score, expected_recovery_usd, rank_in_office_day, reason_1"
    rows = _rows(run.folder / "rows.parquet", columns)
    size = math.ceil(trained.config.scoring.explained_top_share * len(rows))
    by_score = sorted(rows, key=lambda row: (-row[1], row[0]))[:size]
    by_recovery = sorted(rows, key=lambda row: (-row[2], row[0]))[:size]
    first = [row for row in rows if row[3] <= trained.config.scoring.explained_ranks]
    expected = {row[0] for row in (*by_score, *by_recovery, *first)}
    assert len(expected) < len(rows)
    assert {row[0] for row in rows if row[4] is not None} == expected


def test_nothing_is_explained_where_nothing_is_asked_for(trained: Any, tmp_path: Path) -> None:
    config = _with_scoring(trained.config, explained_top_share=0.0, explained_ranks=0)
    run = _score(trained, tmp_path, config=config)
    assert _rows(run.folder / "rows.parquet", "count(reason_1)") == [(0,)]


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_rows=st.integers(1, 700))
def test_batches_equal_the_whole(trained: Any, run: ScoreRun, tmp_path: Path, batch_rows: int) -> None:
    found = _score(
        trained, tmp_path / "stage", config=_with_scoring(trained.config, batch_rows=max(batch_rows, 20))
    )
    assert found.run_id == run.run_id
    assert found.metrics == run.metrics
    columns = "* exclude (scored_at)"
    assert _rows(found.folder / "rows.parquet", columns) == _rows(run.folder / "rows.parquet", columns)


def test_a_day_scored_alone_equals_the_same_day_in_the_window(
    trained: Any, run: ScoreRun, tmp_path: Path
) -> None:
    day = run.window_from + timedelta(days=7)
    alone = _score(trained, tmp_path, window_from=day, window_to=day)
    columns = (
        "declaration_id, score, probability, expected_recovery_usd, rank_in_office_day, suggested_lane_code"
    )
    expected = duckdb.sql(
        f"select {columns} from '{run.folder / 'rows.parquet'}' where registered_date = date '{day}'"
    ).fetchall()
    assert expected
    assert _rows(alone.folder / "rows.parquet", columns) == expected


def test_metrics_are_those_of_the_labelled_items_of_the_window(trained: Any, run: ScoreRun) -> None:
    """The default window is the model's test window, so both ways must agree."""
    for name in ("auc", "precision_at_05", "revenue_at_05", "risk_profile/recall_at_10", "novel/auc"):
        assert run.metrics[name] == pytest.approx(trained.model.metrics[name]), name
    name = "by_expected_recovery/revenue_at_05"
    assert run.metrics[name] == pytest.approx(trained.model.metrics[name])
    bundle = load_version(resolve(open_client(trained.settings), "irregularity-xa"), threads=1)
    items = read_labelled(trained.settings, trained.config, "XA", bundle.features)
    test = items.take(items.registered_day >= np.datetime64(run.window_from))
    direct = evaluate(bundle.score(test.matrix), test.is_irregular, test.recovered_usd, (0.05,)).figures
    assert run.metrics["precision_at_05"] == pytest.approx(direct["precision_at_05"])


def test_the_same_batch_is_not_scored_again_and_keeps_its_time(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _score(trained, tmp_path / "one")
    folder = accept_scores(trained.settings, first)
    assert folder == trained.settings.paths.scores / "member=XA" / f"run={first.run_id}"
    before = (folder / "rows.parquet").read_bytes()
    stored = read_json(folder / "run.json")
    assert stored["run_id"] == first.run_id
    assert stored["model_version"] == "1"
    monkeypatch.setattr(score, "write_score_batch", lambda *_: pytest.fail("scored again"))
    again = _score(trained, tmp_path / "two")
    assert again.was_scored is False
    assert (again.run_id, again.scored_at, again.metrics) == (first.run_id, first.scored_at, first.metrics)
    accept_scores(trained.settings, again)
    assert (folder / "rows.parquet").read_bytes() == before
    assert not (tmp_path / "two").exists()


def test_a_stage_folder_keeps_what_is_not_ours(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("somebody else's")
    accept_scores(trained.settings, _score(trained, tmp_path, window_to=date(2025, 10, 1)))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_batch_without_its_rows_is_scored_again(trained: Any, tmp_path: Path) -> None:
    folder = accept_scores(trained.settings, _score(trained, tmp_path / "one"))
    (folder / "rows.parquet").unlink()
    assert _score(trained, tmp_path / "two").was_scored


def test_what_a_killed_scoring_left_in_the_stage_is_swept(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"half")
    (tmp_path / ".scored.parquet").write_bytes(b"half")
    run = _score(trained, tmp_path, window_to=date(2025, 10, 20))
    assert {path.name for path in tmp_path.iterdir()} == {"rows.parquet", "run.json"}
    assert _rows(tmp_path / "rows.parquet", "count(*)") == [(run.items_scored,)]


def test_a_new_feature_file_is_a_new_run(trained: Any, run: ScoreRun, tmp_path: Path) -> None:
    other = score_member(trained.settings, "XA", trained.config, "features-2", stage_dir=tmp_path)
    assert other.run_id != run.run_id


def test_a_member_without_a_model_is_scored_by_the_pooled_one_or_says_so(
    fresh: Any, small_config: ModelConfig, tmp_path: Path
) -> None:
    with pytest.raises(TidewaiterError, match="no champion of irregularity-xb or irregularity-pooled"):
        score_member(fresh, "XB", small_config, "features-1", stage_dir=tmp_path)
    train_member(fresh, None, small_config, "data-1", "features-1")
    run = score_member(fresh, "XB", small_config, "features-1", stage_dir=tmp_path)
    assert run.model_name == "irregularity-pooled"
    assert (run.window_to - run.window_from).days == small_config.split.test_days - 1
    with pytest.raises(TidewaiterError, match="no item in the feature mart"):
        score_member(fresh, "XB' or 'a' = 'a", small_config, "features-1", stage_dir=tmp_path)


def test_windows_that_hold_nothing_are_refused(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="before it begins"):
        _score(trained, tmp_path, window_from=date(2025, 5, 2), window_to=date(2025, 5, 1))
    with pytest.raises(TidewaiterError, match="no item was registered"):
        _score(trained, tmp_path, window_from=date(2030, 1, 1), window_to=date(2030, 1, 2))


def test_a_missing_label_mart_is_named(trained: Any, fresh: Any, tmp_path: Path) -> None:
    (fresh.paths.marts / "features" / "declaration_item_labels.parquet").unlink()
    elsewhere = fresh.model_copy(update={"mlflow_tracking_uri": trained.settings.tracking_uri})
    with pytest.raises(TidewaiterError, match=r"declaration_item_labels\.parquet: the mart is not built"):
        score_member(elsewhere, "XA", trained.config, "f", stage_dir=tmp_path / "stage")


def test_a_mart_without_the_models_features_names_them(trained: Any, fresh: Any, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    mart = fresh.paths.marts / "features" / "declaration_item_features.parquet"
    pq.write_table(pq.read_table(mart).drop_columns(["tax__rate_pct"]), mart)
    elsewhere = fresh.model_copy(update={"mlflow_tracking_uri": trained.settings.tracking_uri})
    with pytest.raises(TidewaiterError, match="the feature mart lacks tax__rate_pct"):
        score_member(elsewhere, "XA", trained.config, "f", stage_dir=tmp_path / "stage")


def _accepted_days(trained: Any) -> list[tuple[str, date, date, int]]:
    """Run, first day, last day and rows of what stands, and that no item stands twice."""
    glob = trained.settings.paths.scores / "member=XA" / "run=*" / "rows.parquet"
    rows = "count(*), count(distinct (member_iso2, declaration_id, item_no))"
    total, distinct = _rows(glob, rows)[0]
    assert total == distinct
    return duckdb.sql(
        f"select run_id, min(registered_date), max(registered_date), count(*)"
        f" from read_parquet('{glob}', hive_partitioning=false) group by all order by 2, 1"
    ).fetchall()


def test_a_new_window_takes_its_days_from_the_batch_before(trained: Any, tmp_path: Path) -> None:
    first, middle = date(2025, 10, 1), date(2025, 10, 15)
    whole = _score(trained, tmp_path, window_from=first, window_to=date(2025, 10, 31))
    accept_scores(trained.settings, whole)
    later = _score(trained, tmp_path, window_from=middle, window_to=date(2025, 11, 10))
    accept_scores(trained.settings, later)
    stands = _accepted_days(trained)
    assert [run_id for run_id, *_ in stands if run_id in (whole.run_id, later.run_id)] == [
        whole.run_id,
        later.run_id,
    ]
    ends = {run_id: (begin, end) for run_id, begin, end, _ in stands}
    assert ends[whole.run_id][1] < middle <= ends[later.run_id][0]
    kept = next(run for run in accepted_runs(trained.settings, "XA") if run.run_id == whole.run_id)
    assert not kept.is_whole
    again = _score(trained, tmp_path, window_from=first, window_to=date(2025, 10, 31))
    assert again.was_scored, "a batch that lost days is not taken for whole"


def test_a_window_apart_leaves_the_other_untouched(trained: Any, tmp_path: Path) -> None:
    one = _score(trained, tmp_path, window_from=date(2025, 9, 1), window_to=date(2025, 9, 10))
    folder = accept_scores(trained.settings, one)
    before = (folder / "rows.parquet").read_bytes(), (folder / "run.json").read_bytes()
    other = _score(trained, tmp_path, window_from=date(2025, 9, 11), window_to=date(2025, 9, 20))
    accept_scores(trained.settings, other)
    assert ((folder / "rows.parquet").read_bytes(), (folder / "run.json").read_bytes()) == before
    assert not _score(trained, tmp_path, window_from=date(2025, 9, 1), window_to=date(2025, 9, 10)).was_scored


def test_what_the_model_was_trained_on_does_not_judge_it(trained: Any, run: ScoreRun, tmp_path: Path) -> None:
    """A window that reaches back into the training period has the metrics of its unseen part."""
    back = run.window_from - timedelta(days=60)
    wide = _score(trained, tmp_path / "wide", window_from=back, window_to=run.window_to)
    assert wide.items_scored > run.items_scored
    assert wide.judged_from == run.window_from
    assert wide.metrics == run.metrics
    seen = _score(trained, tmp_path / "seen", window_from=back, window_to=run.window_from - timedelta(days=1))
    assert seen.judged_from is None
    assert seen.metrics == {"n": 0.0}
