"""Erasing a subject: out of what is published first, out of the raw bytes and the landing last.

The subject goes on the erasure list before anything is removed, so that nothing lands again. What
tells which items are the subject's (the landing) is rewritten last, so that a killed erasure is
finished by running it again. The receipt has the pseudonym and counts, never the identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.dossiers import forget
from flows.progress import step
from flows.publish import publish_rewritten
from tidewaiter.contracts import Contract, Extract, load_contract
from tidewaiter.erasures import add_erasure
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem, closest
from tidewaiter.files import read_json, replace_file_atomically, write_json_atomically
from tidewaiter.landing import Receipt, landed_receipts
from tidewaiter.landing.erase import drop_rows, find_declarations, find_lines, unreadable_lines
from tidewaiter.landing.raw import kept_raw
from tidewaiter.landing.receipts import RECEIPT_FILE, landing_key
from tidewaiter.landing.replay import entry_for_receipt
from tidewaiter.landing.scrub import rows_scrubbed, scrub_raw
from tidewaiter.marts import mart_files, prepare_staging
from tidewaiter.pseudonyms import Pseudonymiser, load_pseudonymiser, parties
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

_HEADERS = "declarations"
_ITEM_KEY = ("declaration_id", "item_no")
_KEYS = "erased_items"


@dataclass(frozen=True)
class ErasureReceipt:
    """What was removed of one subject, over all times that the erasure was run.

    Attributes:
        path: Where the receipt is kept.
        removed: Table, or file kept, to the rows removed from it.
        first_erased_at, last_erased_at: Naive UTC.
    """

    path: Path
    member_iso2: str
    party: str
    pseudonym: str
    key_id: str
    removed: dict[str, int]
    first_erased_at: str
    last_erased_at: str

    @property
    def as_json(self) -> dict[str, Any]:
        """The receipt as it is kept."""
        return {name: value for name, value in vars(self).items() if name != "path"}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per table."""
        return [{"table": table, "rows_removed": rows} for table, rows in sorted(self.removed.items())]


def erase_subject(settings: Settings, member: str, party: str, identifier: str) -> ErasureReceipt:
    """Remove one subject's rows everywhere and see to it that they never land again.

    Args:
        settings: Where the home is.
        member: Issuer of the identifier.
        party: Kind of party, such as `importer`.
        identifier: The subject in clear; it is neither kept nor logged.

    Raises:
        UsageProblem: Unknown member or kind of party.
        TidewaiterError: An extract was landed under another key, so its rows cannot be told.
    """
    contract = load_contract(settings.members_dir, member)
    if party not in parties():
        raise UsageProblem(
            Problem(
                f"no kind of party '{party}'{closest(party, parties())}",
                expected=f"one of {', '.join(parties())}",
            )
        )
    before = load_pseudonymiser(settings.paths)
    pseudonym = before.before_erasures().pseudonymise(member, party, [identifier])[0] or ""
    receipts = [receipt for receipt in landed_receipts(settings.paths) if receipt.member_iso2 == member]
    _require_present_key(receipts, before.key_id)
    with step(f"{member} erase") as running:
        now = datetime.now(UTC).replace(tzinfo=None)
        token = add_erasure(settings.paths, member, party, identifier, now)
        after = load_pseudonymiser(settings.paths)
        subject = _Subject(settings, contract, party, pseudonym, identifier)
        removed = subject.remove_downstream(receipts)
        declarations = subject.find_declarations(receipts)
        # Headers last: they tell which items are the subject's, should the erasure be killed.
        for receipt in sorted(receipts, key=lambda one: one.dataset == _HEADERS):
            for table, rows in subject.remove_from_extract(receipt, declarations, before, after).items():
                removed[table] = removed.get(table, 0) + rows
        kept = _keep_receipt(settings, member, party, token, pseudonym, before.key_id, removed, now)
        running.note(f"{sum(removed.values())} rows in {sum(map(bool, removed.values()))} tables")
    return kept


