"""A small world through the real pipeline: drawn, landed, gated, transformed, tested, judged, taken away."""

from __future__ import annotations

import json
import os

import pytest

from flows import evaluation
from ml.integrity.catalogue import load_catalogue
from ml.integrity.evaluate.judge import judge
from ml.integrity.evaluate.rules import load_rules
from ml.integrity.evaluate.worlds import worlds
from tidewaiter.settings import Settings

pytestmark = pytest.mark.slow


def test_small_worlds_are_judged_and_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation.tempfile, "tempdir", str(tmp_path / "places"))
    (tmp_path / "places").mkdir()
    home = tmp_path / "home"
    before = dict(os.environ)
    settings = Settings(home=home, threads=1, memory_limit="1GB")
    specs = worlds((1,), ("standard", "power"), 20_000, 12)
    paths = evaluation.collect(settings, tmp_path / "records", specs)
    assert list((tmp_path / "places").iterdir()) == []
    assert not home.exists()
    assert dict(os.environ) == before

    standard, power = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    assert set(standard["indicators"]) == {entry.id for entry in load_catalogue()}
    assert all(said["lack"] is None and said["looks"] > 0 for said in standard["indicators"].values())
    assert set(power["indicators"]) == {"A1"}
    # A broker that shops for lanes is busy enough to be seen even here, and nobody is accused in vain of it.
    judged = judge(standard, load_rules())
    assert {hit.verdict for hit in judged.hits if hit.indicator_id == "A5"} == {"expected"}
    (seen,) = {find.scenario for find in judged.finds if find.indicator_id == "A5"}
    assert seen == "S7"
    tested = [find for find in judge(power, load_rules()).finds if find.is_tested]
    assert {find.indicator_id for find in tested} == {"A1"}
    assert {find.diversion for find in tested} <= {0.03, 0.05, 0.075, 0.10, 0.15, 0.20}

    page, reached = evaluation.write(tmp_path / "records", None, specs[0])
    assert page.parent == tmp_path / "records"
    assert {one.state for one in reached} <= {"reached", "open", "missed", "not measured"}
