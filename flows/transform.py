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
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml

from flows.lock import held_descriptor, home_locked
from flows.manifest import read_manifest
from flows.progress import step
from flows.versions import DBT_PROJECT, ManifestRow, data_version, transform_code_version
from tidewaiter import fingerprint
from tidewaiter.contracts import list_members, load_contract
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.files import read_json, replace_file_atomically, write_json_atomically
from tidewaiter.landing.schema_files import NO_MEMBER, SCHEMA_EXTRACT
from tidewaiter.marts import mart_files, prepare_staging, swap_staged
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

logger = logging.getLogger(__name__)

Stage = Literal["before_scoring", "after_scoring", "integrity"]

_RESULT_EVENTS = {"LogModelResult", "LogTestResult", "LogNodeResult", "LogSeedResult", "LogUnitTestResult"}
_SECONDS_TO_TERMINATE = 30
_DE_MINIMIS = "de_minimis_usd"
_SCORING_SOURCES = Path("models") / "staging" / "_scoring__sources.yml"
_MARTS = ("trade", "features", "scores", "integrity")
# Marts of the stages that follow the first; it makes all others.
_MARTS_OF_STAGE = {"scores": "after_scoring", "integrity": "integrity"}
# What a build in parts can take in: the SQL finds the days that these are felt on. Of the others it can
# where they do not feed features.
_FOUND_BY_SQL = {"declaration_items", "declarations", "exchange_rates", "tariff_rates"}
_FEED_NO_FEATURE = {"declaration_events", "inspector_roster", "aggregate_flows"}


@dataclass(frozen=True)
class TransformReport:
    """What a transform did.

    Attributes:
        key: Digest of the inputs and of the SQL.
        was_fresh: Nothing had changed since the last one, so dbt was not started.
        nodes: Models and tests that dbt ran.
        warnings: Tests that warned, as dbt names them, with the count of rows.
        was_partial: Features of days that nothing changed for stand as they were.
    """

    key: str
    was_fresh: bool
    nodes: int
    warnings: tuple[str, ...] = ()
    was_partial: bool = False


def transform(
    settings: Settings, stage: Stage, inputs: str, rebuild_from: date | None = None
) -> TransformReport:
    """Build one side of the dbt project, unless its inputs and its SQL are those of the last build.

    Features are built in parts where the last build was completed by the same SQL and extracts were only
    added since: each member from the first day that the new rows can be felt on. New files of features wait
    beside the standing ones until dbt's tests have passed, then take their places.

    Args:
        settings: Resolved settings.
        stage: `before_scoring` makes trade and features, `after_scoring` the score marts, `integrity` what
            the integrity indicators test.
        inputs: Digest of everything the stage reads.
        rebuild_from: Make the features of this day and all later ones anew, whether or not anything changed.

    Raises:
        TidewaiterError: dbt failed; one problem per failed model or test.
    """
    record = settings.paths.state / f"transform-{stage}.json"
    variables: dict[str, Any] = {"member_de_minimis_usd": _de_minimis_usd(settings)}
    code = fingerprint.of_json([transform_code_version(), variables])
    key = fingerprint.of_json([stage, inputs, code])
    known = read_json(record)
    if rebuild_from is None and known is not None and known["key"] == key and _marts_stand(known):
        return TransformReport(key, was_fresh=True, nodes=known["nodes"], warnings=tuple(known["warnings"]))
    with home_locked(settings, f"transform {stage}"), step(f"dbt {stage.replace('_', ' ')}") as running:
        # Without the record a killed build is never taken for a finished one.
        record.unlink(missing_ok=True)
        extracts = _extracts(settings)
        is_partial = stage == "before_scoring" and _may_be_partial(known, code, extracts)
        _prepare(settings, stage)
        total = 0
        if rebuild_from is not None:
            variables |= {"rebuild_from_date": rebuild_from.isoformat()}
        for done, total in run_dbt(settings, _build_arguments(stage, is_partial, variables)):
            running.count(done, total)
        results = read_results(settings)
        _raise_for_failures(settings, results)
        if stage == "before_scoring":
            swap_staged(settings.paths)
        warnings = tuple(_describe(result) for result in results if result["status"] == "warn")
        running.note(f"{len(results)} models and tests" + (f", {len(warnings)} warn" if warnings else ""))
        marts = {str(path): path.stat().st_mtime_ns for path in _marts_of(settings, stage)}
        found = {"key": key, "nodes": len(results), "warnings": list(warnings), "marts": marts}
        write_json_atomically(record, found | {"code": code, "extracts": extracts})
    return TransformReport(
        key, was_fresh=False, nodes=len(results), warnings=warnings, was_partial=is_partial
    )


