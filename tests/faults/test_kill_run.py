"""Killing `tidewaiter run` at any moment, and running it again, ends in the tables of an undisturbed run.

Only the command itself is killed, as an operator or the kernel would: a dbt and a Prefect server that
it started live on, and the next run has to get along with them. Compared is what is published of XC,
row by row and in order. Two columns may differ, because they say when something happened:
`received_at`, when the bytes first arrived in this home, and `scored_at`.
"""

from __future__ import annotations

import logging
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.publish import DUCKDB_FILE, TABLES

_LOG = logging.getLogger(__name__)

CLOCK = {"received_at", "scored_at"}
RUN = ("run", "--member=XC")
_POLL_SECONDS = 0.01
_MOMENT_SECONDS = 300
_AT_MOST_LATER_SECONDS = 1.5

Reached = Callable[[Path], bool]


@dataclass(frozen=True)
class Moment:
    """A moment of a run, told by what lies in its home."""

    name: str
    is_reached: Reached


def there(pattern: str) -> Reached:
    """Return whether anything below the home matches a glob."""
    return lambda home: any(home.glob(pattern))


def registry(sql: str) -> Reached:
    """Return whether a query of MLflow's store finds a row. A store that is being made finds none."""

    def found(home: Path) -> bool:
        path = home / "mlflow" / "mlflow.db"
        if not path.is_file():
            return False
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.05)) as connection:
            try:
                return connection.execute(sql).fetchone() is not None
            except sqlite3.OperationalError:
                return False

    return found


# In the order of a run. What is only there for a while may pass unseen.
MOMENTS = (
    Moment("Prefect starts", there("prefect/prefect.db")),
    Moment("the first bytes are kept", there("raw/XC/*/received.json")),
    Moment("a file is being mapped", there("landing/declaration_items/member=XC/.partial-*")),
    Moment("everything is landed", there("landing/exchange_rates/member=XC/extract=*/receipt.json")),
    Moment("the landing gate has judged one extract", there("gates/landing/XC/*.json")),
    Moment("dbt is at work", there("warehouse/warehouse.duckdb")),
    Moment("dbt hands over a mart", there("marts/features/*.parquet")),
    Moment("the first side of dbt is done", there("state/transform-before_scoring.json")),
    Moment("MLflow's store is being made", there("mlflow/.partial-*")),
    Moment("a training has begun", registry("select 1 from runs where status = 'RUNNING'")),
    Moment("a model's files are written", there("mlflow/artifacts/tidewaiter-xc/models/*/artifacts/MLmodel")),
    Moment("a model is registered", registry("select 1 from registered_models")),
    Moment("a version is registered", registry("select 1 from model_versions")),
    Moment("an alias is set", registry("select 1 from registered_model_aliases")),
    Moment("a batch is staged", there("scores/.staged/member=XC/rows.parquet")),
    Moment("a batch is accepted", there("scores/member=XC/run=*/run.json")),
    Moment("dbt hands over the scores", there("marts/scores/*.parquet")),
    Moment("a set is being written", there("publications/.partial-*")),
    Moment("the set's database is being written", there(f"publications/.partial-*/{DUCKDB_FILE}")),
    Moment("the set is in place", there("publications/[!.]*/publication.json")),
    Moment("the set is the current one", there("published/publication.json")),
)
_BY_NAME = {moment.name: moment for moment in MOMENTS}
_LAST = MOMENTS[-1]


def at_once(_home: Path) -> bool:
    """Return that the moment is reached."""
    return True


def any_of(moments: Sequence[Moment]) -> Reached:
    """Return whether one of the moments is reached."""
    return lambda home: any(moment.is_reached(home) for moment in moments)


def new_home(install, undisturbed, name: str, *, with_prefect: bool = False) -> Any:
    """Return a home with XC's extracts and nothing else, or with Prefect's database, which takes time."""
    installation = install(name)
    shutil.copytree(undisturbed.home / "synthetic" / "xc", installation.home / "synthetic" / "xc")
    if with_prefect:
        shutil.copytree(undisturbed.home / "prefect", installation.home / "prefect")
    return installation


