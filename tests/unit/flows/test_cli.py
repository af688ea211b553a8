"""The command line: light to start, exit codes, JSON, errors in words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_HEAVY = (
    "prefect",
    "dbt",
    "mlflow",
    "xgboost",
    "great_expectations",
    "sklearn",
    "pandas",
    "duckdb",
    "pyarrow",
)


def _tidewaiter(*arguments, home):
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_help_imports_nothing_heavy():
    code = f"import sys, flows.cli; print([name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


_COMMANDS = [
    *("demo", "run", "status", "serve", "worker", "members", "models", "config", "quarantine", "privacy"),
    *("ingest", "validate", "transform", "train", "score", "publish"),
]


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_explains_itself(command, tmp_path):
    done = _tidewaiter(command, "--help", home=tmp_path)
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_unknown_member_is_a_usage_error_with_a_suggestion(tmp_path):
    done = _tidewaiter("members", "show", "XX", home=tmp_path)
    assert done.returncode == 2
    assert "unknown member 'XX'" in done.stderr
    assert "did you mean" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_option_is_a_usage_error(tmp_path):
    assert _tidewaiter("members", "list", "--jsn", home=tmp_path).returncode == 2


def test_steps_on_an_empty_home_say_what_to_do(tmp_path):
    done = _tidewaiter("score", home=tmp_path)
    assert done.returncode == 2
    assert "tidewaiter demo" in done.stderr


def test_publish_without_marts_fails_in_words(tmp_path):
    done = _tidewaiter("publish", home=tmp_path)
    assert done.returncode == 1
    assert "nothing is published" in done.stderr
    assert "Traceback" not in done.stderr


def test_members_list_as_json(tmp_path):
    done = _tidewaiter("members", "list", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"KR", "XA", "XB", "XC"} <= {row["member"] for row in json.loads(done.stdout)}


def test_config_show_tells_the_origin(tmp_path):
    done = _tidewaiter("config", "show", "--json", home=tmp_path)
    origins = {row["setting"]: row["from"] for row in json.loads(done.stdout)}
    assert origins["home"] == "TIDEWAITER_HOME"
    assert origins["seed"] == "default"


@pytest.mark.parametrize("what", ["settings", "contract", "model"])
def test_config_schema_is_a_json_schema(what, tmp_path):
    done = _tidewaiter("config", "schema", what, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["type"] == "object"


def test_status_of_an_empty_home(tmp_path):
    done = _tidewaiter("status", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["home"] == [{"folder": str(tmp_path), "held_by": "nobody"}]
    assert found["published"] == []
