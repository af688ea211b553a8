"""What the servers promise: the deployments stand, and a drift alarm trains without anybody's doing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

ALARM = """
from prefect import flow
from flows.watching import announce
from ml.watch import DriftReport, Finding

words = "population stability index of score is 0.50 (limit 0.25)"
finding = Finding("score", "score", 0.5, 0.25, SEVERITY, words)
about = ("XA", "irregularity-xa", "1", "2024-01-01", "2024-02-01", 1000)

@flow
def watched() -> None:
    announce(DriftReport(*about, {"score": 0.5}, (finding,)))

watched()
"""
_PATIENCE_SECONDS = 240


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(1)
    raise AssertionError("it did not happen")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a served Prefect, with its deployments."""
    home = tmp_path_factory.mktemp("served")
    port = _free_port()
    environment = os.environ | {
        "TIDEWAITER_HOME": str(home),
        "TIDEWAITER_PREFECT_PORT": str(port),
        "TIDEWAITER_MLFLOW_PORT": str(_free_port()),
    }
    command = [str(Path(sys.executable).parent / "tidewaiter"), "serve"]
    with (home / "serve.log").open("wb") as log:
        serving = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        record = home / "state"

        def is_up() -> bool:
            assert serving.poll() is None, (home / "serve.log").read_text(encoding="utf-8")
            return any("prefect_api_url" in path.read_text() for path in record.glob("*.json"))

        _until(is_up)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        serving.send_signal(signal.SIGINT)
        serving.wait(60)


def _runs_by_automation(api: str) -> list[dict[str, Any]]:
    runs = httpx.post(f"{api}/flow_runs/filter", json={}, timeout=30).json()
    return [run for run in runs if (run["created_by"] or {}).get("type") == "AUTOMATION"]


def _announce(api: str, severity: str) -> None:
    program = ALARM.replace("SEVERITY", json.dumps(severity))
    environment = os.environ | {"PREFECT_API_URL": api}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)


def test_a_drift_alarm_starts_a_training_and_a_warning_does_not(api: str) -> None:
    deployments = httpx.post(f"{api}/deployments/filter", json={}, timeout=30).json()
    ids = {one["name"]: one["id"] for one in deployments}
    assert ids.keys() == {"daily", "weekly", "window"}

    _announce(api, "warning")
    _announce(api, "alarm")
    runs = _until(lambda: _runs_by_automation(api))
    assert [run["deployment_id"] for run in runs] == [ids["weekly"]]
