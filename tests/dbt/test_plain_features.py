"""Every feature of a few thousand items, computed by SQL and by plain Python, is the same."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest
import yaml

HERE = Path(__file__).parent
KEYS = ("member_iso2", "declaration_id", "item_no")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


plain = _load("plain_features")


@pytest.fixture(scope="module")
def compared(built: Any, request: pytest.FixtureRequest) -> Any:
    """Rows of dbt's features beside those of the plain reference, and the names of the features."""
    project = yaml.safe_load((request.config.rootpath / "dbt_project" / "dbt_project.yml").read_text())

    def rows(query: str) -> list[dict[str, Any]]:
        found = duckdb.sql(query)
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]

    landing = built.home / "landing"
    items = rows(f"from read_parquet('{landing}/declaration_items/*/*/rows.parquet')")
    rates = duckdb.sql(
        f"""
        select member_iso2, currency_code, valid_from_date, units_per_usd
        from read_parquet('{landing}/exchange_rates/*/*/rows.parquet')
        """
    ).fetchall()
    tariffs = duckdb.sql(
        f"""
        select
            member_iso2, hs_code, origin_group_code, preference_code, valid_from_date, valid_to_date, rate_pct
        from read_parquet('{landing}/tariff_rates/*/*/rows.parquet')
        """
    ).fetchall()
    reference = plain.PlainFeatures(items, rates, tariffs, project["vars"])
    built_rows = rows(f"from read_parquet('{built.mart('features/declaration_item_features')}')")
    features = {tuple(row[key] for key in KEYS): row for row in built_rows}
    names = [name for name in built_rows[0] if "__" in name]
    pairs = [(features[tuple(item[key] for key in KEYS)], reference.of(item)) for item in reference.items]
    return names, pairs


def _agree(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is None and right is None
    return math.isclose(float(left), float(right), rel_tol=1e-9, abs_tol=1e-9)


def test_the_reference_computes_every_feature(compared: Any) -> None:
    names, pairs = compared
    assert len(names) >= 60
    assert len(pairs) >= 3000
    assert set(pairs[0][1]) == set(names)


def test_every_feature_of_every_item_agrees(compared: Any) -> None:
    names, pairs = compared
    apart = {
        name: found
        for name in names
        if (
            found := [
                (tuple(ours[key] for key in KEYS), ours[name], theirs[name])
                for ours, theirs in pairs
                if not _agree(ours[name], theirs[name])
            ]
        )
    }
    assert {name: (len(found), found[:3]) for name, found in apart.items()} == {}


def test_every_feature_says_something_on_these_items(compared: Any) -> None:
    """Else the agreement above would be one of nulls and constants."""
    names, pairs = compared
    silent = [name for name in names if len({ours[name] for ours, _ in pairs}) < 2]
    assert silent == []
