"""dbt's own tests pass on the seeded landing zone, and a build is a function of what was landed."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest


def test_unit_and_data_tests_pass(built: Any) -> None:
    done = built.dbt("test", "--no-use-colors")
    assert "ERROR=0" in done.stdout
    assert "WARN=0" in done.stdout


@pytest.fixture(scope="module")
def shuffled(seeded: duckdb.DuckDBPyConnection, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same rows landed in another order, built as the flows build: features first, then scores."""
    warehouse = type(built)(tmp_path_factory.mktemp("shuffled"))
    warehouse.land(seeded, "select * from seeded_items order by hash(declaration_id, item_no)")
    warehouse.dbt("build", "--selector", "before_scoring")
    return warehouse


def test_the_order_of_landed_rows_changes_no_byte(built: Any, shuffled: Any) -> None:
    months = ("XA-2024-01", "XA-2024-02", "XB-2024-01", "XB-2024-02", "none")
    before_scoring = {
        *(f"features/declaration_item_features.parquet/{month}.parquet" for month in months),
        *(f"features/declaration_item_labels.parquet/{month}.parquet" for month in months),
        *(f"trade/declaration_items.parquet/{month}.parquet" for month in months),
        "features/feature_drift.parquet",
        "trade/declarations.parquet",
        "trade/member_extracts.parquet",
    }
    scores = "scores/declaration_items.parquet"
    # The marts of the integrity indicators are a stage of their own.
    digests = {name: digest for name, digest in built.mart_digests().items() if name[:10] != "integrity/"}
    assert digests.keys() == before_scoring | {scores}
    assert shuffled.mart_digests() == {name: digests[name] for name in before_scoring}

    shuffled.dbt("build", "--selector", "after_scoring")
    assert shuffled.mart_digests() == digests


def test_marts_hold_one_row_per_landed_item(built: Any, seeded: duckdb.DuckDBPyConnection) -> None:
    landed = seeded.sql("select count(*), count(is_irregular) from seeded_items").fetchone()
    features = built.mart("features/declaration_item_features")
    labels = built.mart("features/declaration_item_labels")
    marts = duckdb.sql(f"select (select count(*) from '{features}'), (select count(*) from '{labels}')")
    assert marts.fetchone() == landed


def test_labels_say_with_what_chance_their_item_was_inspected(
    built: Any, seeded: duckdb.DuckDBPyConnection
) -> None:
    chances = "select label_source_code, selection_probability, count(*) from {} group by all order by all"
    labels = duckdb.sql(chances.format(f"'{built.mart('features/declaration_item_labels')}'"))
    landed = seeded.sql(chances.format("(from seeded_items where is_irregular is not null)"))
    assert [(code, chance and float(chance), n) for code, chance, n in landed.fetchall()] == labels.fetchall()


def test_an_empty_mart_is_a_file_without_rows(built: Any) -> None:
    scores = built.mart("scores/declaration_items")
    assert duckdb.sql(f"select count(*) from '{scores}'").fetchone() == (0,)
