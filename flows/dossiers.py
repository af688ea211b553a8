"""Dossiers: written on request and on record, kept as long as the settings say, forgotten with a person."""

from __future__ import annotations

import getpass
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.access import private_folder, record_access, require_purpose
from flows.integrity_reading import open_signals, publish_signals, published_set
from flows.progress import step
from tidewaiter.errors import Problem, UsageProblem
from tidewaiter.files import read_json, replace_file_atomically, write_json_atomically
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal

if TYPE_CHECKING:
    import duckdb

_SHORTEST_ID = 6
_DOSSIERS = "dossiers"
_OWNER_ONLY = 0o600


@dataclass(frozen=True)
class WrittenDossier:
    """A dossier on disk.

    Attributes:
        path: The page.
        member_iso2: Member of the entity.
        entity_kind: broker, importer, inspector or supervisor.
        entity_id: Its pseudonym.
        severity: Band of the entity.
        keep_until: Last day before a purge removes it.
        case_reference: Of the case that keeps it longer, if any.
    """

    path: Path
    member_iso2: str
    entity_kind: str
    entity_id: str
    severity: str
    keep_until: date
    case_reference: str | None


def write_dossier(
    settings: Settings,
    entity_id: str,
    purpose: str | None,
    *,
    member: str | None = None,
    case_reference: str | None = None,
) -> WrittenDossier:
    """Write the dossier of one person or firm, after the view has been put on record.

    Args:
        settings: Where the home is.
        entity_id: Pseudonym, or enough of its beginning to tell it from others.
        purpose: Why it is made; it stands on the page.
        member: Where the beginning is not enough.
        case_reference: Of an open case: the dossier is kept until the case is closed.

    Raises:
        UsageProblem: No purpose, no such entity, or more than one.
    """
    words = require_purpose(purpose)
    from ml.integrity.dossier import build, write

    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    keep_until = now.date() + timedelta(days=settings.dossier_retention_days)
    with step("dossier"), open_signals(settings, [member] if member else None) as connection:
        entity = _one_entity(connection, entity_id, member)
        record_access(settings, "dossier", words, entity.member_iso2, [entity.entity_id], case=case_reference)
        dossier = build(
            connection,
            settings,
            entity,
            purpose=words,
            made_by=getpass.getuser(),
            made_at=now,
            keep_until=keep_until,
            case_reference=case_reference,
        )
    folder = private_folder(settings.paths.integrity / _DOSSIERS / f"member={entity.member_iso2}")
    path = folder / f"{entity.kind}-{entity.entity_id[:16]}-{now:%Y%m%dT%H%M%S}.html"
    # The record first: a page without one would never be purged.
    write_json_atomically(
        path.with_suffix(".json"),
        {
            "member": entity.member_iso2,
            "entity_kind": entity.kind,
            "entity_id": entity.entity_id,
            "entities": sorted(_everybody(dossier)),
            "purpose": words,
            "made_at": now.isoformat(),
            "keep_until": keep_until.isoformat(),
            "case": case_reference,
        },
    )
    write(dossier, path).chmod(_OWNER_ONLY)
    severity = entity.figures["severity"]
    return WrittenDossier(
        path, entity.member_iso2, entity.kind, entity.entity_id, severity, keep_until, case_reference
    )


def purge_dossiers(settings: Settings, today: date, closed_case: str | None = None) -> list[str]:
    """Remove dossiers whose day has come and those of a case that is closed; return their names.

    A dossier of an open case stays, whatever its day. What is removed is on record.
    """
    removed = []
    for record in sorted((settings.paths.integrity / _DOSSIERS).glob("member=*/*.json")):
        found = read_json(record) or {}
        case = found.get("case")
        is_due = date.fromisoformat(found["keep_until"]) < today and case is None
        if is_due or (case is not None and case == closed_case):
            removed.append(_remove_dossier(record))
    if removed:
        words = "retention" if closed_case is None else f"case {closed_case} closed"
        record_access(settings, "purge", words, removed=removed)
    return removed


