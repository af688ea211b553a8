"""The process environment that the libraries read: usage statistics off, everything under one home.

Libraries read these variables at import, so this runs before Prefect, dbt, MLflow or Great
Expectations is imported. What an operator has set stays.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import MutableMapping
from pathlib import Path

from tidewaiter.settings import Settings

USAGE_STATISTICS_OFF = {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
    "GX_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}

# Migrations of a new SQLite take longer than Prefect's default of 20 s on two busy cores.
_SERVER_START_SECONDS = "180"

SERVE_RECORD = "serve.json"


def prepare_environment(settings: Settings, environment: MutableMapping[str, str] | None = None) -> None:
    """Set what the libraries read, without overriding what is set already.

    Args:
        settings: Resolved settings; the home folder decides where Prefect and dbt keep their files.
        environment: Defaults to the process environment.
    """
    environment = os.environ if environment is None else environment
    defaults = USAGE_STATISTICS_OFF | {
        "PREFECT_HOME": str(settings.paths.prefect),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": _SERVER_START_SECONDS,
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS": str(settings.parallel_members),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
    }
    for name, value in defaults.items():
        environment.setdefault(name, value)
    # Subprocesses and deployments resolve the same settings from the same environment.
    environment["TIDEWAITER_HOME"] = str(settings.home)
    # Prefect makes its own folder but not the one above, and then tries again for minutes.
    settings.paths.prefect.mkdir(parents=True, exist_ok=True)
    environment["TIDEWAITER_THREADS"] = str(settings.threads)
    environment["TIDEWAITER_MEMORY_LIMIT"] = settings.memory_limit
    if settings.korea_dir is not None:
        environment["TIDEWAITER_KOREA_DIR"] = str(settings.korea_dir)
    if "PREFECT_API_URL" not in environment and (url := running_server(settings.paths.state)):
        environment["PREFECT_API_URL"] = url


def running_server(state: Path) -> str | None:
    """Return the API URL of the server that `tidewaiter serve` left on record, if it answers."""
    try:
        url = str(json.loads((state / SERVE_RECORD).read_text(encoding="utf-8"))["prefect_api_url"])
    except (FileNotFoundError, KeyError, ValueError):
        return None
    if not url.startswith("http://127.0.0.1:"):
        return None
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:  # noqa: S310 - loopback only, checked above
            return url if answer.status == 200 else None
    except (urllib.error.URLError, TimeoutError, OSError):
        return None
