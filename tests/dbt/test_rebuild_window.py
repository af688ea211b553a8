"""A window made anew on demand is staged, tested by dbt, and only then put in place of what stood."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows import transform
from flows.versions import DBT_PROJECT
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import Settings, load_settings

pytestmark = pytest.mark.slow

FROM = date(2024, 2, 10)
IN_WINDOW = {"XA-2024-02", "XB-2024-02"}
BEFORE_IT = {"XA-2024-01", "XB-2024-01"}
ITEMS = "select * from seeded_items where hash(declaration_id) % 4 = 0"
# A day that no item was registered on before the window: a test of the whole mart that finds every item.
REFUSING_TEST = (
    "select * from {{ ref('declaration_item_features') }} where registered_date >= date '2024-02-10'"
)


@pytest.fixture(scope="module")
def home(seeded: duckdb.DuckDBPyConnection, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home whose first transform is complete, and the digests of its marts."""
    warehouse = type(built)(tmp_path_factory.mktemp("window"))
    warehouse.land(seeded, ITEMS)
    manifest = warehouse.home / "landing" / "extracts" / "manifest.parquet"
    seeded.sql(f"select *, extract_id as landing_key from '{manifest}'").write_parquet(str(manifest) + ".new")
    Path(f"{manifest}.new").replace(manifest)
    built_first = transform.transform(_settings(warehouse), "before_scoring", "inputs")
    assert not built_first.was_partial
    return warehouse, warehouse.mart_digests()


def _settings(warehouse: Any) -> Settings:
    return load_settings({"home": warehouse.home}, environment={})


def _features(warehouse: Any) -> Path:
    return Path(warehouse.home / "marts" / "features" / "declaration_item_features.parquet")


def _inodes(warehouse: Any) -> dict[str, int]:
    return {file.stem: file.stat().st_ino for file in _features(warehouse).glob("*.parquet")}


def _spoil(file: Path) -> None:
    """Change every value of a file and keep its time, so that it passes for the one the build left."""
    stamp = file.stat().st_mtime_ns
    duckdb.sql(f"select * replace (value__ln_net_kg + 1 as value__ln_net_kg) from '{file}'").write_parquet(
        f"{file}.new"
    )
    Path(f"{file}.new").replace(file)
    os.utime(file, ns=(stamp, stamp))


def test_a_window_is_made_anew_and_nothing_before_it(home: Any) -> None:
    """What was wrong in the window is right again, day by day; earlier files are not even written."""
    warehouse, digests = home
    for month in IN_WINDOW:
        _spoil(_features(warehouse) / f"{month}.parquet")
    # Days of the month before the window are taken from the standing file: those stay as they are.
    assert warehouse.mart_digests() != digests
    before = _inodes(warehouse)
    report = transform.transform(_settings(warehouse), "before_scoring", "inputs", FROM)
    after = _inodes(warehouse)
    assert (report.was_partial, report.was_fresh) == (True, False)
    assert {month for month in after if after[month] != before[month]} == IN_WINDOW
    kept, made = _rows_by_correctness(warehouse, digests)
    assert kept < FROM <= made

    # From the month's first day on, the files are those of a build of everything, byte for byte.
    transform.transform(_settings(warehouse), "before_scoring", "inputs", FROM.replace(day=1))
    assert warehouse.mart_digests() == digests


def _rows_by_correctness(warehouse: Any, digests: dict[str, str]) -> tuple[date, date]:
    """Return the last day whose values were spoilt and the first day in February whose values are right."""
    files = f"{_features(warehouse)}/*-2024-02.parquet"
    landed = f"{warehouse.home}/landing/declaration_items/*/*/rows.parquet"
    (found,) = duckdb.sql(
        f"""
        select
            max(f.registered_date) filter (abs(f.value__ln_net_kg - ln(i.net_kg)) > 0.5),
            min(f.registered_date) filter (abs(f.value__ln_net_kg - ln(i.net_kg)) < 0.5)
        from read_parquet('{files}') as f
        inner join read_parquet('{landed}', hive_partitioning = false) as i
            using (member_iso2, declaration_id, item_no)
        where i.net_kg > 0
        """
    ).fetchall()
    return found


def test_a_window_that_fails_its_tests_leaves_what_stood(
    home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, digests = home
    project = shutil.copytree(DBT_PROJECT, tmp_path / "dbt_project")
    (project / "tests" / "assert_what_cannot_be.sql").write_text(REFUSING_TEST, encoding="utf-8")
    with monkeypatch.context() as changed:
        changed.setattr(transform, "DBT_PROJECT", project)
        with pytest.raises(TidewaiterError, match="assert_what_cannot_be"):
            transform.transform(_settings(warehouse), "before_scoring", "inputs", FROM)
    staged = _features(warehouse).with_suffix(".staged")
    assert {file.stem for file in staged.glob("*.parquet")} == IN_WINDOW
    features = {name: digest for name, digest in digests.items() if "_item_features" in name}
    standing = warehouse.mart_digests()
    assert {name: standing[name] for name in features} == features

    # Nothing relies on the refused build: the next one makes everything.
    again = transform.transform(_settings(warehouse), "before_scoring", "inputs")
    assert (again.was_partial, again.was_fresh) == (False, False)
    assert warehouse.mart_digests() == digests
