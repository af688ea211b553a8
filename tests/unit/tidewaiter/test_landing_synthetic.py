"""The synthetic members under their contracts: exactly the planted faults are set aside, line by line."""

from __future__ import annotations

import json

import duckdb
import pyarrow as pa
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
    assert sorted({f"extracts/{path.name}" for _, path in sent}) == sorted(member.files)
    receipts = [
        receipt
        for extract, path in sent
        for receipt in land_files(path, extract, contract, settings, bench.pseudonymiser)
    ]
    items = [receipt for receipt in receipts if receipt.dataset == "declaration_items"]
    assert sum(receipt.rows_in for receipt in items) == member.items + second_versions(settings, code)
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
    assert len(told) == len(planted)
    assert len(set(found)) == len(found)
    # What a file says of declarations as a whole is faulty there too.
    repeated = {entry.dataset for entry in contract.extracts if entry.one_row_per}
    own = [(file_of[dataset, extract], line) for dataset, extract, line in found if dataset not in repeated]
    assert len(own) == len(set(own))
    assert set(own) == told
    assert {(file_of[dataset, extract], line) for dataset, extract, line in found} == told


def second_versions(settings, code):
    """Rows that say what an intervention made of an item, of the member that sends such rows."""
    if code != "XE":
        return 0
    lines = [
        pa.CompressedInputStream(pa.OSFile(str(path)), "zstd").read().decode().count('"version":2,')
        for path in (settings.paths.synthetic / "xe" / "extracts").glob("parcels_*")
    ]
    assert sum(lines) > 0
    return sum(lines)
