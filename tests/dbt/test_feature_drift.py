"""The drift table: what it samples, the index that the models' own arithmetic gives, and its limits."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
import yaml

from ml.config import load_config
from ml.drift import distribution, psi
from tests.dbt.conftest import PROJECT

DRIFT = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]["feature_drift"]


@pytest.fixture(scope="module")
def samples(built: Any) -> dict[tuple[str, str, str], tuple[int, np.ndarray]]:
    """Sampled items and known values of each member, month and feature."""
    with built.open() as connection:
        rows = connection.execute("from intermediate.int_feature_samples").fetchall()
    return {(member, str(month), name): (n, np.asarray(known)) for member, month, name, n, known in rows}


def _with_nulls(known: np.ndarray, items_n: int) -> np.ndarray:
    return np.append(known, np.full(items_n - len(known), np.nan))


def _month_values(known: np.ndarray) -> np.ndarray:
    n = min(len(known), DRIFT["reference_items"])
    return known[np.floor((np.arange(n) + 0.5) * len(known) / n).astype(int)] if n else known


def test_the_index_is_the_one_that_models_are_watched_by(built: Any, samples: Any) -> None:
    """`ml/drift.py` on the same values says the same of every feature, whatever its shape and nulls."""
    drift = built.mart("features/feature_drift")
    found = duckdb.sql(
        f"select member_iso2, feature, psi from '{drift}' where month = date '2024-02-01'"
    ).fetchall()
    assert len(found) > 250
    moved = 0
    for member, feature, index in found:
        earlier_n, earlier = samples[member, "2024-01-01", feature]
        now_n, now = samples[member, "2024-02-01", feature]
        reference = distribution(_month_values(earlier))
        # Shares of nulls are those of all sampled items, not of the values that stand for the month.
        known_share = len(earlier) / earlier_n
        shares = (*(share * known_share for share in reference.shares[:-1]), 1 - known_share)
        expected = psi(type(reference)(reference.edges, shares), _with_nulls(now, now_n))
        assert index == pytest.approx(expected, abs=1e-6), (member, feature)
        moved += index > DRIFT["large_psi"]
    assert moved > 10


def test_samples_are_items_of_the_mart_drawn_by_their_key(built: Any, samples: Any) -> None:
    features = built.mart("features/declaration_item_features")
    for member, month in {(member, month) for member, month, _ in samples}:
        of_month = (
            f"from '{features}' where member_iso2 = '{member}'"
            f" and date_trunc('month', registered_date) = date '{month}'"
        )
        (count,) = duckdb.sql(f"select count(*) {of_month}").fetchall()[0]
        drawn = duckdb.sql(
            f"select value__ln_net_kg::double {of_month}"
            f" and hash(declaration_id, item_no) / 18446744073709551616.0"
            f" < {DRIFT['sampled_items']}::double / {count} order by all"
        ).fetchnumpy()
        (values,) = drawn.values()
        items_n, known = samples[member, month, "value__ln_net_kg"]
        assert items_n == len(values) < count
        assert known.tolist() == np.ma.compressed(values)[: len(known)].tolist()


def test_every_feature_of_every_month_has_a_verdict(built: Any) -> None:
    drift, features = built.mart("features/feature_drift"), built.mart("features/declaration_item_features")
    names = {name for name in duckdb.sql(f"from '{features}' limit 0").columns if "__" in name}
    rows = duckdb.sql(f"select member_iso2, month, list(feature) from '{drift}' group by all").fetchall()
    assert len(rows) == 4
    assert all(set(listed) == names and len(listed) == len(names) for _, _, listed in rows)


@pytest.mark.slow
def test_months_tell_of_a_world_that_moved(built: Any, seeded: Any, tmp_path: Any) -> None:
    """Prices that triple in February are a large shift of XA's; of the mass nothing is said, nor of XB."""
    moved = type(built)(tmp_path)
    moved.land(
        seeded,
        "select * replace (if(member_iso2 = 'XA' and registered_date >= date '2024-02-01',"
        " declared_value * 30, declared_value) as declared_value) from seeded_items",
    )
    moved.dbt("run", "--select", "+feature_drift")
    drift = moved.mart("features/feature_drift")
    rows = duckdb.sql(
        f"select member_iso2, feature, verdict from '{drift}' where is_latest and feature in"
        " ('value__ln_value_usd', 'value__ln_net_kg')"
    ).fetchall()
    assert {(member, feature): verdict for member, feature, verdict in rows} == {
        ("XA", "value__ln_value_usd"): "large shift",
        ("XA", "value__ln_net_kg"): "stable",
        ("XB", "value__ln_value_usd"): "stable",
        ("XB", "value__ln_net_kg"): "stable",
    }


def test_models_and_the_table_have_the_same_limits() -> None:
    limits = load_config().drift
    assert (limits.psi_warn, limits.psi_alarm) == (DRIFT["moderate_psi"], DRIFT["large_psi"])
    assert list(limits.ignore) == DRIFT["moves_by_itself"]
