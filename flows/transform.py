"""The transform step: runs dbt as a process of its own and reads what it says.

A process, because dbt keeps the warehouse file open for as long as it lives and refuses a second
invocation beside a running one. It inherits the lock of the home, see `flows.lock`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flows.lock import held_descriptor, home_locked
from flows.progress import step
from flows.versions import DBT_PROJECT, ManifestRow, data_version, transform_code_version
from tidewaiter import fingerprint
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.files import read_json, write_json_atomically
from tidewaiter.settings import Settings

logger = logging.getLogger(__name__)

Stage = Literal["before_scoring", "after_scoring"]

_RESULT_EVENTS = {"LogModelResult", "LogTestResult", "LogNodeResult", "LogSeedResult", "LogUnitTestResult"}
_SECONDS_TO_TERMINATE = 30
_MARTS = ("trade", "features", "scores")


@dataclass(frozen=True)
class TransformReport:
    """What a transform did.

    Attributes:
        key: Digest of the inputs and of the SQL.
        was_fresh: Nothing had changed since the last one, so dbt was not started.
        nodes: Models and tests that dbt ran.
        warnings: Tests that warned, as dbt names them, with the count of rows.
    """

    key: str
    was_fresh: bool
    nodes: int
    warnings: tuple[str, ...] = ()


def transform(settings: Settings, stage: Stage, inputs: str) -> TransformReport:
    """Build one side of the dbt project, unless its inputs and its SQL are those of the last build.

    Args:
        settings: Resolved settings.
        stage: `before_scoring` makes trade and features, `after_scoring` the score marts.
        inputs: Digest of everything the stage reads.

    Raises:
        TidewaiterError: dbt failed; one problem per failed model or test.
    """
    record = settings.paths.state / f"transform-{stage}.json"
    key = fingerprint.of_json([stage, inputs, transform_code_version()])
    known = read_json(record)
    if known is not None and known["key"] == key and _marts_stand(known):
        return TransformReport(key, was_fresh=True, nodes=known["nodes"], warnings=tuple(known["warnings"]))
    with home_locked(settings, f"transform {stage}"), step(f"dbt {stage.replace('_', ' ')}") as running:
        # Without the record a killed build is never taken for a finished one.
        record.unlink(missing_ok=True)
        for folder in (settings.paths.warehouse.parent, *(settings.paths.marts / name for name in _MARTS)):
            folder.mkdir(parents=True, exist_ok=True)
        total = 0
        for done, total in run_dbt(settings, ["build", "--selector", stage]):
            running.count(done, total)
        results = read_results(settings)
        _raise_for_failures(settings, results)
        warnings = tuple(_describe(result) for result in results if result["status"] == "warn")
        running.note(f"{len(results)} models and tests" + (f", {len(warnings)} warn" if warnings else ""))
        marts = {str(path): path.stat().st_mtime_ns for path in _marts_of(settings, stage)}
        write_json_atomically(
            record, {"key": key, "nodes": len(results), "warnings": list(warnings), "marts": marts}
        )
    return TransformReport(key, was_fresh=False, nodes=len(results), warnings=warnings)


def build_docs(settings: Settings) -> Path:
    """Build the dbt docs site and return its page."""
    with home_locked(settings, "dbt docs"), step("dbt docs"):
        for _ in run_dbt(settings, ["docs", "generate", "--static"]):
            pass
    return settings.paths.dbt_target / "target" / "static_index.html"


def inputs_digest(rows: Sequence[ManifestRow]) -> str:
    """Return the digest of everything the stage before scoring reads."""
    counts = sorted([row.member_iso2, row.extract_id, row.is_accepted, str(row.received_at)] for row in rows)
    return fingerprint.of_json([data_version(rows, None), counts])


def run_dbt(settings: Settings, arguments: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Run dbt and yield (nodes done, nodes in all) as it goes.

    Raises:
        TidewaiterError: dbt could not run at all. Failed nodes are for `read_results` to tell.
    """
    log_folder = settings.paths.dbt_target / "logs"
    log_folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "dbt.cli.main", "--log-format", "json", "--log-level", "info"),
        *("--no-use-colors", "--log-path", str(log_folder)),
        *arguments,
        *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
        *("--target-path", str(settings.paths.dbt_target / "target")),
    ]
    descriptor = held_descriptor(settings)
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=DBT_PROJECT,
        env=os.environ | {"TIDEWAITER_HOME": str(settings.home)},
        pass_fds=() if descriptor is None else (descriptor,),
    )
    said: list[str] = []
    try:
        for line in process.stdout or ():
            event = _event(line)
            if event is None or event["info"]["level"] == "error":
                said.append(line.strip() if event is None else event["info"]["msg"])
            elif event["info"]["name"] in _RESULT_EVENTS:
                yield int(event["data"].get("index", 0)), int(event["data"].get("total", 0))
        status = process.wait()
    finally:
        _stop(process)
    # 1 means that nodes failed; anything they failed of is in the run results.
    if status > 1 or (status == 1 and "build" not in arguments):
        raise TidewaiterError(
            Problem(
                f"dbt stopped with status {status}: {_last_words(said)}",
                where="dbt_project",
                next_step=f"read {log_folder / 'dbt.log'}",
            )
        )
    if status == 1 and not _results_path(settings).exists():
        raise TidewaiterError(Problem(f"dbt could not start: {_last_words(said)}", where="dbt_project"))


def read_results(settings: Settings) -> list[dict[str, Any]]:
    """Return the results of dbt's last build, one per model or test."""
    return list((read_json(_results_path(settings)) or {"results": []})["results"])


def _results_path(settings: Settings) -> Path:
    return settings.paths.dbt_target / "target" / "run_results.json"


def _event(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "info" in found else None


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_SECONDS_TO_TERMINATE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(said: Sequence[str]) -> str:
    words = " / ".join(line for line in said[-5:] if line)
    return re.sub(r"\s+", " ", words) or "it said nothing"


def _marts_of(settings: Settings, stage: Stage) -> list[Path]:
    scores = settings.paths.marts / "scores"
    return [
        path
        for path in sorted(settings.paths.marts.rglob("*.parquet"))
        if path.is_relative_to(scores) == (stage == "after_scoring")
    ]


def _marts_stand(record: dict[str, Any]) -> bool:
    """Whether the files that the recorded build handed over are still there as it left them."""
    marts: dict[str, int] = record["marts"]
    return bool(marts) and all(
        Path(path).exists() and Path(path).stat().st_mtime_ns == stamp for path, stamp in marts.items()
    )


def _raise_for_failures(settings: Settings, results: Sequence[dict[str, Any]]) -> None:
    failed = [result for result in results if result["status"] in ("error", "fail")]
    if failed:
        raise TidewaiterError(
            Problem(
                _describe(result),
                where=f"dbt_project: {result['unique_id']}",
                next_step=f"read {settings.paths.dbt_target / 'logs' / 'dbt.log'}",
            )
            for result in failed
        )


def _describe(result: dict[str, Any]) -> str:
    name = result["unique_id"].split(".")[2]
    said = re.sub(r"\s+", " ", result.get("message") or result["status"])
    return f"{name}: {said}"
