"""Settings: who wins, where a value came from, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from tidewaiter.errors import UsageProblem
from tidewaiter.settings import Settings, explain_settings, load_settings


def test_flag_beats_environment_beats_file_beats_default(tmp_path):
    local = tmp_path / "tidewaiter.yaml"
    local.write_text("seed: 1\nthreads: 1\nlock_timeout_s: 5\n")
    environment = {"TIDEWAITER_SEED": "2", "TIDEWAITER_THREADS": "2"}
    settings = load_settings({"seed": 3, "threads": None}, environment, local)
    assert (settings.seed, settings.threads, settings.lock_timeout_s) == (3, 2, 5)
    assert settings.publications_kept == Settings().publications_kept
    origins = {one.name: one.origin for one in explain_settings({"seed": 3}, environment, local)}
    assert origins["seed"] == "flag"
    assert origins["threads"] == "TIDEWAITER_THREADS"
    assert origins["lock_timeout_s"] == str(local)
    assert origins["publications_kept"] == "default"


def test_paths_come_out_absolute_and_below_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings({}, {"TIDEWAITER_HOME": "here"}, tmp_path / "none.yaml")
    assert settings.home == tmp_path / "here"
    assert settings.paths.extract_folder("declaration_items", "XT", "abc") == (
        tmp_path / "here/landing/declaration_items/member=XT/extract=abc"
    )
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/here/mlflow/mlflow.db"


def test_an_empty_variable_counts_as_unset(tmp_path):
    assert load_settings({}, {"TIDEWAITER_SEED": ""}, tmp_path / "none.yaml").seed == Settings().seed


def test_all_wrong_values_are_named_with_their_origin(tmp_path):
    with pytest.raises(UsageProblem) as raised:
        load_settings({"seed": -1}, {"TIDEWAITER_THREADS": "many"}, tmp_path / "none.yaml")
    text = str(raised.value)
    assert "seed from flag" in text
    assert "threads from TIDEWAITER_THREADS" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [("sede: 1", "did you mean 'seed'?"), ("- a", "not a mapping"), ("a: [", "not YAML")],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    local = tmp_path / "tidewaiter.yaml"
    local.write_text(content)
    with pytest.raises(UsageProblem) as raised:
        load_settings({}, {}, local)
    assert message in str(raised.value)
    assert str(local) in str(raised.value)
