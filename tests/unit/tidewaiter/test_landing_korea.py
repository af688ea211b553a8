"""The real Korean set under its contract: every row lands, and known figures come out."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, land_file
from tidewaiter.settings import PROJECT_ROOT

KOREA_DIR = os.environ.get("TIDEWAITER_KOREA_DIR")


def land_all(bench, dataset):
    settings = bench.settings.model_copy(
        update={"members_dir": PROJECT_ROOT / "members", "korea_dir": Path(KOREA_DIR) if KOREA_DIR else None}
    )
    contract = load_contract(settings.members_dir, "KR")
    (extract,) = [one for one in contract.extracts if one.dataset == dataset]
    return {
        path.name: land_file(path, extract, contract, settings, bench.pseudonymiser)
        for path in find_files(extract, contract, settings)
    }


def test_won_rates_cover_the_set_month_by_month(bench):
    (receipt,) = land_all(bench, "exchange_rates").values()
    assert (receipt.rows_landed, receipt.rows_quarantined) == (25, 0)
    rows = bench.settings.paths.landing / "exchange_rates/member=KR/*/rows.parquet"
    with duckdb.connect() as connection:
        found = connection.execute(
            "select year(valid_from_date), count(distinct month(valid_from_date)), round(avg(units_per_usd))"
            " from read_parquet(?) where currency_code = 'KRW' group by all order by all",
            [str(rows)],
        ).fetchall()
    assert found == [(2020, 12, 1180), (2021, 12, 1144)]


@pytest.mark.korea
@pytest.mark.skipif(not KOREA_DIR, reason="TIDEWAITER_KOREA_DIR names no folder")
def test_all_rows_of_the_public_set_land(bench):
    receipts = land_all(bench, "declaration_items")
    assert {name: (one.rows_in, one.rows_landed) for name, one in receipts.items()} == {
        "train.csv": (37_385, 37_385),
        "valid.csv": (8_134, 8_134),
    }
    rows = bench.settings.paths.landing / "declaration_items/member=KR/*/rows.parquet"
    with duckdb.connect() as connection:
        found = connection.execute(
            """
            select
                count(*) filter (is_irregular), count(*) filter (is_serious),
                count(distinct declaration_id), count(*) - count(seller_id), count(*) - count(courier_id),
                count(*) filter (origin_iso2 is null or dispatch_iso2 is null),
                count(*) filter (hs6 like '0%'), min(registered_date), max(registered_date),
                count(*) filter (label_at - registered_at <> interval 14 day),
                count(*) filter (abs(coalesce(recovered_tax, -1)
                    - if(is_irregular, declared_value * tax_rate_pct / 100, 0)) > 0.0001)
            from read_parquet(?)
            """,
            [str(rows)],
        ).fetchone()
    # Figures from the README of the set: 8,114 + 1,704 frauds, 394 + 78 critical, sellers and couriers.
    assert found[:6] == (9_818, 472, 45_519, 3_715 + 795, 30_671 + 6_836, 0)
    assert found[6] > 0
    assert [str(day) for day in found[7:9]] == ["2020-01-01", "2021-03-31"]
    assert found[9:] == (0, 0)
