"""The gate: judge one member's tables before the next room reads them.

Flows call `run_gate`, then `raise_if_refused` where a refusal must stop the work. Great Expectations is
imported only when there is something new to judge.
"""

from __future__ import annotations

import importlib.metadata
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from expectations.checks import Check
from expectations.limits import Stage, StageLimits, TableLimits, load_limits
from expectations.suites import build_checks, schema_faults
from expectations.verdicts import Failure, GateResult, as_reused, load_verdict, store_verdict
from tidewaiter import fingerprint
from tidewaiter.errors import Problem, Problems, TidewaiterError, closest
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

Tables = Mapping[str, Path | Sequence[Path]] | Path

# Data Docs pages kept per suite. A page and its result are about 150 kB; the index lists them all.
PAGES_KEPT = 20

# Tables up to so many values are read once. Every check is a query of its own, and opening the months of a
# table for each of two hundred costs more than reading them. Larger ones stay on disk: memory is bounded.
VALUES_READ_ONCE = 20_000_000

# Great Expectations keeps its current context in a global: one gate at a time in a process.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class _Opened:
    """One table of the gate, as a relation in the connection."""

    name: str
    limits: TableLimits
    columns: dict[str, str]
    rows: int
    checks: tuple[Check, ...]


def run_gate(
    stage: Stage,
    member_iso2: str,
    tables: Tables,
    settings: Settings,
    expected_rows: int | None = None,
    scope: str = "",
    not_sent: Collection[str] = (),
) -> GateResult:
    """Judge one member's tables and keep the verdict. Never raises for what the rows are like.

    The same bytes, checks and expected rows get the verdict that they got before, without running
    anything. Safe to call from several threads and processes: new verdicts wait for each other.

    Args:
        stage: Which gate.
        member_iso2: Whose rows; where a table holds all members, only these are looked at.
        tables: Parquet files per table of the stage, or one file of the stage's main table.
        settings: Home folder, memory limit, threads, folder of the members.
        expected_rows: Exact number of rows of the main table, where the caller knows it.
        scope: Part of the member's rows, such as an extract's id, that gets a verdict of its own.
        not_sent: Fields that the member need not send, those of datasets other than items as
            `dataset.field`: that they and what is made of them are empty is no fault.

    Raises:
        TidewaiterError: A file is missing or not Parquet, or the stage has no such table.
        UsageProblem: A suite's YAML is written wrongly.
    """
    limits = load_limits(stage, member_iso2, settings.members_dir)
    files = _files_by_table(tables, limits)
    asked = {
        "stage": stage,
        "member": member_iso2,
        "scope": scope,
        "expected_rows": expected_rows,
        "files": {name: [fingerprint.of_file(path) for path in paths] for name, paths in files.items()},
    }
    inputs = fingerprint.of_json(asked)
    with open_duckdb(settings) as connection:
        opened = _open_tables(connection, files, limits, member_iso2, expected_rows, not_sent)
        suite_fingerprint = _suite_fingerprint(opened)
        known = load_verdict(stage, member_iso2, settings, scope)
        if known and _still_holds(known, inputs, suite_fingerprint):
            return as_reused(known)
        with _ONE_AT_A_TIME, _lock_between_processes(settings):
            result = _judge(
                connection, opened, stage, member_iso2, scope, settings, (inputs, suite_fingerprint)
            )
    store_verdict(result, settings)
    return result


def _still_holds(known: GateResult, inputs: str, suite_fingerprint: str) -> bool:
    same = known.fingerprint == inputs and known.suite_fingerprint == suite_fingerprint
    # A refusal is nothing without the page that explains it.
    return same and (known.passed or known.data_docs_path.is_file())


def _files_by_table(tables: Tables, limits: StageLimits) -> dict[str, list[Path]]:
    named = {limits.main_table: tables} if isinstance(tables, Path) else tables
    files = {name: [paths] if isinstance(paths, Path) else sorted(paths) for name, paths in named.items()}
    problems = Problems(TidewaiterError)
    for name, paths in files.items():
        if name not in limits.tables:
            problems.add(
                f"unknown table '{name}'{closest(name, limits.tables)}", where=f"{limits.stage} gate"
            )
        if not paths:
            problems.add(f"no files for table '{name}'", where=f"{limits.stage} gate")
        for path in paths:
            if not path.is_file():
                problems.add("no such file", where=f"{limits.stage} gate, {name}: {path}")
    if not files:
        problems.add("no tables to judge", where=f"{limits.stage} gate")
    problems.raise_if_any()
    return dict(sorted(files.items()))