def _prepare(settings: Settings, stage: Stage) -> None:
    for folder in (settings.paths.warehouse.parent, *(settings.paths.marts / name for name in _MARTS)):
        folder.mkdir(parents=True, exist_ok=True)
    if stage == "before_scoring":
        prepare_staging(settings.paths)
    if stage == "after_scoring":
        _write_score_schema(settings)


def _write_score_schema(settings: Settings) -> None:
    """Write a batch without a row, so that dbt has something to read where nothing could be scored."""
    source = yaml.safe_load((DBT_PROJECT / _SCORING_SOURCES).read_text(encoding="utf-8"))
    columns = ", ".join(
        f"cast(null as {column['data_type']}) as {quote_identifier(column['name'])}"
        for column in source["sources"][0]["tables"][0]["columns"]
    )
    target = settings.paths.scores / f"member={NO_MEMBER}" / f"run={SCHEMA_EXTRACT}" / "rows.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_duckdb(settings) as connection, replace_file_atomically(target) as partial:
        connection.execute(
            f"copy (select {columns} where false) to {quote_literal(partial)} (format parquet)"
        )


def _build_arguments(stage: Stage, is_partial: bool, variables: dict[str, Any]) -> list[str]:
    arguments = ["build", "--selector", stage]
    if stage == "before_scoring" and not is_partial:
        arguments.append("--full-refresh")
    # The same for both stages: with other variables dbt reads the whole project again.
    return [*arguments, "--vars", json.dumps(variables)]


def _de_minimis_usd(settings: Settings) -> dict[str, int | float]:
    """Return the parameter `de_minimis_usd` of every member with landed extracts whose contract has it."""
    landed = {row.member_iso2 for row in read_manifest(settings)}
    members = landed.intersection(list_members(settings.members_dir)) if landed else ()
    contracts = [load_contract(settings.members_dir, member) for member in sorted(members)]
    return {
        contract.member: contract.parameters[_DE_MINIMIS]
        for contract in contracts
        if _DE_MINIMIS in contract.parameters
    }


def _extracts(settings: Settings) -> list[list[Any]]:
    return [
        [row.member_iso2, row.dataset, row.extract_id, row.landing_key, row.is_accepted]
        for row in read_manifest(settings)
    ]


def _may_be_partial(known: dict[str, Any] | None, code: str, extracts: Sequence[list[Any]]) -> bool:
    """Whether the last build was completed by this SQL, and extracts of the right kinds only added since."""
    if known is None or known.get("code") != code or not _marts_stand(known):
        return False
    before = {tuple(extract) for extract in known["extracts"]}
    now = {tuple(extract) for extract in extracts}
    added = {dataset for _, dataset, _, _, is_accepted in now - before if is_accepted}
    gone = {dataset for _, dataset, _, _, is_accepted in before - now if is_accepted}
    return gone <= _FEED_NO_FEATURE and added <= _FOUND_BY_SQL | _FEED_NO_FEATURE


def build_only(settings: Settings, models: Sequence[str]) -> None:
    """Build these models and what they are made of, in a home without features, without data tests.

    Raises:
        TidewaiterError: dbt failed; one problem per failed model.
    """
    with home_locked(settings, "transform"), step("dbt") as running:
        _prepare(settings, "integrity")
        total = 0
        arguments = ["build", "--select", *(f"+{model}" for model in models), "--resource-type", "model"]
        for done, total in run_dbt(settings, arguments):
            running.count(done, total)
        _raise_for_failures(settings, read_results(settings))
        running.note(f"{total} models")


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
    return [
        file
        for mart in sorted(settings.paths.marts.glob("*/*.parquet"))
        if _MARTS_OF_STAGE.get(mart.parent.name, "before_scoring") == stage
        for file in mart_files(mart)
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
