"""Publishing: an immutable set of tables, and one rename that makes it the current one.

A set is a folder: `<schema>/<table>/member=XX/rows.parquet`, one DuckDB file over the same rows and
`publication.json`. `published` is a link to the current set. Who has a file of the old set open keeps
it; the last few sets stay on disk. A member whose gate refused keeps the rows it had in the last set.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.lock import home_locked
from flows.progress import step
from tidewaiter import fingerprint
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.files import PARTIAL_PREFIX, read_json, write_json_atomically
from tidewaiter.marts import is_built, mart_path
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

logger = logging.getLogger(__name__)

DUCKDB_FILE = "tidewaiter.duckdb"
RECORD_FILE = "publication.json"

# Schema and table as analysts see them; the marts folder has the same names.
TABLES: tuple[tuple[str, str], ...] = (
    ("scores", "declaration_items"),
    ("trade", "declaration_items"),
    ("trade", "declarations"),
    ("trade", "member_extracts"),
    ("features", "declaration_item_features"),
    ("features", "declaration_item_labels"),
    ("features", "feature_drift"),
)


@dataclass(frozen=True)
class Publication:
    """A published set.

    Attributes:
        publication_id: Digest of the rows, so that equal rows are the same publication.
        folder: Where the set lies.
        rows: Rows by `schema.table`.
        members: Member to `fresh` or `carried`.
        was_current: The set was published already and nothing was written.
    """

    publication_id: str
    folder: Path
    rows: Mapping[str, int]
    members: Mapping[str, str]
    was_current: bool


def publish(settings: Settings, fresh: Collection[str], carried: Collection[str] = ()) -> Publication:
    """Publish the marts of the `fresh` members beside what the `carried` ones had published last.

    Args:
        settings: Resolved settings.
        fresh: Members whose rows come from the marts.
        carried: Members that keep the rows of the current set, where they have any: a gate refused
            them, or the run was not about them.

    Raises:
        TidewaiterError: A mart is missing, or there is no fresh member; nothing is published then.
    """
    if not fresh:
        raise TidewaiterError(
            Problem("no member passed its gates, so nothing is published", next_step="tidewaiter status")
        )
    _require_marts(settings)
    with home_locked(settings, "publish"), step("publish") as running:
        settings.paths.publications.mkdir(parents=True, exist_ok=True)
        _sweep(settings)
        staged = settings.paths.publications / f"{PARTIAL_PREFIX}{uuid.uuid4().hex}"
        try:
            publication = _write_set(settings, staged, sorted(fresh), sorted(set(carried) - set(fresh)))
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        running.note("unchanged" if publication.was_current else f"set {publication.publication_id}")
    return publication


def current_publication(settings: Settings) -> dict[str, Any] | None:
    """Return the record of the current set, or None where nothing is published yet."""
    found: dict[str, Any] | None = read_json(settings.paths.published / RECORD_FILE)
    return found


def publish_rewritten(
    settings: Settings, rewrite: Callable[[Path, str, str, str], None]
) -> Publication | None:
    """Publish the current set with some files rewritten, and remove every other set.

    For an erasure: what it takes out must be in no set, not even in one that a reader still has open.

    Args:
        settings: Resolved settings.
        rewrite: Gets a copy of each Parquet file, its schema, table and member, and may replace it.

    Returns:
        The set that is current now, or None where nothing was published.
    """
    current = current_publication(settings)
    if current is None:
        return None
    with home_locked(settings, "publish"), step("publish"):
        _sweep(settings)
        source = settings.paths.published.resolve()
        staged = settings.paths.publications / f"{PARTIAL_PREFIX}{uuid.uuid4().hex}"
        try:
            staged.mkdir()
            for member in current["members"]:
                for schema, table in TABLES:
                    _carry_over(source, staged, schema, table, member)
                    path = _member_file(staged, schema, table, member)
                    if path.exists():
                        rewrite(path, schema, table, member)
            publication = _finish_set(settings, staged, current["members"])
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        _prune(settings, publication.folder, kept=1)
    return publication


def _write_set(settings: Settings, staged: Path, fresh: list[str], carried: list[str]) -> Publication:
    staged.mkdir()
    with open_duckdb(settings) as connection:
        for schema, table in TABLES:
            for member in fresh:
                _copy_from_mart(connection, settings, staged, schema, table, member)
            for member in carried:
                _carry_over(settings.paths.published.resolve(), staged, schema, table, member)
    kept = [member for member in carried if any(staged.glob(f"*/*/member={member}/*.parquet"))]
    return _finish_set(settings, staged, dict.fromkeys(fresh, "fresh") | dict.fromkeys(kept, "carried"))


def _finish_set(settings: Settings, staged: Path, members: Mapping[str, str]) -> Publication:
    """Make a set of the staged Parquet and make it the current one, unless it is that already."""
    files = {path.relative_to(staged).as_posix(): path for path in sorted(staged.rglob("*.parquet"))}
    # The dictionary tells readers what columns mean, so a changed text is a changed set.
    comments = read_comments(settings)
    digests = {name: fingerprint.of_file(path) for name, path in files.items()}
    publication_id = fingerprint.of_json([digests, comments, members])[:16]
    folder = settings.paths.publications / publication_id
    current = current_publication(settings)
    if current is not None and current["publication_id"] == publication_id:
        shutil.rmtree(staged)
        return Publication(publication_id, folder, current["rows"], members, was_current=True)
    rows = _write_duckdb(settings, staged, comments)
    write_json_atomically(
        staged / RECORD_FILE,
        {
            "publication_id": publication_id,
            "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "members": dict(members),
            "rows": rows,
            "files": digests,
        },
    )
    for path in staged.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    _swap(settings, staged, folder)
    return Publication(publication_id, folder, rows, members, was_current=False)


def _require_marts(settings: Settings) -> None:
    missing = [path for schema, table in TABLES if not is_built(path := _mart(settings, schema, table))]
    if missing:
        raise TidewaiterError(
            Problem(
                f"mart {path.parent.name}.{path.stem} has not been built",
                where=str(path),
                next_step="tidewaiter run" if path.parent.name == "scores" else "tidewaiter transform",
            )
            for path in missing
        )


def _mart(settings: Settings, schema: str, table: str) -> Path:
    return mart_path(settings.paths, schema, table)


def _member_file(root: Path, schema: str, table: str, member: str) -> Path:
    return root / schema / table / f"member={member}" / "rows.parquet"


def _copy_from_mart(
    connection: Any, settings: Settings, staged: Path, schema: str, table: str, member: str
) -> None:
    target = _member_file(staged, schema, table, member)
    target.parent.mkdir(parents=True)
    connection.execute(
        f"copy (select * from read_parquet({quote_literal(_mart(settings, schema, table))})"
        f" where member_iso2 = {quote_literal(member)})"
        f" to {quote_literal(target)} (format parquet, compression zstd)"
    )


def _carry_over(last: Path, staged: Path, schema: str, table: str, member: str) -> None:
    source = _member_file(last, schema, table, member)
    if source.exists():
        target = _member_file(staged, schema, table, member)
        target.parent.mkdir(parents=True)
        os.link(source, target)


def _write_duckdb(
    settings: Settings, staged: Path, comments: Mapping[str, Mapping[str, str]]
) -> dict[str, int]:
    """Load the staged Parquet into one DuckDB file with comments; return rows by table."""
    rows: dict[str, int] = {}
    with open_duckdb(settings) as connection:
        connection.execute(f"attach {quote_literal(staged / DUCKDB_FILE)} as published")
        for schema, table in TABLES:
            name = f"published.{quote_identifier(schema)}.{quote_identifier(table)}"
            glob = staged / schema / table / "*" / "rows.parquet"
            if not any(staged.glob(f"{schema}/{table}/*/rows.parquet")):
                continue  # every member carries over a set from before the table was published
            connection.execute(f"create schema if not exists published.{quote_identifier(schema)}")
            connection.execute(
                f"create table {name} as select * from read_parquet({quote_literal(glob)},"
                " union_by_name = true, hive_partitioning = false)"
            )
            for statement in _comment_statements(name, comments.get(f"{schema}.{table}", {})):
                connection.execute(statement)
            counted = connection.execute(f"select count(*) from {name}").fetchone()
            rows[f"{schema}.{table}"] = int(counted[0]) if counted else 0
        connection.execute("detach published")
    return rows


def _comment_statements(table: str, comments: Mapping[str, str]) -> Iterator[str]:
    for column, text in comments.items():
        kind = f"table {table}" if column == "" else f"column {table}.{quote_identifier(column)}"
        yield f"comment on {kind} is {quote_literal(text)}"


def read_comments(settings: Settings) -> dict[str, dict[str, str]]:
    """Return descriptions from dbt's manifest: `schema.table` to column (or "" for the table) to text."""
    manifest = read_json(settings.paths.dbt_target / "target" / "manifest.json")
    if manifest is None:
        return {}
    wanted = {f"{schema}.{table}" for schema, table in TABLES}
    comments: dict[str, dict[str, str]] = {}
    for node in manifest["nodes"].values():
        name = f"{node.get('schema')}.{node.get('alias')}"
        if node["resource_type"] == "model" and name in wanted:
            columns = {column: found["description"] for column, found in node["columns"].items()}
            comments[name] = {"": node["description"]} | columns
    return comments


def _swap(settings: Settings, staged: Path, folder: Path) -> None:
    if folder.exists():
        # The same rows were published before and another set since: the old folder serves again.
        shutil.rmtree(staged)
    else:
        staged.rename(folder)
    link = settings.paths.publications / f"{PARTIAL_PREFIX}link-{uuid.uuid4().hex}"
    link.symlink_to(Path("publications") / folder.name, target_is_directory=True)
    # Renaming a link over a link is atomic: a reader finds the old set or the new one.
    link.replace(settings.paths.published)
    os.utime(folder)
    _prune(settings, folder)


def _prune(settings: Settings, current: Path, kept: int | None = None) -> None:
    """Remove all but the newest sets. Open files of a removed set stay readable to who has them open."""
    folders = [
        path
        for path in settings.paths.publications.iterdir()
        if path.is_dir() and path != current and not path.name.startswith(PARTIAL_PREFIX)
    ]
    newest_first = sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest_first[(kept or settings.publications_kept) - 1 :]:
        shutil.rmtree(path)


def _sweep(settings: Settings) -> None:
    """Remove what killed publications left behind."""
    for path in settings.paths.publications.glob(f"{PARTIAL_PREFIX}*"):
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)
