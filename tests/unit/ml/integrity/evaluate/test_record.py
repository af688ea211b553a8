"""What is kept of a world, from signals as they are written."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from ml.integrity.catalogue import load_catalogue
from ml.integrity.evaluate.judge import judge
from ml.integrity.evaluate.parts import Part
from ml.integrity.evaluate.record import make_record
from ml.integrity.evaluate.rules import load_rules
from ml.integrity.evaluate.truth import Witnessed
from ml.integrity.evaluate.worlds import WorldSpec
from ml.integrity.signals import SIGNAL_SCHEMA
from ml.integrity.store import SignalStore
from tidewaiter.settings import Settings

START = date(2024, 7, 2)


def signal(unit, counterpart, end, q, status="computed", **other):
    """A signal of A1 in a look over all that was before."""
    known = {
        "indicator_id": "A1",
        "member_iso2": "XA",
        "unit_kind": "broker-inspector pair",
        "unit_id": unit,
        "counterpart_id": counterpart,
        "period_start": date(2024, 1, 1),
        "period_end": end,
        "tail": "high",
        "status": status,
        "q_value": q,
        "p_value": q,
        "support": 400.0,
        "observed": 60.0,
        "expected": 40.0,
        "effect_size": 0.05,
        "is_flagged": q is not None and q <= 0.05,
        "has_support": status == "computed",
        "severity": "none",
    }
    return {name: None for name in SIGNAL_SCHEMA.names} | known | other


@pytest.fixture
def kept(tmp_path):
    """A world of two looks of A1, and of B4 that a member cannot have."""
    settings = Settings(home=tmp_path, threads=1, memory_limit="512MB")
    june, september = date(2024, 6, 30), date(2024, 9, 30)
    rows = {
        june: [signal("b1", "i1", june, 0.04), signal("b2", "i1", june, None, "below support")],
        september: [
            signal("b1", "i1", september, 0.001, observed=90.0),
            signal("b2", "i1", september, 0.3),
            signal("b2", "i2", september, 0.2),
        ],
    }
    store = SignalStore(settings, "XA", "A1")
    for end, signals in rows.items():
        store.write(f"2024-01_{end:%Y-%m}", "key", pa.Table.from_pylist(signals, schema=SIGNAL_SCHEMA))
    lacking = signal("", None, None, None, "not computable", indicator_id="B4", unit_id=None)
    lacking |= {"reason": "not computable: needs a roster", "unit_kind": "inspector", "period_start": None}
    SignalStore(settings, "XA", "B4").write(
        "none", "key", pa.Table.from_pylist([lacking], schema=SIGNAL_SCHEMA)
    )
    parts = [Part("S6", "pair", f"b{one}", "i1", START, None, 20, 1000.0, 0.1) for one in (1, 2)]
    world = Witnessed(parts, [{"scenario": "S9", "files": 3, "observed": 1, "expected": 2.0}])
    return make_record(settings, WorldSpec("standard", 1), "XA", world, lambda: {"cpu_s": 1.0})


def test_every_indicator_is_on_record_with_what_it_did(kept):
    assert set(kept["indicators"]) == {entry.id for entry in load_catalogue()}
    a1 = kept["indicators"]["A1"]
    assert (a1["looks"], a1["tests"], a1["below_support"], a1["lack"]) == (2, 4, 1, None)
    assert kept["indicators"]["B4"]["lack"] == "not computable: needs a roster"
    assert kept["indicators"]["D4"] | {"looks": 0, "tests": 0, "lack": None} == kept["indicators"]["D4"]


def test_flags_of_all_looks_are_kept(kept):
    assert [(flag["unit_id"], flag["period_end"]) for flag in kept["flags"]] == [
        ("b1", "2024-06-30"),
        ("b1", "2024-09-30"),
    ]


def test_parts_know_how_often_they_were_tested_in_their_time(kept):
    first, second = kept["looked_at"]
    # The look of June ended before the scheme began.
    assert (first["place"], first["tests"], first["first_tested_on"]) == (0, 1, "2024-09-30")
    assert (first["observed"], first["expected"], first["least_q"]) == (90.0, 40.0, 0.001)
    assert (second["place"], second["tests"]) == (1, 1)


def test_a_record_can_be_judged(kept):
    judged = judge(kept, load_rules())
    assert [(hit.verdict, hit.first_on) for hit in judged.hits] == [("expected", date(2024, 9, 30))]
    assert [(find.days, find.is_tested) for find in judged.finds if find.indicator_id == "A1"] == [
        (90, True),
        (None, True),
    ]
