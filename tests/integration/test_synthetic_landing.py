"""Synthetic extracts through real contracts and real landing: quarantine, ledger and truth agree."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, land_file
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings, load_settings
from tidewaiter.synthetic import generate_members

ITEMS = 3_000
MEMBERS = ("XA", "XB", "XC")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = load_settings({"home": tmp_path_factory.mktemp("landed-synthetic")}, environment={})
    generate_members(settings.paths, items_per_member=ITEMS)
    pseudonymiser = load_pseudonymiser(settings.paths, environment={})
    for member in MEMBERS:
        contract = load_contract(settings.members_dir, member)
        extracts = [
            one for one in contract.extracts if one.dataset in ("declaration_items", "exchange_rates")
        ]
        for extract in extracts:
            for path in find_files(extract, contract, settings):
                land_file(path, extract, contract, settings, pseudonymiser)
    return settings


def landed(settings: Settings, member: str, file: str, dataset: str = "declaration_items") -> Path:
    return settings.paths.landing / dataset / f"member={member}" / "extract=*" / file


@pytest.mark.parametrize("member", MEMBERS)
def test_quarantine_is_the_fault_ledger_line_by_line(settings: Settings, member: str) -> None:
    ledger = json.loads(
        (settings.paths.synthetic / member.lower() / "faults.json").read_text(encoding="utf-8")
    )
    planted = {(fault["file"], fault["line"]) for fault in ledger}
    receipts = [json.loads(path.read_text()) for path in settings.paths.landing.rglob("receipt.json")]
    file_of = {receipt["extract_id"]: receipt["source_file"] for receipt in receipts}
    quarantined = duckdb.sql(
        f"select regexp_extract(filename, 'extract=([0-9a-f]+)', 1), source_line"
        f" from read_parquet('{landed(settings, member, 'quarantine.parquet')}', filename = true)"
    ).fetchall()
    found = [(file_of[extract_id], line) for extract_id, line in quarantined]
    assert len(found) == len(set(found)) == len(planted)
    assert set(found) == planted


@pytest.mark.parametrize("member", MEMBERS)
def test_landed_rows_say_what_was_declared(settings: Settings, member: str) -> None:
    """Through the dialect and back: amounts at the day's rate, mass, code, label."""
    rows, rates = (
        landed(settings, member, "rows.parquet", dataset)
        for dataset in ("declaration_items", "exchange_rates")
    )
    truth = settings.paths.synthetic / member.lower() / "truth" / "items.parquet"
    joined, worst_value, wrong_hs6, wrong_mass = duckdb.sql(
        f"""
        select
            count(*),
            max(abs(declared_value / units_per_usd / declared_value_usd - 1)),
            count(*) filter (hs6 <> true_hs6),
            count(*) filter (abs(net_kg - true_net_kg) > 0.001)
        from (select distinct on (declaration_id, item_no) * from '{rows}') as item
        asof join '{rates}' as rate on item.registered_date >= rate.valid_from_date
        join '{truth}' as truth using (declaration_id, item_no)
        where scenario is null
        """
    ).fetchone() or (0, 1, 1, 1)
    assert joined > 0.9 * ITEMS
    assert worst_value < 0.001
    assert (wrong_hs6, wrong_mass) == (0, 0)


@pytest.mark.parametrize("member", MEMBERS)
def test_uninspected_items_land_without_a_label(settings: Settings, member: str) -> None:
    labelled, wrong = duckdb.sql(
        f"""
        select
            count(is_irregular),
            count(*) filter (
                is_irregular is not null and label_source_code <> 'PCA'
                and lane_final_code not in ('RED', 'YELLOW')
            )
            + count(*) filter ((is_irregular is null) <> (label_at is null))
            + count(*) filter ((is_irregular is null) <> (label_source_code is null))
        from '{landed(settings, member, "rows.parquet")}'
        """
    ).fetchone() or (0, 1)
    assert labelled > 0.2 * ITEMS
    assert wrong == 0
