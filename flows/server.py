"""Prefect's and MLflow's servers: the ephemeral one of a single run, and `serve` for long-lived work.

All on loopback. `serve` leaves a record under the home, by which later commands find the server.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from flows.environment import SERVE_RECORD
from flows.progress import step
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.files import read_json, write_json_atomically
from tidewaiter.settings import PROJECT_ROOT, Settings

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
WORK_POOL = "tidewaiter"

_EPHEMERAL_RECORD = "ephemeral_server.json"
_EPHEMERAL_MARK = "prefect.server.api.server:create_app"
_START_SECONDS = 240
_STOP_SECONDS = 15


@dataclass(frozen=True)
class Served:
    """The URLs that `serve` prints."""

    prefect_ui: str
    prefect_api: str
    mlflow_ui: str


def ensure_api(settings: Settings) -> None:
    """Start Prefect's ephemeral server now, so that its start is seen as a step of its own.

    Does nothing where `PREFECT_API_URL` names a server. A server that outlived a killed run is ended
    first: it would hold the same SQLite file.
    """
    if os.environ.get("PREFECT_API_URL"):
        return
    from prefect.server.api.server import SubprocessASGIServer

    record = settings.paths.state / _EPHEMERAL_RECORD
    _end_orphan(record)

    class RecordedServer(SubprocessASGIServer):
        """Put on record before it answers: its start takes seconds in which the run may be killed."""

        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            process = super()._run_uvicorn_command()
            write_json_atomically(record, {"pid": process.pid, "owner_pid": os.getpid()})
            return process

    # Prefect keeps one instance and finds this one wherever it would start its own.
    RecordedServer().start()


def _end_orphan(record: Path) -> None:
    found = read_json(record)
    if found is None or _command_of(found["owner_pid"]):
        return
    if _EPHEMERAL_MARK in _command_of(found["pid"]):
        logger.warning("ending Prefect server %s, left by a killed run", found["pid"])
        os.kill(found["pid"], signal.SIGTERM)
    record.unlink(missing_ok=True)


def _command_of(pid: int) -> str:
    """Return the command line of a process, or an empty string where it does not live."""
    done = subprocess.run(
        ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    )
    return done.stdout.strip()


def serve(settings: Settings, *, with_worker: bool, announce: Callable[[Served], None]) -> None:
    """Run both servers, register the deployments, and stay until interrupted.

    Args:
        settings: Resolved settings; ports come from there.
        with_worker: Also run a worker, so that scheduled runs execute.
        announce: Called with the `Served` URLs once everything answers.

    Raises:
        TidewaiterError: A server did not start, or ended on its own.
    """
    served = Served(
        prefect_ui=f"http://{HOST}:{settings.prefect_port}",
        prefect_api=f"http://{HOST}:{settings.prefect_port}/api",
        mlflow_ui=f"http://{HOST}:{settings.mlflow_port}",
    )
    record = settings.paths.state / SERVE_RECORD
    logs = settings.paths.state / "logs"
    with _children() as children:
        with step("MLflow server"):
            children["MLflow"] = _start(_mlflow_command(settings), logs / "mlflow.log")
        with step("Prefect server"):
            # The pages ask the default port unless they are told.
            shown = {"PREFECT_SERVER_UI_API_URL": served.prefect_api}
            children["Prefect"] = _start(_prefect_command(settings), logs / "prefect.log", shown)
            _wait_until_up(
                "Prefect", children["Prefect"], f"{served.prefect_api}/health", logs / "prefect.log"
            )
        os.environ["PREFECT_API_URL"] = served.prefect_api
        with step("register deployments"):
            register_deployments()
        with step("wait for MLflow"):
            _wait_until_up("MLflow", children["MLflow"], f"{served.mlflow_ui}/health", logs / "mlflow.log")
        if with_worker:
            children["worker"] = _start(worker_command(), logs / "worker.log")
        write_json_atomically(record, {"prefect_api_url": served.prefect_api, "pid": os.getpid()})
        try:
            announce(served)
            _stay(children, logs)
        finally:
            record.unlink(missing_ok=True)


def register_deployments() -> None:
    """Create the work pool, one run at a time, and the deployments of `prefect.yaml`.

    Raises:
        TidewaiterError: Prefect refused the deployments; with its words.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    with get_client(sync_client=True) as client:
        pool = WorkPoolCreate(name=WORK_POOL, type="process", concurrency_limit=1)
        client.create_work_pool(pool, overwrite=True)
    arguments = ("--no-prompt", "deploy", "--all", "--prefect-file", str(PROJECT_ROOT / "prefect.yaml"))
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT_ROOT,
        timeout=_START_SECONDS,
    )
    if done.returncode != 0:
        raise TidewaiterError(
            Problem(
                f"Prefect refused: {(done.stderr or done.stdout).strip()[-500:]}",
                where=f"prefect {' '.join(arguments)}",
            )
        )


def worker_command() -> list[str]:
    """Return the command of a worker on this machine."""
    return [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]


def _mlflow_command(settings: Settings) -> list[str]:
    artifacts = settings.paths.mlflow / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(settings.mlflow_port)),
        *("--backend-store-uri", settings.tracking_uri, "--default-artifact-root", artifacts.as_uri()),
        *("--workers", "1"),
    ]


def _prefect_command(settings: Settings) -> list[str]:
    port = str(settings.prefect_port)
    return [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", port]


def _start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as handle:
        return subprocess.Popen(
            command,
            stdout=handle,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=PROJECT_ROOT,
            env=os.environ | dict(environment or {}),
        )


def _wait_until_up(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass  # not up yet: asked again until the deadline
        time.sleep(0.3)
    raise TidewaiterError(
        Problem(
            f"{name} did not come up",
            where=url,
            next_step=f"read {log}; is the port taken by another process?",
        )
    )


def _stay(children: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    while True:
        for name, process in children.items():
            if process.poll() is not None:
                raise TidewaiterError(
                    Problem(
                        f"{name} ended with status {process.returncode}", next_step=f"read the logs in {logs}"
                    )
                )
        time.sleep(1)


@contextmanager
def _children() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Yield a table of child processes, all ended when the block ends or the process is asked to."""
    children: dict[str, subprocess.Popen[bytes]] = {}

    def asked_to_end(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, asked_to_end)
    try:
        yield children
    finally:
        signal.signal(signal.SIGTERM, previous)
        for process in reversed(children.values()):
            process.terminate()
        for process in children.values():
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
