"""Marts on disk: where they are, and how a staged one takes the place of the standing one.

A mart is a Parquet file, or a folder of them with the same suffix, one per member and month; DuckDB reads
both by the same path. dbt writes a folder's new files to `<table>.staged` beside it, with a plan of what is
there, and they are put in place once dbt's tests have passed on them: a build that fails leaves readers
what they had.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.files import PARTIAL_PREFIX, read_json
from tidewaiter.home import Home

BY_MONTH = (
    ("features", "declaration_item_features"),
    ("features", "declaration_item_labels"),
    ("trade", "declaration_items"),
)


def mart_path(home: Home, schema: str, table: str) -> Path:
    """Return the path of a mart: a Parquet file or a folder of Parquet files."""
    return home.marts / schema / f"{table}.parquet"


def mart_files(path: Path) -> list[Path]:
    """Return the Parquet files of a mart in the order of their names; none where it is not built."""
    if path.is_dir():
        return sorted(path.glob("[!.]*.parquet"))
    return [path] if path.is_file() else []


def is_built(path: Path) -> bool:
    """Whether a mart can be read."""
    return bool(mart_files(path))


def prepare_staging(home: Home) -> None:
    """Make empty folders for the files that dbt stages; what an unfinished build left there goes."""
    for schema, table in BY_MONTH:
        staged = _staged(home, schema, table)
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        standing = mart_path(home, schema, table)
        if standing.is_file():  # as versions before wrote it
            standing.unlink()
        standing.mkdir(exist_ok=True)


def swap_staged(home: Home) -> int:
    """Put staged files in place of the standing ones and return how many there were.

    A whole mart takes the folder's place at once. Months of a build in parts go one by one, each in one
    rename; after a kill between two of them the caller's record is missing and the build is done again.

    Raises:
        TidewaiterError: A staged file that the plan names is missing.
    """
    return sum(_swap(home, schema, table) for schema, table in BY_MONTH)


def _swap(home: Home, schema: str, table: str) -> int:
    staged, standing = _staged(home, schema, table), mart_path(home, schema, table)
    plan = read_json(staged / "plan.json")
    if plan is None:
        return 0
    missing = [name for name in plan["files"] if not (staged / name).is_file()]
    if missing:
        raise TidewaiterError(
            Problem(
                f"staged files are missing: {', '.join(missing[:5])}",
                where=str(staged),
                next_step="tidewaiter transform",
            )
        )
    if plan["is_whole"]:
        former, coming = standing.with_suffix(".former"), standing.with_suffix(".coming")
        for folder in (former, coming):
            shutil.rmtree(folder, ignore_errors=True)
        coming.mkdir()
        for name in plan["files"]:
            _link(staged / name, coming / name)
        if standing.exists():
            standing.rename(former)
        coming.rename(standing)
        shutil.rmtree(former, ignore_errors=True)
    else:
        for name in plan["files"]:
            beside = standing / f"{PARTIAL_PREFIX}{name}"
            beside.unlink(missing_ok=True)
            _link(staged / name, beside)
            beside.replace(standing / name)
    (staged / "plan.json").unlink()
    return len(plan["files"])


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, so that dbt's view over the staged one goes on working; else copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _staged(home: Home, schema: str, table: str) -> Path:
    return home.marts / schema / f"{table}.staged"
