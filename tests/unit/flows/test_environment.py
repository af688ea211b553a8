"""The environment handed to the libraries: statistics off, one home, an operator's choice kept."""

from __future__ import annotations

from flows.environment import SERVE_RECORD, USAGE_STATISTICS_OFF, prepare_environment, running_server
from tidewaiter.files import write_json_atomically
from tidewaiter.settings import load_settings


def test_usage_statistics_are_off(tmp_path):
    environment: dict[str, str] = {}
    prepare_environment(load_settings({"home": tmp_path}, environment={}), environment)
    assert USAGE_STATISTICS_OFF.items() <= environment.items()
    assert environment["PREFECT_HOME"].startswith(str(tmp_path))
    assert str(tmp_path) in environment["MLFLOW_TRACKING_URI"]


def test_libraries_obey():
    import subprocess
    import sys

    code = (
        "import os;"
        "from flows.environment import prepare_environment;"
        "from tidewaiter.settings import load_settings;"
        "prepare_environment(load_settings());"
        "from prefect.settings import get_current_settings as current;"
        "from mlflow.telemetry.utils import is_telemetry_disabled;"
        "print(current().server.analytics_enabled, is_telemetry_disabled())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["False", "True"]


def test_what_is_set_stays(tmp_path):
    environment = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": "/elsewhere"}
    prepare_environment(load_settings({"home": tmp_path}, environment={}), environment)
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:9/api"
    assert environment["PREFECT_HOME"] == "/elsewhere"


def test_record_of_a_dead_server_is_ignored(tmp_path):
    write_json_atomically(tmp_path / SERVE_RECORD, {"prefect_api_url": "http://127.0.0.1:9/api", "pid": 1})
    assert running_server(tmp_path) is None


def test_record_that_points_elsewhere_is_ignored(tmp_path):
    write_json_atomically(tmp_path / SERVE_RECORD, {"prefect_api_url": "http://example.org/api", "pid": 1})
    assert running_server(tmp_path) is None