def kill_at(installation, moment: Reached, later_seconds: float = 0.0) -> bool:
    """Run, kill the command once the moment is reached, and return whether that came before its end."""
    process = installation.start(*RUN)
    deadline = time.monotonic() + _MOMENT_SECONDS
    while process.poll() is None and not moment(installation.home):
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(_POLL_SECONDS)
    time.sleep(later_seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def published(installation) -> dict[str, pa.Table]:
    """Return XC's published tables without the columns of the clock."""
    tables = {}
    for schema, table in TABLES:
        path = installation.publication / schema / table / "member=XC" / "rows.parquet"
        rows = pq.ParquetFile(path).read()
        tables[f"{schema}.{table}"] = rows.drop_columns([name for name in rows.column_names if name in CLOCK])
    return tables


def registered(installation) -> list[tuple[Any, ...]]:
    """Return the registry's models, versions and aliases."""
    with closing(sqlite3.connect(installation.home / "mlflow" / "mlflow.db")) as connection:
        return connection.execute(
            "select version.name, version.version, alias.alias from model_versions as version"
            " left join registered_model_aliases as alias using (name, version) order by 1, 2, 3"
        ).fetchall()


def assert_ends_like(undisturbed, installation) -> None:
    """Run to the end and compare; nothing of the killed runs may be left."""
    installation.call_well(*RUN)
    expected, found = published(undisturbed), published(installation)
    for name, rows in expected.items():
        # Neither member of this run sends headers apart from its items.
        assert rows.num_rows > 0 or name == "trade.declarations"
        assert found[name].equals(rows), name
    assert registered(installation) == [
        ("irregularity-pooled", 1, "champion"),
        ("irregularity-xc", 1, "champion"),
    ]
    assert not list(installation.home.glob("publications/.partial-*"))
    with duckdb.connect(str(installation.publication / DUCKDB_FILE), read_only=True) as connection:
        for name, rows in expected.items():
            (counted,) = connection.execute(f"select count(*) from {name}").fetchone() or (None,)
            assert counted == rows.num_rows
    assert installation.left_running() == {}


@pytest.mark.faults
def test_killed_while_dbt_works_and_while_a_model_is_registered(install, undisturbed):
    installation = new_home(install, undisturbed, "killed-twice", with_prefect=True)
    assert kill_at(installation, _BY_NAME["dbt hands over a mart"].is_reached)
    assert kill_at(installation, _BY_NAME["a version is registered"].is_reached)
    assert not (installation.home / "published").exists()
    assert_ends_like(undisturbed, installation)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("later_at_most", "kills_at_least"), [(0.0, 12), (_AT_MOST_LATER_SECONDS, 6)])
def test_killed_at_every_moment_in_turn(install, undisturbed, later_at_most, kills_at_least):
    """One home, each run killed at the first moment that none before it has seen, or a little later."""
    source = random.Random(17)
    installation = new_home(install, undisturbed, "killed-everywhere")
    kills: list[str] = []
    while not _LAST.is_reached(installation.home):
        ahead = [moment for moment in MOMENTS if not moment.is_reached(installation.home)]
        if not kill_at(installation, any_of(ahead), source.uniform(0, later_at_most)):
            break
        kills.append(next((moment.name for moment in ahead if moment.is_reached(installation.home)), "-"))
        assert len(kills) <= 2 * len(MOMENTS), kills
    _LOG.info("killed %d times: %s", len(kills), kills)
    assert len(kills) >= kills_at_least, kills
    assert_ends_like(undisturbed, installation)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_any_second(install, undisturbed, seed):
    source = random.Random(seed)
    installation = new_home(install, undisturbed, f"killed-at-random-{seed}")
    kills = [kill_at(installation, at_once, source.uniform(0.5, 40)) for _ in range(4)]
    assert any(kills)
    assert_ends_like(undisturbed, installation)
