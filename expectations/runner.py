"""Runs suites with Great Expectations inside DuckDB and writes their Data Docs.

Imports Great Expectations; import it inside functions only. Not thread-safe: Great Expectations keeps
the current context in a global. `expectations.gate` holds the lock.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import great_expectations as gx
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from expectations.checks import Check
from expectations.engine import add_datasource, shared_engine
from expectations.pages import site_configuration
from expectations.translation import remove_row_values, to_expectation, to_failure
from expectations.verdicts import Failure
from tidewaiter.home import Home

if TYPE_CHECKING:
    import duckdb

# Errors of single metrics are logged with the database's message, which may quote a row's value.
logging.getLogger("great_expectations").setLevel(logging.CRITICAL)

# Counts, and no sample of the values at fault.
_RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}
_SITE = "gates"
_DATASOURCE = "tidewaiter"


@dataclass(frozen=True)
class TableRun:
    """One table to judge.

    Attributes:
        suite_name: Dotted name; its parts become folders of the site.
        view: Name of the view in the connection.
        columns: The view's columns with their DuckDB types.
        rows: The view's number of rows.
        checks: What to check.
    """

    suite_name: str
    view: str
    columns: Mapping[str, str]
    rows: int
    checks: Sequence[Check]


@dataclass(frozen=True)
class TableOutcome:
    """What came out for one table: broken expectations, and the page that shows all of them."""

    failures: tuple[Failure, ...]
    page: Path


def run_tables(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[TableRun],
    home: Home,
    run_name: str,
    pages_kept: int,
) -> list[TableOutcome]:
    """Judge tables and write one page each.

    Args:
        connection: Where the views are.
        tables: What to judge.
        home: Where Data Docs and Great Expectations' results are kept.
        run_name: Content-derived; a run of the same name is replaced.
        pages_kept: Pages to keep per suite, the newest.
    """
    context = gx.get_context(mode="ephemeral", project_config=_configuration(home))
    run_id = RunIdentifier(run_name=run_name, run_time=datetime.now(UTC))
    outcomes, written = [], []
    with shared_engine(connection) as engine:
        datasource = add_datasource(context, _DATASOURCE, engine)
        for table in tables:
            _forget_old_runs(context, table.suite_name, run_name, pages_kept, home)
            result, key = _validate(context, datasource, table, run_id)
            written += [ExpectationSuiteIdentifier(table.suite_name), key]
            page = home.data_docs.joinpath("validations", *key.to_tuple())
            outcomes.append(TableOutcome(_failures(table, result), page.with_name(f"{page.name}.html")))
    context.build_data_docs(resource_identifiers=written)
    return outcomes


def _validate(context: Any, datasource: Any, table: TableRun, run_id: Any) -> tuple[Any, Any]:
    expectations = [
        to_expectation(check, table.columns, position) for position, check in enumerate(table.checks)
    ]
    # Replacing a stored suite compares every old expectation with every new one, for a second.
    store = context.expectations_store
    stored = store.get_key(name=table.suite_name)
    if store.has_key(stored):
        store.remove_key(stored)
    suite = context.suites.add(gx.ExpectationSuite(name=table.suite_name, expectations=expectations))
    batch = datasource.add_table_asset(
        name=table.suite_name, table_name=table.view
    ).add_batch_definition_whole_table("all")
    definition = gx.ValidationDefinition(name=table.suite_name, data=batch, suite=suite)
    result = context.validation_definitions.add(definition).run(result_format=_RESULT_FORMAT, run_id=run_id)
    for single in result.results:
        remove_row_values(single)
    results = context.validation_results_store
    key = next(key for key in results.list_keys() if _is_run(key, table.suite_name, run_id))
    results.set(key, result)
    return result, key


def _is_run(key: Any, suite_name: str, run_id: Any) -> bool:
    return bool(key.expectation_suite_identifier.name == suite_name and key.run_id == run_id)


def _failures(table: TableRun, result: Any) -> tuple[Failure, ...]:
    failed = sorted(
        (single for single in result.results if not single.success),
        key=lambda single: single.expectation_config.meta["position"],
    )
    return tuple(
        to_failure(table.checks[single.expectation_config.meta["position"]], table.view, single, table.rows)
        for single in failed
    )


def _forget_old_runs(context: Any, suite_name: str, run_name: str, pages_kept: int, home: Home) -> None:
    keys: list[ValidationResultIdentifier] = [
        key
        for key in context.validation_results_store.list_keys()
        if key.expectation_suite_identifier.name == suite_name
    ]
    keys.sort(key=lambda key: key.run_id.run_time, reverse=True)
    same = [key for key in keys if key.run_id.run_name == run_name]
    others = [key for key in keys if key.run_id.run_name != run_name]
    for key in same + others[pages_kept - 1 :]:
        for root in (_results_folder(home), home.data_docs / "validations"):
            shutil.rmtree(root.joinpath(*key.to_tuple()[:-2]), ignore_errors=True)


def _results_folder(home: Home) -> Path:
    return home.gates / "great_expectations" / "results"


def _configuration(home: Home) -> Any:
    defaults = InMemoryStoreBackendDefaults()
    for store, folder in (
        (defaults.validation_results_store_name, _results_folder(home)),
        (defaults.expectations_store_name, home.gates / "great_expectations" / "suites"),
    ):
        defaults.stores[store]["store_backend"] = {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder),
        }
    return DataContextConfig(
        store_backend_defaults=defaults,
        data_docs_sites={_SITE: site_configuration(home.data_docs)},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
