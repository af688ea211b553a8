"""The synthetic members under their contracts: exactly the planted faults are set aside, line by line."""

from __future__ import annotations

import json

import duckdb
import pytest

from tidewaiter.contracts import load_contract
from tidewaiter.landing import find_files, land_files
from tidewaiter.settings import PROJECT_ROOT
from tidewaiter.synthetic import generate_members
from tidewaiter.synthetic.parameters import plan
from tidewaiter.synthetic.profiles import PROFILES


@pytest.mark.parametrize("code", sorted(PROFILES))
def test_exactly_the_planted_faults_are_in_quarantine(bench, code):
    """Of every file that the member sends, whatever its form."""
    settings = bench.settings.model_copy(update={"members_dir": PROJECT_ROOT / "members"})
    how = plan(strengths=["world.fault_share=0.01"])
    (member,) = generate_members(settings.paths, [code], 2500, months=3, plan=how)
    contract = load_contract(settings.members_dir, code)
    sent = [
        (extract, path) for extract in contract.extracts for path in find_files(extract, contract, settings)
    ]
    assert sorted(f"extracts/{path.name}" for _, path in sent) == sorted(member.files)
    receipts = [
        receipt
        for extract, path in sent
        for receipt in land_files(path, extract, contract, settings, bench.pseudonymiser)
    ]
    items = [receipt for receipt in receipts if receipt.dataset == "declaration_items"]
    assert sum(receipt.rows_in for receipt in items) == member.items
    file_of = {(receipt.dataset, receipt.extract_id): receipt.source_file for receipt in receipts}
    with duckdb.connect() as connection:
        found = connection.execute(
            "select regexp_extract(filename, 'landing/([a-z_]+)/', 1),"
            " regexp_extract(filename, 'extract=([0-9a-f]+)', 1), source_line"
            " from read_parquet(?, filename = true)",
            [str(settings.paths.landing / f"*/member={code}/extract=*/quarantine.parquet")],
        ).fetchall()
    planted = json.loads((member.folder / "faults.json").read_text())
    assert len(planted) == member.faults > 0
    told = {(fault["file"], fault["line"]) for fault in planted}
    assert len(found) == len(told) == len(planted)
    assert {(file_of[dataset, extract_id], line) for dataset, extract_id, line in found} == told