@dataclass(frozen=True)
class _Subject:
    """One subject and where it may be."""

    settings: Settings
    contract: Contract
    party: str
    pseudonym: str
    identifier: str

    @property
    def member(self) -> str:
        return self.contract.member

    def remove_downstream(self, receipts: Iterable[Receipt]) -> dict[str, int]:
        """Remove the subject's rows from published sets, scores, signals and marts; return rows per table."""
        paths = self.settings.paths
        removed: dict[str, int] = {}
        with open_duckdb(self.settings) as connection:
            self._gather_keys(connection, receipts)

            def rewrite(path: Path, schema: str, table: str, member: str) -> None:
                if member == self.member:
                    _add(removed, f"published {schema}.{table}", self._filter(connection, path))

            publish_rewritten(self.settings, rewrite)
            for path in sorted((paths.scores / f"member={self.member}").rglob("*.parquet")):
                _add(removed, "scores", self._filter(connection, path))
            prepare_staging(paths)  # staged files are second names of standing ones
            for mart in sorted(paths.marts.glob("*/*.parquet")):
                for path in mart_files(mart):
                    _add(removed, f"marts {mart.parent.name}.{mart.stem}", self._filter(connection, path))
        for place, count in forget(self.settings, self.member, self.pseudonym).items():
            _add(removed, place, count)
        # Only dbt opens the warehouse, and it builds all of it from the landing: without it, it does.
        for path in paths.warehouse.parent.glob(f"{paths.warehouse.name}*"):
            path.unlink()
        return removed

    def find_declarations(self, receipts: Iterable[Receipt]) -> frozenset[str]:
        """Return the declarations whose header, where headers come apart, names the subject."""
        paths = self.settings.paths
        return frozenset(
            declaration
            for receipt in receipts
            if receipt.dataset == _HEADERS
            for declaration in find_declarations(
                paths.extract_folder(receipt.dataset, receipt.member_iso2, receipt.extract_id),
                [self.pseudonym],
                self.settings,
            )
        )

    def remove_from_extract(
        self, receipt: Receipt, declarations: frozenset[str], before: Pseudonymiser, after: Pseudonymiser
    ) -> dict[str, int]:
        """Remove the subject's rows from one extract and its raw bytes; return rows per table."""
        folder = self.settings.paths.extract_folder(receipt.dataset, receipt.member_iso2, receipt.extract_id)
        of_headers = declarations if receipt.dataset == "declaration_items" else ()
        lines = find_lines(folder, receipt.dataset, [self.pseudonym], self.settings, of_headers)
        if receipt.wide is not None:
            lines = receipt.wide.whole(lines)  # a line of the file is emptied with all that it holds
        unreadable = unreadable_lines(folder, self.settings)
        raw = kept_raw(receipt.member_iso2, receipt.kept_sha256, self.settings.paths)
        removed: dict[str, int] = {}
        if raw is not None and (lines or unreadable):
            scrubbed = rows_scrubbed(raw.folder)
            lines |= scrub_raw(
                raw, self._entry(receipt), lines, unreadable=unreadable, identifier=self.identifier
            )
            gone = 0 if raw.path.is_file() else len(lines)
            _add(removed, "raw", gone or rows_scrubbed(raw.folder) - scrubbed)
        if lines:
            self._clear_inbox(receipt)
        dropped = drop_rows(folder, receipt.dataset, [self.pseudonym], self.settings, lines)
        changed: dict[str, Any] = {}
        if dropped is not None:
            _add(removed, f"landing {receipt.dataset}", dropped.landed)
            _add(removed, f"quarantine {receipt.dataset}", dropped.quarantined)
            changed = dropped.counts | {"rows_erased": receipt.rows_erased + dropped.rows}
        self._rewrite_receipt(folder, receipt, changed, before, after)
        return removed

    def _clear_inbox(self, receipt: Receipt) -> None:
        """Remove the fetched copy of an extract; it has arrived, so it is not fetched again."""
        for folder in (self.settings.paths.inbox / self.member).glob("*/[0-9]*-*"):
            digits = folder.name.partition("-")[2]
            if digits and receipt.kept_sha256.startswith(digits):
                for path in folder.iterdir():
                    path.unlink()

    def _rewrite_receipt(
        self,
        folder: Path,
        receipt: Receipt,
        changed: dict[str, Any],
        before: Pseudonymiser,
        after: Pseudonymiser,
    ) -> None:
        """Give the receipt its new counts, and the key under which it stands with the longer list."""
        keys = [
            landing_key(
                receipt.source_sha256,
                receipt.contract_fingerprint,
                receipt.dataset,
                pseudonymiser.identity(receipt.member_iso2),
            )
            for pseudonymiser in (before, after)
        ]
        # An extract that is due to land again anyway stays due.
        if receipt.landing_key == keys[0]:
            changed = changed | {"landing_key": keys[1]}
        if changed:
            rewritten = Receipt.model_validate(receipt.model_dump() | changed)
            write_json_atomically(folder / RECEIPT_FILE, rewritten.model_dump(mode="json"))

    def _entry(self, receipt: Receipt) -> Extract | None:
        try:
            return entry_for_receipt(self.contract, receipt)
        except UsageProblem:
            return None  # how its lines read is no longer known: the whole file goes

    def _gather_keys(self, connection: duckdb.DuckDBPyConnection, receipts: Iterable[Receipt]) -> None:
        """Make a table of the subject's items, from the landing and the marts that name parties."""
        paths = self.settings.paths
        connection.execute(f"create table {_KEYS} (declaration_id VARCHAR, item_no INTEGER)")
        places = [
            paths.extract_folder(receipt.dataset, receipt.member_iso2, receipt.extract_id) / "rows.parquet"
            for receipt in receipts
            if receipt.rows_landed and receipt.dataset == "declaration_items"
        ]
        places += [
            *(file for mart in paths.marts.glob("*/*.parquet") for file in mart_files(mart)),
            *paths.published.glob(f"*/*/member={self.member}/*.parquet"),
        ]
        for path in places:
            columns = _columns(connection, path)
            named = _text_columns(columns)
            if {*_ITEM_KEY, "member_iso2"} <= set(columns):
                connection.execute(
                    f"insert into {_KEYS} select declaration_id, item_no from {_read(path)}"
                    f" where member_iso2 = {quote_literal(self.member)} and ({self._is_named(named)})"
                )

    def _filter(self, connection: duckdb.DuckDBPyConnection, path: Path) -> int:
        """Rewrite a Parquet file without the subject's rows, where it has any; return how many."""
        columns = _columns(connection, path)
        conditions = []
        if named := _text_columns(columns):
            conditions.append(self._is_named(named))
        if set(_ITEM_KEY) <= set(columns):
            conditions.append(f"(declaration_id, item_no) in (select (declaration_id, item_no) from {_KEYS})")
        if not conditions:
            return 0
        is_subject = f"coalesce({' or '.join(conditions)}, false)"
        if "member_iso2" in columns:
            is_subject = f"(member_iso2 = {quote_literal(self.member)} and {is_subject})"
        row = connection.execute(f"select count(*) from {_read(path)} where {is_subject}").fetchone()
        if not row or not row[0]:
            return 0
        with replace_file_atomically(path) as partial:
            connection.execute(
                f"copy (select * from {_read(path)} where not {is_subject})"
                f" to {quote_literal(partial)} (format parquet, compression zstd)"
            )
        return int(row[0])

    def _is_named(self, columns: Iterable[str]) -> str:
        pseudonym = quote_literal(self.pseudonym)
        return " or ".join(
            f"contains(cast({quote_identifier(column)} as VARCHAR), {pseudonym})" for column in columns
        )


