"""`prefect.yaml`: the deployments there are, when they run, and that their flows exist."""

from __future__ import annotations

import importlib
import inspect

import pytest
import yaml

from flows.server import WORK_POOL
from tidewaiter.settings import PROJECT_ROOT

_SPEC = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text(encoding="utf-8"))
_DEPLOYMENTS = {found["name"]: found for found in _SPEC["deployments"]}


def test_snapshot():
    assert {
        name: (found["entrypoint"], [schedule["cron"] for schedule in found.get("schedules", [])])
        for name, found in _DEPLOYMENTS.items()
    } == {
        "daily": ("flows/pipeline.py:member_refresh", ["30 3 * * *"]),
        "weekly": ("flows/pipeline.py:weekly_training", ["0 5 * * 0"]),
        "window": ("flows/pipeline.py:backfill", []),
    }


@pytest.mark.parametrize("name", sorted(_DEPLOYMENTS))
def test_entrypoint_is_a_flow_that_takes_the_parameters(name):
    deployment = _DEPLOYMENTS[name]
    path, function = deployment["entrypoint"].split(":")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    flow = getattr(module, function)
    accepted = inspect.signature(flow.fn).parameters
    assert set(deployment.get("parameters", {})) <= set(accepted)
    assert flow.timeout_seconds


@pytest.mark.parametrize("name", sorted(_DEPLOYMENTS))
def test_one_run_at_a_time(name):
    deployment = _DEPLOYMENTS[name]
    assert deployment["work_pool"]["name"] == WORK_POOL
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
