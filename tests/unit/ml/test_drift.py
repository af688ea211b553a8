from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import recording
from ml.config import ModelConfig
from ml.data import features_path
from ml.drift import Reference, distribution, psi
from ml.train import train_member
from ml.watch import watch_member
from tidewaiter.settings import Settings

_VALUES = st.lists(st.one_of(st.floats(-100, 100), st.just(float("nan"))), min_size=1, max_size=60)


@settings(deadline=None, max_examples=80)
@given(_VALUES, _VALUES)
def test_the_index_is_zero_on_itself_and_never_negative(one: list[float], other: list[float]) -> None:
    reference = distribution(np.asarray(one))
    assert psi(reference, np.asarray(one)) == pytest.approx(0, abs=1e-12)
    assert psi(reference, np.asarray(other)) >= -1e-12


def test_the_index_against_the_formula_by_hand() -> None:
    """Two bins, half and half, that become a quarter and three quarters."""
    reference = distribution(np.asarray([0.0, 1.0] * 50))
    found = psi(reference, np.asarray([0.0] * 25 + [1.0] * 75))
    assert found == pytest.approx(-0.25 * np.log(0.5) + 0.25 * np.log(1.5), rel=1e-2)


@pytest.mark.parametrize("shared", [0.0, 50.0, 100.0])
def test_what_most_items_share_does_not_hide_the_others(shared: float) -> None:
    """Nineteen of twenty items have one value, the smallest, a middle or the largest; later only half do."""
    others = np.linspace(1, 99, 50)
    reference = distribution(np.concatenate([np.full(950, shared), others]))
    assert psi(reference, np.concatenate([np.full(500, shared), np.tile(others, 10)])) > 0.25


def test_chance_alone_stays_below_the_first_mark() -> None:
    rng = np.random.default_rng(1)
    found = [psi(distribution(rng.normal(size=2000)), rng.normal(size=500)) for _ in range(50)]
    assert max(found) < 0.1
    assert psi(distribution(rng.normal(size=2000)), rng.normal(1, 1, 500)) > 0.25


def test_a_reference_survives_json() -> None:
    one = Reference(3, 0.5, {"a": distribution(np.asarray([1.0, 2.0, np.nan]))})
    assert Reference.from_json(json.loads(json.dumps(one.as_json()))) == one


def test_a_member_whose_world_moved_is_found_and_one_that_stayed_is_not(
    fresh: Settings, small_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_draw", lambda *_: [])
    assert watch_member(fresh, small_config, "XA") is None
    train_member(fresh, "XA", small_config, "data-1", "features-1")
    report = watch_member(fresh, small_config, "XA")
    assert report is not None
    assert not [one for one in report.findings if one.kind in ("score", "labels", "performance")]
    assert not any(name.endswith("_items_n") for name in report.psi)
    mart = features_path(fresh)
    table = pq.read_table(mart)
    name = "price__ln_ratio_to_reference"
    moved = np.asarray(table.column(name)) - 1.5
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, [moved]), mart)
    report = watch_member(fresh, small_config, "XA")
    assert report is not None
    assert report.is_alarm
    kinds = {one.kind for one in report.findings}
    assert {"feature", "score"} <= kinds
    assert next(one for one in report.findings if one.kind == "feature").name == name