def _require_present_key(receipts: Iterable[Receipt], key_id: str) -> None:
    other = [receipt for receipt in receipts if receipt.key_id != key_id]
    if other:
        raise TidewaiterError(
            Problem(
                "landed under another pseudonym key, so the subject's rows cannot be told",
                where=f"member {receipt.member_iso2}, extract {receipt.extract_id}, key {receipt.key_id}",
                expected=f"every extract under the present key, {key_id}",
                next_step="tidewaiter privacy rotate-key finishes a rotation; then erase",
            )
            for receipt in other
        )


def _keep_receipt(
    settings: Settings,
    member: str,
    party: str,
    token: str,
    pseudonym: str,
    key_id: str,
    removed: dict[str, int],
    now: datetime,
) -> ErasureReceipt:
    """Add what was removed now to the receipt; one that adds nothing stays as it is."""
    path = settings.paths.erasures / "receipts" / f"{member}-{party}-{token[:12]}.json"
    known: dict[str, Any] | None = read_json(path)
    at = now.isoformat(timespec="seconds")
    sums = dict(known["removed"]) if known else {}
    for table, rows in removed.items():
        _add(sums, table, rows)
    receipt = ErasureReceipt(
        path=path,
        member_iso2=member,
        party=party,
        pseudonym=pseudonym,
        key_id=key_id,
        removed=sums,
        first_erased_at=known["first_erased_at"] if known else at,
        last_erased_at=at if known is None or any(removed.values()) else known["last_erased_at"],
    )
    if receipt.as_json != known:
        write_json_atomically(path, receipt.as_json)
    return receipt


def _add(counts: dict[str, int], table: str, rows: int) -> None:
    if rows:
        counts[table] = counts.get(table, 0) + rows


def _columns(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Return the columns of a Parquet file with their DuckDB types."""
    described = connection.execute(f"describe select * from {_read(path)}").fetchall()
    return {str(row[0]): str(row[1]) for row in described}


def _text_columns(columns: Mapping[str, str]) -> list[str]:
    """Return the columns that may hold a pseudonym, whatever a mart calls them: also lists and structs."""
    return [name for name, kind in columns.items() if "VARCHAR" in kind]


def _read(path: Path) -> str:
    return f"read_parquet({quote_literal(path)}, hive_partitioning = false)"
