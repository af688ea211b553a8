"""The transform step: skipped when nothing changed, loud when dbt fails, a killed one never counts."""

from __future__ import annotations

import json
from datetime import date
from types import SimpleNamespace

import pytest

from flows import transform
from tidewaiter.errors import TidewaiterError
from tidewaiter.settings import load_settings


class FakeDbt:
    """Stands for the dbt process: writes run results and marts, counts its starts."""

    def __init__(self, settings):
        self.settings = settings
        self.starts = 0
        self.results = [_result("model.tidewaiter.trade__declaration_items", "success")]
        self.dies = False
        self.variables = {}

    def __call__(self, settings, arguments):
        self.starts += 1
        self.variables = json.loads(arguments[arguments.index("--vars") + 1])
        mart = settings.paths.marts / "trade" / "member_extracts.parquet"
        mart.write_bytes(b"rows")
        if self.dies:
            raise KeyboardInterrupt
        path = settings.paths.dbt_target / "target" / "run_results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"results": self.results}))
        yield 1, 1


def _result(unique_id, status, message=None):
    return {"unique_id": unique_id, "status": status, "message": message}


@pytest.fixture
def dbt(tmp_path, monkeypatch):
    fake = FakeDbt(load_settings({"home": tmp_path}, environment={}))
    monkeypatch.setattr(transform, "run_dbt", fake)
    return fake


def test_same_inputs_are_built_once(dbt):
    first = transform.transform(dbt.settings, "before_scoring", "inputs")
    second = transform.transform(dbt.settings, "before_scoring", "inputs")
    assert (first.was_fresh, second.was_fresh, dbt.starts) == (False, True, 1)


def test_other_inputs_are_built(dbt):
    transform.transform(dbt.settings, "before_scoring", "inputs")
    transform.transform(dbt.settings, "before_scoring", "others")
    assert dbt.starts == 2


def test_missing_or_changed_mart_is_built_again(dbt):
    transform.transform(dbt.settings, "before_scoring", "inputs")
    (dbt.settings.paths.marts / "trade" / "member_extracts.parquet").unlink()
    assert not transform.transform(dbt.settings, "before_scoring", "inputs").was_fresh


def test_score_marts_do_not_make_the_first_stage_stale(dbt):
    transform.transform(dbt.settings, "before_scoring", "inputs")
    (dbt.settings.paths.marts / "scores" / "declaration_items.parquet").write_bytes(b"scores")
    assert transform.transform(dbt.settings, "before_scoring", "inputs").was_fresh


def test_killed_build_is_never_fresh(dbt):
    transform.transform(dbt.settings, "before_scoring", "inputs")
    dbt.dies = True
    with pytest.raises(KeyboardInterrupt):
        transform.transform(dbt.settings, "before_scoring", "others")
    dbt.dies = False
    assert not transform.transform(dbt.settings, "before_scoring", "inputs").was_fresh


def test_every_failed_node_is_named_and_nothing_counts_as_done(dbt):
    dbt.results = [
        _result("model.tidewaiter.a", "error", "Binder Error:\n  no column x"),
        _result("test.tidewaiter.b.abc", "fail", "Got 3 results"),
        _result("model.tidewaiter.c", "success"),
    ]
    with pytest.raises(TidewaiterError) as error:
        transform.transform(dbt.settings, "before_scoring", "inputs")
    assert [problem.what for problem in error.value.problems] == [
        "a: Binder Error: no column x",
        "b: Got 3 results",
    ]
    dbt.results = []
    assert not transform.transform(dbt.settings, "before_scoring", "inputs").was_fresh


def test_warnings_are_told(dbt):
    dbt.results = [_result("test.tidewaiter.rate.abc", "warn", "Got 3 results, configured to warn if != 0")]
    report = transform.transform(dbt.settings, "before_scoring", "inputs")
    assert report.warnings == ("rate: Got 3 results, configured to warn if != 0",)


def test_days_are_made_anew_on_demand(dbt):
    transform.transform(dbt.settings, "before_scoring", "inputs")
    again = transform.transform(dbt.settings, "before_scoring", "inputs", date(2024, 1, 5))
    assert not again.was_fresh
    assert dbt.variables["rebuild_from_date"] == "2024-01-05"


def test_the_de_minimis_value_is_the_contracts(dbt, monkeypatch):
    landed = [SimpleNamespace(member_iso2=member) for member in ("XA", "XE", "KR", "QQ")]
    monkeypatch.setattr(transform, "read_manifest", lambda settings: landed)
    monkeypatch.setattr(transform, "_extracts", lambda settings: [])
    transform.transform(dbt.settings, "before_scoring", "inputs")
    # KR has no such parameter, and no contract is left of QQ.
    assert dbt.variables == {"member_de_minimis_usd": {"XA": 150, "XE": 110}}


def test_another_de_minimis_value_is_built(dbt, monkeypatch):
    transform.transform(dbt.settings, "before_scoring", "inputs")
    monkeypatch.setattr(transform, "_de_minimis_usd", lambda settings: {"XA": 22})
    again = transform.transform(dbt.settings, "before_scoring", "inputs")
    assert (again.was_fresh, again.was_partial) == (False, False)
