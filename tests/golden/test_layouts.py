"""Members nobody has seen: public layouts landed by contract alone, and held to what the source holds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli import app
from flows.ingest import ingest_member
from flows.proposing import write_proposal
from tidewaiter.settings import Settings, load_settings

HERE = Path(__file__).parent


def _layouts() -> Any:
    spec = importlib.util.spec_from_file_location("layout_samples", HERE / "layout_samples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


LAYOUTS = _layouts()
# Kind of format and dataset that `members init` has to see, and the fields that it must map rightly.
PROPOSED: dict[str, tuple[str, str, set[str]]] = {
    "XG": ("csv", "declaration_items", set()),  # no names to go by
    "XH": (
        "csv",
        "declaration_items",
        {"declaration_id", "hs6", "registered_at", "office_code", "origin_iso2"},
    ),
    "XI": ("fixed_width", "declaration_items", set()),
    "XJ": ("csv", "", {"net_kg"}),
    "XK": ("csv", "", set()),
    "XL": ("json", "", set()),
    "XM": (
        "json",
        "aggregate_flows",
        {"frequency_code", "flow_code", "hs_code", "primary_value_usd", "quantity"},
    ),
    "XN": ("csv", "declaration_items", {"office_code", "importer_id", "declarant_id", "hs6", "gross_kg"}),
    "XO": ("xml", "declaration_items", {"item_no", "procedure_code", "hs6", "origin_iso2"}),
    "XP": (
        "excel",
        "declaration_items",
        {"declaration_id", "item_no", "registered_at", "hs6", "declared_value"},
    ),
}


@pytest.fixture(params=[*LAYOUTS.LAYOUTS])
def code(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def settings_at(home: Path, members: Path = HERE / "layouts") -> Settings:
    overrides = {"home": home, "members_dir": members, "threads": 1, "memory_limit": "512MB"}
    return load_settings(overrides, environment={}, local_file=home / "none.yaml")


def put(home: Path, code: str) -> Any:
    """Put the sample where its contract looks."""
    sample = LAYOUTS.sample(code)
    path = home / "incoming" / code.lower() / sample.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(sample.content)
    return sample, path


def test_what_the_source_holds_lands(code, tmp_path):
    sample, _ = put(tmp_path, code)
    (receipt,) = ingest_member(settings_at(tmp_path), code).receipts
    assert (receipt.rows_in, receipt.rows_landed) == (sample.records, len(sample.landed))
    assert receipt.rows_quarantined == sample.records - len(sample.landed)
    rows = (
        tmp_path
        / "landing"
        / receipt.dataset
        / f"member={code}"
        / f"extract={receipt.extract_id}"
        / "rows.parquet"
    )
    found = duckdb.read_parquet(str(rows), hive_partitioning=False).order("source_line")
    names = [*sample.landed[0]]
    columns = found.select(*(duckdb.ColumnExpression(name) for name in names))
    assert [dict(zip(names, row, strict=True)) for row in columns.fetchall()] == sample.landed


def test_a_first_contract_is_proposed(code, tmp_path):
    _, path = put(tmp_path, code)
    kind, dataset, fields = PROPOSED[code]
    written = write_proposal(settings_at(tmp_path, tmp_path / "members"), code, [path])
    (entry,) = written.proposal.extracts
    assert entry.format["kind"] == kind
    assert dataset in ("", entry.dataset)
    right = yaml.safe_load((HERE / "layouts" / code.lower() / "contract.yaml").read_text())["extracts"][0][
        "fields"
    ]
    for name in fields:
        assert all(column.rpartition("/")[2] in str(right[name]) for column in entry.guesses[name].columns)
    text = written.path.read_text()
    proposed = yaml.safe_load(text)["extracts"][0]
    assert set(proposed["fields"] or {}) == set(entry.mapped)
    for name in entry.unmapped:
        assert f"# {name}: " in text


@pytest.mark.parametrize("member", ["XG", "XO"])
def test_check_and_diff_tell_an_engineer_what_is_wrong(member, tmp_path, monkeypatch):
    _, path = put(tmp_path, member)
    monkeypatch.setenv("TIDEWAITER_HOME", str(tmp_path))
    monkeypatch.setenv("TIDEWAITER_MEMBERS_DIR", str(HERE / "layouts"))
    checked = CliRunner().invoke(app, ["members", "check", member, str(path)])
    assert checked.exit_code == 0, checked.output
    assert "declared_value" in checked.output
    assert "rows are sound" in checked.output
    assert CliRunner().invoke(app, ["members", "diff", member, str(path)]).exit_code == 0
    assert CliRunner().invoke(app, ["members", "show", member]).exit_code == 0
