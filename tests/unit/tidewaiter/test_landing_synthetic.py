"""The synthetic members under their contracts: exactly the planted faults are set aside, line by line."""

from __future__ import annotations

import json

import duckdb
import pytest

from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, land_file
from tidewaiter.settings import PROJECT_ROOT
from tidewaiter.synthetic import generate_members


@pytest.mark.parametrize("code", ["XA", "XB", "XC"])
def test_exactly_the_planted_faults_are_in_quarantine(bench, code):
    settings = bench.settings.model_copy(update={"members_dir": PROJECT_ROOT / "members"})
    (member,) = generate_members(settings.paths, [code], items_per_member=3000, months=6)
    contract = load_contract(settings.members_dir, code)
    receipts = [
        land_file(path, extract, contract, settings, bench.pseudonymiser)
        for extract in contract.extracts
        for path in find_files(extract, contract, settings)
    ]
    items = [receipt for receipt in receipts if receipt.dataset == "declaration_items"]
    assert sum(receipt.rows_in for receipt in items) == member.items
    with duckdb.connect() as connection:
        found = connection.execute(
            "select source_file, source_line from read_parquet(?)",
            [str(settings.paths.landing / f"*/member={code}/extract=*/quarantine.parquet")],
        ).fetchall()
    planted = json.loads((member.folder / "truth" / "faults.json").read_text())
    assert len(planted) == member.faults > 0
    assert sorted(found) == sorted((fault["file"].rsplit("/", 1)[-1], fault["line"]) for fault in planted)
