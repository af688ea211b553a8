"""A window that is made anew on request: staged, tested, and only then in the place of what stood."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows import transform
from flows.versions import DBT_PROJECT
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import Settings

pytestmark = pytest.mark.slow

WINDOW_FROM = date(2024, 2, 1)
FEATURES = "features/declaration_item_features.parquet/"


def _stamps(warehouse: Any) -> dict[str, int]:
    """Time of change of each file of the marts by month: another one where it was written anew."""
    root = warehouse.home / "marts"
    return {
        str(path.relative_to(root)): path.stat().st_mtime_ns
        for path in root.glob("*/*.parquet/*-????-??.parquet")
    }


def _build(warehouse: Any, rebuild_from: date | None = None) -> transform.TransformReport:
    return transform.transform(Settings(home=warehouse.home), "before_scoring", "inputs", rebuild_from)


@pytest.fixture(scope="module")
def whole(built: Any, seeded: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home that the transform step built as a whole. Each test leaves its marts as they were."""
    warehouse = type(built)(tmp_path_factory.mktemp("whole"))
    warehouse.land(seeded, "select * from seeded_items")
    assert not _build(warehouse).was_partial
    return warehouse


def test_a_window_made_anew_equals_the_whole_build(whole: Any) -> None:
    digests, before = whole.mart_digests(), _stamps(whole)
    report = _build(whole, WINDOW_FROM)
    assert report.was_partial
    assert whole.mart_digests() == digests
    after = _stamps(whole)
    anew = {name for name in after if after[name] != before[name] and name.startswith(FEATURES)}
    assert anew == {f"{FEATURES}XA-2024-02.parquet", f"{FEATURES}XB-2024-02.parquet"}


def test_a_window_that_fails_its_tests_leaves_what_stood(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests, before = whole.mart_digests(), _stamps(whole)
    project = tmp_path / "dbt_project"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "tests" / "assert_nothing_stands_in_the_window.sql").write_text(
        "select member_iso2 from {{ ref('declaration_item_features') }}"
        f" where registered_date >= date '{WINDOW_FROM}' limit 1",
        encoding="utf-8",
    )
    with monkeypatch.context() as patched:
        patched.setattr(transform, "DBT_PROJECT", project)
        with pytest.raises(TidewaiterError, match="assert_nothing_stands_in_the_window"):
            _build(whole, WINDOW_FROM)
    assert list((whole.home / "marts/features").glob("*.staged/XA-2024-02.parquet"))
    assert _stamps(whole) == before
    assert whole.mart_digests() == digests
    # The next one trusts nothing that the failed one left.
    assert not _build(whole).was_partial
    assert whole.mart_digests() == digests


def test_a_kill_before_the_swap_leaves_what_stood(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    digests, before = whole.mart_digests(), _stamps(whole)

    def killed(_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(transform, "swap_staged", killed)
        with pytest.raises(KeyboardInterrupt):
            _build(whole, WINDOW_FROM)
    assert _stamps(whole) == before
    assert whole.mart_digests() == digests
    # Without its record the window is not taken for done: the same request again builds, and gives the same.
    assert not _build(whole, WINDOW_FROM).was_fresh
    assert whole.mart_digests() == digests
