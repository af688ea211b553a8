"""Landing one file: the order of the steps, and what is written."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tidewaiter import files, fingerprint
from tidewaiter.canonical import load_dataset
from tidewaiter.contracts import Contract, Extract
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.mapping import build_mapping
from tidewaiter.landing.raw import StoredRaw, store_raw
from tidewaiter.landing.read import FileReader
from tidewaiter.landing.receipts import (
    QUARANTINE_FILE,
    RECEIPT_FILE,
    ExtractRefused,
    Receipt,
    extract_fingerprint,
    landing_key,
)
from tidewaiter.landing.text import prepare_text
from tidewaiter.landing.write import Outcome, write_extract
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb

_log = logging.getLogger(__name__)


def land_file(
    path: Path, extract: Extract, contract: Contract, settings: Settings, pseudonymiser: Pseudonymiser
) -> Receipt:
    """Land one file: keep its bytes, map its rows, set aside what cannot be mapped.

    Doing it again changes nothing: the same bytes under the same contract, canonical model and key
    are landed once. A kill leaves what was there before, and the next call finishes the work.

    Raises:
        ExtractRefused: The share of faulty rows is above the contract's limit. Every row is then in
            quarantine, none is landed, and the receipt says so.
        TidewaiterError: The file does not fit the contract as a whole.
    """
    sha256 = fingerprint.of_file(path)
    contract_digest = extract_fingerprint(contract, extract)
    key = landing_key(sha256, contract_digest, extract.dataset, pseudonymiser.key_id)
    with _only_one_at_a_time(contract.member, sha256, settings):
        raw = store_raw(path, contract.member, sha256, settings.paths)
        folder = settings.paths.extract_folder(extract.dataset, contract.member, raw.extract_id)
        receipt = _landed_already(folder, key)
        if receipt is None:
            with files.folder_replaced_atomically(folder) as partial:
                outcome = _land(raw, extract, contract, settings, pseudonymiser, partial)
                receipt = Receipt(
                    member_iso2=contract.member,
                    dataset=extract.dataset,
                    extract_id=raw.extract_id,
                    source_file=raw.file_name,
                    source_sha256=sha256,
                    source_bytes=raw.size_bytes,
                    received_at=raw.received_at,
                    landing_key=key,
                    contract_fingerprint=contract_digest,
                    canonical_fingerprint=load_dataset(extract.dataset).fingerprint,
                    key_id=pseudonymiser.key_id,
                    **vars(outcome),
                )
                files.write_json_atomically(partial / RECEIPT_FILE, receipt.model_dump(mode="json"))
            _log.info(
                "landed %s of %s rows of %s/%s",
                receipt.rows_landed,
                receipt.rows_in,
                contract.member,
                path.name,
            )
    if receipt.refused:
        raise _refusal(receipt, extract, folder)
    return receipt


def _landed_already(folder: Path, key: str) -> Receipt | None:
    found = files.read_json(folder / RECEIPT_FILE)
    if found is None or found.get("landing_key") != key:
        return None
    return Receipt.model_validate(found)


def _land(
    raw: StoredRaw,
    extract: Extract,
    contract: Contract,
    settings: Settings,
    pseudonymiser: Pseudonymiser,
    target: Path,
) -> Outcome:
    where = f"member {contract.member}, file {raw.file_name}"
    with _work_folder(raw) as work, open_duckdb(settings) as connection:
        text = prepare_text(raw.path, extract.format, work, where)
        mapping = build_mapping(connection, extract, contract, text.header, where)
        reader = FileReader(connection, text, extract.format, mapping, work, where)
        reader.stage()
        return write_extract(
            reader, raw, contract.member, extract.refuse_above_quarantined_share, pseudonymiser, target
        )


@contextmanager
def _work_folder(raw: StoredRaw) -> Iterator[Path]:
    """Yield an empty folder beside the raw file; it holds identities in clear and is as closed."""
    folder = raw.path.parent.parent / f"{files.PARTIAL_PREFIX}work-{raw.sha256}"
    shutil.rmtree(folder, ignore_errors=True)  # a killed landing's
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_one_at_a_time(member: str, sha256: str, settings: Settings) -> Iterator[None]:
    """Let two processes that are given the same file land it once. A kill frees the lock."""
    path = settings.paths.state / "locks" / f"landing-{member}-{sha256[:12]}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=settings.lock_timeout_s):
            yield
    except Timeout:
        raise TidewaiterError(
            Problem(
                f"another process has been landing this file for {settings.lock_timeout_s:.0f} s",
                where=str(path),
                next_step="wait for it, or raise lock_timeout_s",
            )
        ) from None


def _refusal(receipt: Receipt, extract: Extract, folder: Path) -> ExtractRefused:
    commonest = sorted(receipt.reasons.items(), key=lambda item: (-item[1], item[0]))
    limit = extract.refuse_above_quarantined_share
    return ExtractRefused(
        receipt,
        Problem(
            "extract refused, nothing landed: "
            + "; ".join(f"{reason} ({count} rows)" for reason, count in commonest[:5]),
            where=f"member {receipt.member_iso2}, file {receipt.source_file}, {receipt.rows_in} rows",
            expected=f"at most {limit:.1%} of the rows with a fault",
            next_step=f"look into {folder / QUARANTINE_FILE}, then mend the contract or have it sent again",
        ),
    )
