"""No feature moves when anything changes that was not known when the item's day began."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import pytest

LAST_KNOWN_DAY = "2024-02-15"

# Whatever the office could not know when LAST_KNOWN_DAY began there is altered, removed or added, and every
# outcome besides labels is altered everywhere. XA lies nine hours east of UTC, XB on it.
MUTATED = f"""
    with known as (
        select
            *,
            registered_date > date '{LAST_KNOWN_DAY}' as is_later,
            timestamp '{LAST_KNOWN_DAY}' - if(member_iso2 = 'XA', interval 9 hours, interval 0 hours)
            as day_began_at
        from seeded_items
    ),
    altered as (
        select * exclude (day_began_at) replace (
            if(label_at >= day_began_at, not is_irregular, is_irregular) as is_irregular,
            assessed_value + 1 as assessed_value,
            recovered_tax + 1 as recovered_tax,
            if(cancelled_at >= day_began_at, null, cancelled_at) as cancelled_at,
            if(is_later, declared_value * 3, declared_value) as declared_value,
            if(is_later, 'CN', origin_iso2) as origin_iso2
        ),
        'RED' as lane_initial_code,
        'someone' as inspector_initial_id
        from known
        where not is_later or hash(declaration_id, item_no) % 3 != 0
    )
    select * from altered
    union all
    select * replace ('new-' || declaration_id as declaration_id, source_line + 1000000 as source_line)
    from altered
    where is_later and item_no = 1
"""


# The same items as somebody had them when LAST_KNOWN_DAY began there: with the labels and cancellations that
# were known by then, and no other.
WITHHELD = f"""
    with known as (
        select
            *,
            timestamp '{LAST_KNOWN_DAY}' - if(member_iso2 = 'XA', interval 9 hours, interval 0 hours)
            as day_began_at
        from seeded_items
    )
    select * exclude (day_began_at) replace (
        if(label_at < day_began_at, is_irregular, null) as is_irregular,
        if(label_at < day_began_at, is_serious, null) as is_serious,
        if(label_at < day_began_at, label_at, null) as label_at,
        if(cancelled_at < day_began_at, cancelled_at, null) as cancelled_at
    )
    from known
"""


def _digest_of_features(warehouse: Any, condition: str, folder: Path) -> str:
    target = folder / "features.parquet"
    features = warehouse.mart("features/declaration_item_features")
    query = f"from read_parquet('{features}') where {condition} order by member_iso2, declaration_id, item_no"
    duckdb.sql(query).write_parquet(str(target))
    return hashlib.sha256(target.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def mutated(seeded: duckdb.DuckDBPyConnection, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    warehouse = type(built)(tmp_path_factory.mktemp("mutated"))
    later_rate = f"select 'XB', 'XBD', date '{LAST_KNOWN_DAY}' + 1, 99"
    warehouse.land(seeded, MUTATED, extra_rates=later_rate)
    warehouse.dbt("run", "--select", "+declaration_item_features")
    return warehouse


def test_features_up_to_a_day_ignore_what_came_later(built: Any, mutated: Any, tmp_path: Path) -> None:
    up_to = f"registered_date <= date '{LAST_KNOWN_DAY}'"
    assert _digest_of_features(mutated, up_to, tmp_path) == _digest_of_features(built, up_to, tmp_path)


def test_features_after_that_day_do_notice(built: Any, mutated: Any, tmp_path: Path) -> None:
    """Else the comparison above would compare nothing."""
    after = f"registered_date > date '{LAST_KNOWN_DAY}' and declaration_id not like 'new-%'"
    assert _digest_of_features(mutated, after, tmp_path) != _digest_of_features(built, after, tmp_path)


@pytest.fixture(scope="module")
def withheld(seeded: duckdb.DuckDBPyConnection, built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    warehouse = type(built)(tmp_path_factory.mktemp("withheld"))
    warehouse.land(seeded, WITHHELD)
    warehouse.dbt("run", "--select", "+declaration_item_features")
    return warehouse


def test_labels_count_from_when_they_were_known(built: Any, withheld: Any, tmp_path: Path) -> None:
    """Withheld until they were known, labels and cancellations give the same features up to that day."""
    up_to = f"registered_date <= date '{LAST_KNOWN_DAY}'"
    assert _digest_of_features(withheld, up_to, tmp_path) == _digest_of_features(built, up_to, tmp_path)
    after = f"registered_date > date '{LAST_KNOWN_DAY}'"
    assert _digest_of_features(withheld, after, tmp_path) != _digest_of_features(built, after, tmp_path)


def test_features_differ_from_their_prior(built: Any) -> None:
    """The seeded history says something about every family, so that a leak would have a way in."""
    features = built.mart("features/declaration_item_features")
    row = duckdb.sql(
        f"""
        select
            count(distinct profile__importer_rate) > 100,
            count(*) filter (profile__product_line_labelled_n > 0) > 10,
            count(price__robust_z) > 100,
            count(distinct price__reference_level) >= 3,
            count(novelty__importer_heading_days_since_last_seen) > 100,
            count(distinct route__dispatch_share_of_origin) > 100
        from read_parquet('{features}')
        """
    ).fetchone()
    assert row == (True,) * 6
