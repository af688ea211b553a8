"""Settings: code default < `tidewaiter.yaml` < environment `TIDEWAITER_*` < command-line flag.

Nothing is read at import. `load_settings` reads; `explain_settings` tells where each value came from.
Secrets are not settings: pseudonym keys and passwords come from the environment where they are used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidewaiter.errors import Problem, UsageProblem, closest
from tidewaiter.home import Home

PROJECT_ROOT = Path(__file__).resolve().parent.parent
LOCAL_FILE = "tidewaiter.yaml"
ENVIRONMENT_PREFIX = "TIDEWAITER_"


class Settings(BaseModel):
    """Everything an operator may set, resolved and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(default=Path("data"), description="Folder for everything that is written.")
    members_dir: Path = Field(
        default=PROJECT_ROOT / "members", description="Folder with one folder per member."
    )
    korea_dir: Path | None = Field(
        default=None, description="Folder with the public Korean set, where you have it."
    )
    seed: int = Field(default=7, ge=0, description="Seed of the synthetic members and the models.")
    threads: int = Field(
        default_factory=lambda: min(os.cpu_count() or 1, 8),
        ge=1,
        description="Threads of DuckDB, dbt and XGBoost.",
    )
    memory_limit: str = Field(
        default="4GB",
        pattern=r"^\d+(\.\d+)?\s?(MB|GB|MiB|GiB)$",
        description="Memory at which DuckDB spills to disk.",
    )
    parallel_members: int = Field(
        default=2, ge=1, description="Members that a run works on at the same time."
    )
    lock_timeout_s: float = Field(default=900, ge=0, description="Seconds to wait for another run's lock.")
    publications_kept: int = Field(
        default=3, ge=1, description="Published sets kept for readers that still have one open."
    )
    dossier_retention_days: int = Field(
        default=365, ge=1, description="Days that an integrity dossier is kept where no case is open."
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow server; unset, a SQLite file under the home folder."
    )
    prefect_port: int = Field(default=4200, ge=1, le=65535, description="Port of `serve`, loopback.")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="Port of `serve`, loopback.")

    @property
    def paths(self) -> Home:
        """The layout below `home`."""
        return Home(self.home)

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking URI: the configured server, or SQLite under the home folder."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.paths.mlflow / 'mlflow.db'}"


@dataclass(frozen=True)
class ResolvedSetting:
    """One setting as `config show` prints it.

    Attributes:
        name: Field of `Settings`.
        value: The resolved value.
        origin: `default`, the YAML file's path, the environment variable, or `flag`.
        description: What it does.
    """

    name: str
    value: Any
    origin: str
    description: str


def load_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    local_file: Path | None = None,
) -> Settings:
    """Resolve the settings. Paths come out absolute.

    Args:
        flags: Values given on the command line; None values are ignored.
        environment: Defaults to the process environment.
        local_file: Defaults to `tidewaiter.yaml` in the working directory, where it exists.

    Raises:
        UsageProblem: Unknown keys or values of the wrong kind; all of them at once.
    """
    return _resolve(flags, environment, local_file)[0]


def explain_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    local_file: Path | None = None,
) -> list[ResolvedSetting]:
    """Return every setting with its value and where that came from."""
    settings, origins = _resolve(flags, environment, local_file)
    return [
        ResolvedSetting(name, getattr(settings, name), origins[name], field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _resolve(
    flags: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None,
    local_file: Path | None,
) -> tuple[Settings, dict[str, str]]:
    environment = os.environ if environment is None else environment
    local_file = Path(LOCAL_FILE) if local_file is None else local_file
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")

    def take(found: Mapping[str, Any], origin_of: Mapping[str, str]) -> None:
        for name, value in found.items():
            values[name] = value
            origins[name] = origin_of[name]

    from_file = _read_local(local_file)
    take(from_file, dict.fromkeys(from_file, str(local_file)))
    variables = {name: f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields}
    from_environment = {
        name: environment[variable] for name, variable in variables.items() if environment.get(variable)
    }
    take(from_environment, variables)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    take(given, dict.fromkeys(given, "flag"))
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise UsageProblem(
            Problem(
                what=detail["msg"],
                where=f"setting {'.'.join(str(part) for part in detail['loc'])}"
                f" from {origins.get(str(detail['loc'][0]), 'settings')}",
                next_step="tidewaiter config schema lists the settings",
            )
            for detail in error.errors()
        ) from None
    absolute = {
        name: value.expanduser().resolve()
        for name in ("home", "members_dir", "korea_dir")
        if isinstance(value := getattr(settings, name), Path)
    }
    return settings.model_copy(update=absolute), origins


def _read_local(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UsageProblem(Problem(f"not YAML: {error}", where=str(path))) from None
    if not isinstance(found, dict):
        raise UsageProblem(Problem("not a mapping of settings", where=str(path)))
    unknown = [name for name in found if name not in Settings.model_fields]
    if unknown:
        raise UsageProblem(
            Problem(
                f"unknown setting '{name}'{closest(str(name), Settings.model_fields)}",
                where=str(path),
                next_step="tidewaiter config schema lists the settings",
            )
            for name in unknown
        )
    return found