def _open_tables(
    connection: duckdb.DuckDBPyConnection,
    files: Mapping[str, list[Path]],
    limits: StageLimits,
    member_iso2: str,
    expected_rows: int | None,
    not_sent: Collection[str],
) -> list[_Opened]:
    opened = []
    for name, paths in files.items():
        table = limits.tables[name]
        columns, rows = _open_table(connection, name, paths, member_iso2 if table.holds_all_members else None)
        rows_due = expected_rows if name == limits.main_table else None
        checks = build_checks(member_iso2, columns, table, rows_due, not_sent)
        opened.append(_Opened(name, table, columns, rows, checks))
    return opened


def _open_table(
    connection: duckdb.DuckDBPyConnection, name: str, paths: list[Path], only_member: str | None
) -> tuple[dict[str, str], int]:
    import duckdb

    source = (
        f"read_parquet([{', '.join(quote_literal(path) for path in paths)}],"
        " hive_partitioning = false, union_by_name = true)"
    )
    relation = quote_identifier(name)
    try:
        described = connection.execute(f"describe select * from {source}").fetchall()
        columns = {row[0]: row[1] for row in described}
        # Without the column, the schema check says so; an error here would say it worse.
        is_filtered = only_member is not None and "member_iso2" in columns
        where = f" where member_iso2 = {quote_literal(str(only_member))}" if is_filtered else ""
        counted = connection.execute(f"select count(*) from {source}{where}").fetchone()
        rows = counted[0] if counted else 0
        kind = "table" if rows * len(columns) <= VALUES_READ_ONCE else "view"
        connection.execute(f"create {kind} {relation} as select * from {source}{where}")
    except duckdb.Error as error:
        raise TidewaiterError(
            Problem(
                f"cannot be read as one Parquet table ({type(error).__name__})",
                where=f"{name}: {', '.join(str(path) for path in paths)}",
                next_step="remove the file and run the step that wrote it again",
            )
        ) from None
    return columns, rows


def _suite_fingerprint(opened: Sequence[_Opened]) -> str:
    suites = {table.name: [check.model_dump(mode="json") for check in table.checks] for table in opened}
    engines = {name: importlib.metadata.version(name) for name in ("great-expectations", "duckdb")}
    return fingerprint.of_json([suites, engines])


def _lock_between_processes(settings: Settings) -> FileLock:
    settings.paths.gates.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.paths.gates / ".lock", timeout=settings.lock_timeout_s)


def _judge(
    connection: duckdb.DuckDBPyConnection,
    opened: Sequence[_Opened],
    stage: Stage,
    member_iso2: str,
    scope: str,
    settings: Settings,
    fingerprints: tuple[str, str],
) -> GateResult:
    _keep_quiet()
    from expectations.runner import TableRun, run_tables

    runs = [
        TableRun(f"{stage}.{table.name}.{member_iso2}", table.name, table.columns, table.rows, table.checks)
        for table in opened
    ]
    run_name = "-".join(part for part in (scope, fingerprint.of_json(fingerprints)[:12]) if part)
    outcomes = run_tables(connection, runs, settings.paths, run_name, PAGES_KEPT)
    found = [
        failure
        for table, outcome in zip(opened, outcomes, strict=True)
        for failure in _by_column(table, outcome.failures)
    ]
    failures = tuple(failure for failure in found if failure.severity == "error")
    pages = dict(zip((table.name for table in opened), (outcome.page for outcome in outcomes), strict=True))
    return GateResult(
        stage=stage,
        member_iso2=member_iso2,
        scope=scope,
        suite=", ".join(run.suite_name for run in runs),
        passed=not failures,
        checks=sum(len(table.checks) for table in opened),
        rows={table.name: table.rows for table in opened},
        failures=failures,
        warnings=tuple(failure for failure in found if failure.severity == "warn"),
        data_docs_path=pages[failures[0].table] if failures else next(iter(pages.values())),
        fingerprint=fingerprints[0],
        suite_fingerprint=fingerprints[1],
    )


def _by_column(table: _Opened, failures: Sequence[Failure]) -> list[Failure]:
    """Put one failure per column in the place of "the schema is wrong"."""
    schema = next(check for check in table.checks if check.kind == "schema")
    faults = schema_faults(table.columns, table.limits)
    by_column = [
        Failure(
            table=table.name,
            expectation="table_schema",
            column=column,
            observed=fault,
            expected="the declared columns and types",
            unexpected_count=None,
            total_count=table.rows,
            reason=schema.reason,
        )
        for column, fault in faults.items()
    ]
    return by_column + [failure for failure in failures if failure.expected != schema.expected]


def _keep_quiet() -> None:
    # Read by Great Expectations when it is imported: nothing about its use leaves the machine.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ.setdefault("DO_NOT_TRACK", "1")
