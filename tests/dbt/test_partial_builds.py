"""A build in parts gives, byte for byte, what a build of everything gives, and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

TODAY = "2024-02-20"

# What had been sent when TODAY began, as one extract per month.
HISTORY = f"""
    select * replace (
        if(label_at < timestamp '{TODAY}', is_irregular, null) as is_irregular,
        if(label_at < timestamp '{TODAY}', is_serious, null) as is_serious,
        if(label_at < timestamp '{TODAY}', label_at, null) as label_at,
        if(cancelled_at < timestamp '{TODAY}', cancelled_at, null) as cancelled_at
    )
    from seeded_items
    where registered_date < date '{TODAY}'
"""

# The day's own extract: its items, and items that were labelled or cancelled since, sent again.
DAY = f"""
    select * replace (
        lower(member_iso2) || '-day' as extract_id,
        'zz_' || member_iso2 || '_day.csv' as source_file,
        if(label_at < timestamp '{TODAY}' + interval 1 day, is_irregular, null) as is_irregular,
        if(label_at < timestamp '{TODAY}' + interval 1 day, is_serious, null) as is_serious,
        if(label_at < timestamp '{TODAY}' + interval 1 day, label_at, null) as label_at,
        if(cancelled_at < timestamp '{TODAY}' + interval 1 day, cancelled_at, null) as cancelled_at
    )
    from seeded_items
    where
        registered_date = date '{TODAY}'
        or (
            registered_date < date '{TODAY}'
            and (
                label_at >= timestamp '{TODAY}' and label_at < timestamp '{TODAY}' + interval 1 day
                or cancelled_at >= timestamp '{TODAY}' and cancelled_at < timestamp '{TODAY}' + interval 1 day
            )
        )
"""

# Late and corrected: an item of 25 January that nobody had sent, and another value for some of 27 January.
CORRECTED = """
    select * replace (
        'xb-late' as extract_id,
        'zzz_XB_late.csv' as source_file,
        'late-' || declaration_id as declaration_id
    )
    from seeded_items where member_iso2 = 'XB' and registered_date = date '2024-01-25' and item_no = 1
    union all
    select * replace (
        'xb-late' as extract_id,
        'zzz_XB_late.csv' as source_file,
        declared_value * 2 as declared_value,
        source_line + 1000000 as source_line
    )
    from seeded_items where member_iso2 = 'XB' and registered_date = date '2024-01-27'
"""
# And the rate of a currency that only XA uses, from TODAY on.
NEW_RATE = f"select 'XA', 'EUR', date '{TODAY}', 0.7"

FEATURES = "features/declaration_item_features.parquet"
BUILD = ("run", "--select", "+int_inputs__built")


def _files(warehouse: Any) -> dict[str, tuple[int, int]]:
    """Inode and time of change of each file of the feature mart: another one where it was written anew."""
    folder = warehouse.home / "marts" / FEATURES
    return {path.stem: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.parquet")}


def _at_once(built: Any, seeded: duckdb.DuckDBPyConnection, folder: Path, items: str, rates: str = "") -> Any:
    warehouse = type(built)(folder)
    warehouse.land(seeded, items, extra_rates=rates)
    warehouse.dbt(*BUILD)
    return warehouse


def _windows(warehouse: Any) -> dict[str, str]:
    with warehouse.open() as connection:
        return dict(
            connection.execute(
                "select member_iso2, from_date::varchar from intermediate.int_rebuild_windows"
            ).fetchall()
        )


@pytest.fixture(scope="module")
def grown(seeded: duckdb.DuckDBPyConnection, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A warehouse that was built up to TODAY, then with the day, then with what came late."""
    warehouse = type(built)(tmp_path_factory.mktemp("grown"))
    steps: list[tuple[dict[str, str], dict[str, tuple[int, int]], dict[str, str]]] = []
    for items, rates in (
        (HISTORY, ""),
        (f"{HISTORY} union all {DAY}", ""),
        (f"{HISTORY} union all {DAY} union all {CORRECTED}", NEW_RATE),
    ):
        warehouse.land(seeded, items, extra_rates=rates)
        warehouse.dbt(*BUILD)
        steps.append((warehouse.mart_digests(), _files(warehouse), _windows(warehouse)))
    return steps


def test_a_day_on_top_equals_a_build_of_everything(
    grown: Any, built: Any, seeded: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    at_once = _at_once(built, seeded, tmp_path, f"{HISTORY} union all {DAY}")
    assert grown[1][0] == at_once.mart_digests()
    assert grown[1][0] != grown[0][0]


def test_late_and_corrected_items_equal_a_build_of_everything(
    grown: Any, built: Any, seeded: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    items = f"{HISTORY} union all {DAY} union all {CORRECTED}"
    at_once = _at_once(built, seeded, tmp_path, items, NEW_RATE)
    assert grown[2][0] == at_once.mart_digests()
    assert grown[2][0] != grown[1][0]


def test_a_day_touches_its_own_month_only(grown: Any) -> None:
    (_, before, _), (_, after, windows), _ = grown
    assert windows == {"XA": TODAY, "XB": TODAY}
    assert {name for name in after if after[name] != before.get(name)} == {"XA-2024-02", "XB-2024-02"}


def test_what_came_late_is_felt_from_its_day_and_by_its_member(grown: Any) -> None:
    _, (_, before, _), (_, after, windows) = grown
    # The rate of XA counts from TODAY; XB begins with the day of the late item.
    assert windows == {"XA": TODAY, "XB": "2024-01-25"}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"XA-2024-02", "XB-2024-01", "XB-2024-02"}