def forget(settings: Settings, member: str, pseudonym: str) -> dict[str, int]:
    """Take one person out of signals, set and dossiers; return rows and files removed, by place.

    Dossiers that name the person go whole, those of an open case too: an erasure is ordered by law.
    """
    removed = {"integrity signals": 0, "integrity dossiers": 0}
    for record in sorted((settings.paths.integrity / _DOSSIERS / f"member={member}").glob("*.json")):
        if pseudonym in (read_json(record) or {}).get("entities", ()):
            _remove_dossier(record)
            removed["integrity dossiers"] += 1
    with open_duckdb(settings) as connection:
        for path in sorted((settings.paths.integrity / "signals" / f"member={member}").glob("*/*.parquet")):
            removed["integrity signals"] += _without(connection, path, pseudonym)
    if removed["integrity signals"] and published_set(settings).exists():
        publish_signals(settings)
    return {place: count for place, count in removed.items() if count}


def forget_everybody(settings: Settings, purpose: str | None) -> None:
    """Remove signals, set and dossiers, all under a key that is no more; the log stays and says so."""
    root = settings.paths.integrity
    if not root.is_dir():
        return
    record_access(settings, "remove all", require_purpose(purpose))
    for name in ("signals", published_set(settings).name, _DOSSIERS):
        shutil.rmtree(root / name, ignore_errors=True)


def _remove_dossier(record: Path) -> str:
    """Remove the page before its record, so that a kill in between leaves a record that is purged again."""
    record.with_suffix(".html").unlink(missing_ok=True)
    record.unlink(missing_ok=True)
    return record.stem


def _without(connection: duckdb.DuckDBPyConnection, path: Path, pseudonym: str) -> int:
    """Rewrite a file of signals without the rows that name somebody; return how many there were."""
    named = (
        f"coalesce(unit_id = {quote_literal(pseudonym)}, false) or"
        f" coalesce(list_contains(string_split(counterpart_id, ' '), {quote_literal(pseudonym)}), false)"
    )
    source = f"read_parquet({quote_literal(path)}, hive_partitioning = false)"
    row = connection.execute(f"select count(*) from {source} where {named}").fetchone()
    if not row or not row[0]:
        return 0
    with replace_file_atomically(path) as partial:
        connection.execute(
            f"copy (select * from {source} where not ({named})) to {quote_literal(partial)}"
            " (format parquet, compression zstd)"
        )
    return int(row[0])


def _everybody(dossier: Any) -> set[str]:
    """Return every pseudonym that a dossier shows."""
    found = {dossier.entity.entity_id}
    for row in [*dossier.flagged, *dossier.others, *dossier.sets]:
        found |= {row["unit_id"], *(row["counterpart_id"] or "").split()}
    for row in dossier.files:
        found |= {row[name] for name in ("declarant_id", "inspector_initial_id", "inspector_final_id")}
    return {one for one in found if one}


def _one_entity(connection: duckdb.DuckDBPyConnection, entity_id: str, member: str | None) -> Any:
    from ml.integrity.dossier import find_entities

    if len(entity_id) < _SHORTEST_ID:
        raise UsageProblem(
            Problem(f"'{entity_id}' is too short", expected=f"{_SHORTEST_ID} characters or more")
        )
    found = find_entities(connection, entity_id, member)
    if not found:
        raise UsageProblem(
            Problem(
                f"no person or firm whose pseudonym begins with '{entity_id}' is in the last looks",
                next_step='tidewaiter integrity signals --purpose "..." lists them',
            )
        )
    if len(found) > 1:
        names = ", ".join(f"{one.kind} {one.entity_id} ({one.member_iso2})" for one in found[:5])
        raise UsageProblem(
            Problem(f"'{entity_id}' begins {len(found)} pseudonyms: {names}", expected="more of it")
        )
    return found[0]
