"""Landing one file: the order of the steps, and what is written."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tidewaiter import files
from tidewaiter.canonical import load_dataset
from tidewaiter.contracts import Contract, CsvFormat, Extract
from tidewaiter.erasures import ERASED
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.archives import packing_of
from tidewaiter.landing.erase import drop_rows, find_lines
from tidewaiter.landing.formats import is_read_in_pieces, open_format
from tidewaiter.landing.mapping import build_mapping
from tidewaiter.landing.pieces import CutsUncertain
from tidewaiter.landing.raw import StoredRaw
from tidewaiter.landing.read import CsvRecords
from tidewaiter.landing.receipts import (
    QUARANTINE_FILE,
    RECEIPT_FILE,
    ExtractRefused,
    Receipt,
    extract_fingerprint,
    landing_key,
)
from tidewaiter.landing.receive import received
from tidewaiter.landing.scrub import rows_scrubbed, scrub_raw
from tidewaiter.landing.source import wanted_columns
from tidewaiter.landing.staged import StagedRecords
from tidewaiter.landing.text import Survey, prepare_text
from tidewaiter.landing.wide import WideRecords
from tidewaiter.landing.write import ExtractWriter, Outcome
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb

_log = logging.getLogger(__name__)


def land_file(
    path: Path,
    extract: Extract,
    contract: Contract,
    settings: Settings,
    pseudonymiser: Pseudonymiser,
    *,
    sha256: str | None = None,
) -> Receipt:
    """Land one file: keep its bytes, map its rows, set aside what cannot be mapped.

    Doing it again changes nothing: the same bytes under the same contract, canonical model and key
    are landed once. A kill leaves what was there before, and the next call finishes the work. Rows of
    an erased subject are left out, here and in the bytes kept.

    Args:
        path: The file; it is only read.
        extract: How it is read, an entry of the contract.
        contract: The member's contract.
        settings: Where the home is.
        pseudonymiser: Holds the key.
        sha256: Digest of the bytes as they arrived, where `path` is the copy kept of them.

    Raises:
        ExtractRefused: The share of faulty rows is above the contract's limit. Every row is then in
            quarantine, none is landed, and the receipt says so.
        TidewaiterError: The file does not fit the contract as a whole.
    """
    if (packing := packing_of(path, extract.format)) is not None:
        raise TidewaiterError(
            Problem(f"a {packing} file is landed file by file", where=path.name, next_step="use land_files")
        )
    survey = Survey(extract.format) if isinstance(extract.format, CsvFormat) else None
    look = None if survey is None else survey.look
    with received(path, contract.member, settings, sha256, look) as raw:
        return land_stored(raw, extract, contract, settings, pseudonymiser, survey)


def land_stored(
    raw: StoredRaw,
    extract: Extract,
    contract: Contract,
    settings: Settings,
    pseudonymiser: Pseudonymiser,
    survey: Survey | None = None,
) -> Receipt:
    """Land bytes that are kept; see `land_file`. The caller sees to it that nobody else lands them.

    Args:
        raw: The bytes.
        extract: How they are read.
        contract: The member's contract.
        settings: Where the home is.
        pseudonymiser: Holds the key.
        survey: What was seen of them while they were copied.
    """
    receipt = landed_receipt(raw.sha256, extract, contract, settings, pseudonymiser)
    folder = settings.paths.extract_folder(extract.dataset, contract.member, raw.extract_id)
    if receipt is None:
        _require_one_entry(folder, raw, extract, contract)
        with files.folder_replaced_atomically(folder) as partial:
            outcome = dict(vars(_land(raw, extract, contract, settings, pseudonymiser, partial, survey)))
            if pseudonymiser.knows_erased(contract.member):
                outcome |= _leave_out_erased(raw, extract, settings, partial, outcome["wide"])
            receipt = Receipt(
                member_iso2=contract.member,
                dataset=extract.dataset,
                extract_id=raw.extract_id,
                source_file=raw.file_name,
                source_sha256=raw.sha256,
                source_bytes=raw.size_bytes,
                received_at=raw.received_at,
                landing_key=_key(raw.sha256, extract, contract, pseudonymiser),
                contract_fingerprint=extract_fingerprint(contract, extract),
                canonical_fingerprint=load_dataset(extract.dataset).fingerprint,
                key_id=pseudonymiser.key_id,
                archive_sha256=raw.archive_sha256,
                rows_erased=outcome.pop("rows_erased", 0) + rows_scrubbed(raw.folder),
                **outcome,
            )
            files.write_json_atomically(partial / RECEIPT_FILE, receipt.model_dump(mode="json"))
        _log.info(
            "landed %s of %s rows of %s/%s",
            receipt.rows_landed,
            receipt.rows_in,
            contract.member,
            raw.file_name,
        )
    if receipt.refused:
        raise _refusal(receipt, extract, folder)
    return receipt


def _require_one_entry(folder: Path, raw: StoredRaw, extract: Extract, contract: Contract) -> None:
    """Refuse to land for a second entry what another entry of the contract has landed.

    Both would write the same extract, and each run would put the rows of one in the place of the other's.
    """
    found = files.read_json(folder / RECEIPT_FILE) or {}
    own = extract_fingerprint(contract, extract)
    others = {extract_fingerprint(contract, entry) for entry in contract.extracts} - {own}
    if found.get("contract_fingerprint") in others:
        raise TidewaiterError(
            Problem(
                f"two entries of the contract land this file as {extract.dataset}",
                where=f"member {contract.member}, file {raw.file_name}",
                expected="one entry for each file and dataset; the rows of the first one stand",
                next_step="make their patterns under files differ, or make them one entry with unpivot",
            )
        )


def landed_receipt(
    sha256: str, extract: Extract, contract: Contract, settings: Settings, pseudonymiser: Pseudonymiser
) -> Receipt | None:
    """Return the receipt of bytes that were landed just so before, or None."""
    folder = settings.paths.extract_folder(extract.dataset, contract.member, sha256[:12])
    found = files.read_json(folder / RECEIPT_FILE)
    if found is None or found.get("landing_key") != _key(sha256, extract, contract, pseudonymiser):
        return None
    return Receipt.model_validate(found)


def _key(sha256: str, extract: Extract, contract: Contract, pseudonymiser: Pseudonymiser) -> str:
    return landing_key(
        sha256,
        extract_fingerprint(contract, extract),
        extract.dataset,
        pseudonymiser.identity(contract.member),
    )


def _land(
    raw: StoredRaw,
    extract: Extract,
    contract: Contract,
    settings: Settings,
    pseudonymiser: Pseudonymiser,
    target: Path,
    survey: Survey | None,
) -> Outcome:
    where = f"member {contract.member}, file {raw.file_name}"
    extract = _for_file(extract, raw.file_name, where)
    with work_folder(raw) as work, open_duckdb(settings) as connection:
        if not is_read_in_pieces(extract.format):
            wanted = wanted_columns(connection, extract, contract)
            source = open_format(connection, raw.path, extract.format, work, where, wanted, settings)
            mapping = build_mapping(connection, extract, contract, source.header, where)
            positions = tuple(column.position for column in mapping.columns)
            staged = source.stage(positions)
            return ExtractWriter(
                connection,
                StagedRecords(connection, staged, positions),
                mapping,
                raw,
                contract.member,
                pseudonymiser,
                target,
                staged.wide,
            ).write(extract.refuse_above_quarantined_share)
        text = prepare_text(raw.path, extract.format, work, where, survey)
        mapping = build_mapping(connection, extract, contract, text.header, where, text.marks)
        positions = tuple(column.position for column in mapping.columns)
        records = CsvRecords(connection, text, extract.format, positions, work, where, settings)
        writer = ExtractWriter(connection, records, mapping, raw, contract.member, pseudonymiser, target)
        try:
            return writer.write(extract.refuse_above_quarantined_share)
        except CutsUncertain:
            records.in_pieces = False
            return writer.write(extract.refuse_above_quarantined_share)


def _for_file(extract: Extract, file_name: str, where: str) -> Extract:
    """Return the extract with the values that the file's name holds."""
    try:
        return extract.for_file(file_name)
    except ValueError as error:
        raise TidewaiterError(
            Problem(
                str(error), where=where, next_step="correct file_name in the contract, or rename the file"
            )
        ) from None


def _leave_out_erased(
    raw: StoredRaw, extract: Extract, settings: Settings, folder: Path, wide: WideRecords | None
) -> dict[str, Any]:
    """Drop the rows of erased subjects from what was written, and from the kept bytes."""
    others = set() if wide is None else wide.whole(find_lines(folder, extract.dataset, [ERASED], settings))
    dropped = drop_rows(folder, extract.dataset, [ERASED], settings, others)
    if dropped is None:
        return {}
    before = rows_scrubbed(raw.folder)
    scrub_raw(raw, extract, dropped.lines)
    return dropped.counts | {"rows_erased": dropped.rows - (rows_scrubbed(raw.folder) - before)}


@contextmanager
def work_folder(raw: StoredRaw) -> Iterator[Path]:
    """Yield an empty folder beside the raw file; it holds identities in clear and is as closed."""
    folder = raw.folder.parent / f"{files.PARTIAL_PREFIX}work-{raw.sha256}"
    shutil.rmtree(folder, ignore_errors=True)  # a killed landing's
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
