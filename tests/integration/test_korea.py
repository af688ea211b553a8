"""The public Korean set through the real steps: as good as a plain model at least, and no label invented."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from flows import gates, ingest, learning, manifest, transform
from ml.score import accepted_runs
from tidewaiter.settings import Settings, load_settings
from tidewaiter.warehouse import quote_identifier, quote_literal

KOREA_DIR = os.environ.get("TIDEWAITER_KOREA_DIR", "")
pytestmark = [
    pytest.mark.korea,
    pytest.mark.skipif(not KOREA_DIR, reason="TIDEWAITER_KOREA_DIR names no folder"),
]

LABELS = ("Fraud", "Critical Fraud")
STILL_TO_BE_SCORED = 300
# A month after the last labelled day, as a file that is still to be scored comes later.
DAYS_LATER = 30


def write_unlabelled(target: Path, prefix: str, skip: int, *, with_columns: bool) -> None:
    """Write some of the last lines of the validation quarter as later ones whose outcome is not known."""
    left_out = ", ".join(quote_identifier(name) for name in LABELS)
    empty = "".join(f", null as {quote_identifier(name)}" for name in LABELS) if with_columns else ""
    duckdb.sql(
        f"""
        select * exclude (line, {left_out}) replace (
            '{prefix}' || "Declaration ID" as "Declaration ID",
            strftime("Date"::date + {DAYS_LATER}, '%Y-%m-%d') as "Date"
        ){empty}
        from (
            select *, row_number() over () as line
            from read_csv({quote_literal(Path(KOREA_DIR) / "valid.csv")}, all_varchar = true)
        )
        order by line desc limit {STILL_TO_BE_SCORED} offset {skip}
        """
    ).write_csv(str(target), header=True)


@dataclass(frozen=True)
class Korea:
    """A home on which the Korean set went through every step up to its scores."""

    settings: Settings
    model: Any
    score: Any

    def one(self, sql: str) -> Any:
        """Ask the marts and the scores, named in braces."""
        home = self.settings.home
        (row,) = duckdb.sql(
            sql.format(
                trade=f"'{home}/marts/trade/declaration_items.parquet'",
                labels=f"'{home}/marts/features/declaration_item_labels.parquet'",
                scores=f"'{home}/scores/member=KR/run=*/rows.parquet'",
            )
        ).fetchall()
        return row[0] if len(row) == 1 else row


@pytest.fixture(scope="module")
def korea(tmp_path_factory: pytest.TempPathFactory) -> Korea:
    """Two labelled files and two without labels: one without the columns, one with empty ones."""
    folder = tmp_path_factory.mktemp("korean-files")
    for name in ("train.csv", "valid.csv"):
        shutil.copyfile(Path(KOREA_DIR) / name, folder / name)
    write_unlabelled(folder / "without_columns.csv", "A", 0, with_columns=False)
    write_unlabelled(folder / "with_empty_columns.csv", "B", STILL_TO_BE_SCORED, with_columns=True)
    assert "Fraud" not in (folder / "without_columns.csv").read_text().splitlines()[0]
    assert (folder / "with_empty_columns.csv").read_text().splitlines()[1].endswith(",,")
    home = tmp_path_factory.mktemp("korea").resolve()
    settings = load_settings({"home": home, "korea_dir": folder}, environment={}, local_file=home / "none")
    ingest.ingest_member(settings, "KR")
    gates.gate_landing(settings, "KR")
    transform.transform(
        settings, "before_scoring", transform.inputs_digest(manifest.write_manifest(settings))
    )
    gates.gate_features(settings, "KR")
    model = learning.train(settings, "KR")
    return Korea(settings, model, learning.score(settings, "KR"))


@pytest.fixture(scope="module")
def plain_model() -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of the validation quarter, and what XGBoost says of them after a year of raw columns."""
    import pandas as pd
    import xgboost

    year, quarter = (
        pd.read_csv(Path(KOREA_DIR) / name, dtype="str", keep_default_na=False, na_values=[""])
        for name in ("train.csv", "valid.csv")
    )
    figures = ["Tax Rate", "Net Mass", "Item Price"]
    codes = [name for name in year.columns if name not in ("Declaration ID", "Date", *figures, *LABELS)]
    # A code that the year did not have is a missing value to the model.
    known = {name: sorted(year[name].dropna().unique()) for name in codes}
    for table in (year, quarter):
        table[figures] = table[figures].astype("float64")
        table["Fraud"] = table["Fraud"].astype("int64")
        for name in codes:
            table[name] = table[name].astype(pd.CategoricalDtype(known[name]))
    model = xgboost.XGBClassifier(
        n_estimators=200, max_depth=6, learning_rate=0.1, enable_categorical=True, random_state=7, n_jobs=2
    )
    model.fit(year[codes + figures], year["Fraud"])
    return quarter["Fraud"].to_numpy(), model.predict_proba(quarter[codes + figures])[:, 1]


def test_the_pipeline_is_at_least_as_good_as_a_plain_model(korea, plain_model):
    from sklearn.metrics import average_precision_score, roc_auc_score

    outcome, probability = plain_model
    window = korea.model.windows["KR"]
    assert (window["test_from"], window["test_to"]) == ("2021-01-01", "2021-03-31")
    metrics = korea.model.metrics
    # The same rows: as many, and as many of them irregular.
    assert metrics["n"] == len(outcome)
    assert metrics["base_rate"] == pytest.approx(outcome.mean())
    plain_auc, plain_precision = (
        roc_auc_score(outcome, probability),
        average_precision_score(outcome, probability),
    )
    assert plain_auc > 0.7
    assert metrics["auc"] >= plain_auc
    assert metrics["average_precision"] >= plain_precision
    for name in ("risk_profile", "logistic_regression", "random_expected"):
        assert metrics["precision_at_05"] > metrics[f"{name}/precision_at_05"]


def test_files_without_labels_land_whole(korea):
    receipts = {row.source_file: row for row in manifest.read_manifest(korea.settings)}
    for name in ("without_columns.csv", "with_empty_columns.csv"):
        assert receipts[name].is_accepted
        assert (receipts[name].rows_landed, receipts[name].rows_quarantined) == (STILL_TO_BE_SCORED, 0)


def test_no_label_is_invented(korea):
    items, labels, outcomes = korea.one(
        """
        select count(*), count(is_irregular),
            count(is_serious) + count(label_at) + count(label_source_code) + count(recovered_tax)
        from {trade} where left(declaration_id, 1) in ('A', 'B')
        """
    )
    assert (items, labels, outcomes) == (2 * STILL_TO_BE_SCORED, 0, 0)
    assert korea.one("select count(*) from {labels} where left(declaration_id, 1) in ('A', 'B')") == 0
    assert korea.one("select count(*) from {labels}") == korea.one("select count(is_irregular) from {trade}")


def test_items_without_labels_are_scored(korea):
    (run,) = accepted_runs(korea.settings, "KR")
    assert str(run.window_to) == "2021-04-30"
    scored, scores, ranks = korea.one(
        """
        select count(*), count(score), count(rank_in_office_day)
        from {scores} where left(declaration_id, 1) in ('A', 'B')
        """
    )
    assert scored == scores == ranks == 2 * STILL_TO_BE_SCORED
    # They are the quarter's own lines over again, so most of what was found in them is known by now.
    irregular_first = korea.one(
        """
        select avg(score) filter (is_irregular) - avg(score) filter (not is_irregular)
        from {scores} as scored
        join {trade} as known on known.declaration_id = scored.declaration_id[2:]
        where left(scored.declaration_id, 1) in ('A', 'B')
        """
    )
    assert irregular_first > 0.2
