"""Landing kept bytes again: after a contract was mended, or under another key.

The bytes and their time of arrival stay as they are, so a replay takes the place of what it replays
and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from tidewaiter.canonical import DatasetName
from tidewaiter.contracts import Contract, Extract
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.landing.arrivals import land_files
from tidewaiter.landing.find import find_files
from tidewaiter.landing.raw import kept_raw
from tidewaiter.landing.receipts import ExtractRefused, Receipt, extract_fingerprint
from tidewaiter.landing.recognise import digest_of
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings


def replay_extract(
    receipt: Receipt, contract: Contract, settings: Settings, pseudonymiser: Pseudonymiser
) -> Receipt:
    """Land the kept bytes of an extract under the present contract and key; return the new receipt.

    A refused extract gives a receipt that says so. What is landed already as it would be now stays.

    Raises:
        TidewaiterError: The bytes are gone, or the file does not fit the contract as a whole.
        UsageProblem: The contract has no entry for this file any more, or more than one.
    """
    path = find_bytes(receipt, contract, settings)
    if path is None:
        raise TidewaiterError(missing_bytes(receipt))
    extract = entry_for_receipt(contract, receipt)
    try:
        landed = land_files(path, extract, contract, settings, pseudonymiser, sha256=receipt.kept_sha256)
    except ExtractRefused as refusal:
        return refusal.receipt
    # An archive gives a receipt for each of its files.
    return next((one for one in landed if one.extract_id == receipt.extract_id), receipt)


def find_bytes(receipt: Receipt, contract: Contract, settings: Settings) -> Path | None:
    """Return where the bytes of an extract are: kept, or else where the member's folder still has them.

    An erasure removes kept files that it cannot mend line by line; landing such a file again leaves the
    erased subject's rows out, and keeps no copy.
    """
    raw = kept_raw(receipt.member_iso2, receipt.kept_sha256, settings.paths)
    if raw is not None:
        return raw.path
    offered = (
        path
        for entry in contract.extracts
        if entry.dataset == receipt.dataset
        for path in find_files(entry, contract, settings)
    )
    return next((path for path in offered if digest_of(path, settings.paths) == receipt.kept_sha256), None)


def missing_bytes(receipt: Receipt) -> Problem:
    """Return the problem of an extract whose bytes are no longer kept."""
    return Problem(
        "its bytes are no longer kept, so it cannot be landed again",
        where=f"member {receipt.member_iso2}, file {receipt.source_file}, extract {receipt.extract_id}",
        expected="the file as it came; an erasure removes files that it cannot mend line by line",
        next_step="have the file sent again to where the contract finds it",
    )


def entry_for_receipt(contract: Contract, receipt: Receipt) -> Extract:
    """Return the contract's entry that an extract is landed with, the unchanged one if it is there."""
    for entry in contract.extracts:
        if extract_fingerprint(contract, entry) == receipt.contract_fingerprint:
            return entry
    return entry_for_file(contract, receipt.source_file, receipt.dataset)


def entries_for_file(
    contract: Contract, file_name: str, dataset: DatasetName | None = None
) -> tuple[Extract, ...]:
    """Return the contract's entries that a file feeds, one for each dataset; the only one there is will do.

    Raises:
        UsageProblem: There is none, or more than one of a dataset.
    """
    matching = [
        entry
        for entry in contract.extracts
        if dataset in (None, entry.dataset) and _matches(file_name, entry.files)
    ]
    if len({entry.dataset for entry in matching}) == len(matching) > 0:
        return tuple(matching)
    return (entry_for_file(contract, file_name, dataset),)


def entry_for_file(contract: Contract, file_name: str, dataset: DatasetName | None = None) -> Extract:
    """Return the contract's entry for a file, by its name; the only one there is will do.

    Raises:
        UsageProblem: There is none, or more than one.
    """
    entries = [entry for entry in contract.extracts if dataset in (None, entry.dataset)]
    matching = [entry for entry in entries if _matches(file_name, entry.files)]
    for found in (matching, entries):
        if len(found) == 1:
            return found[0]
    raise UsageProblem(
        Problem(
            f"{len(matching) or 'no'} entries of the contract match this file"
            + (f" and {dataset}" if dataset else ""),
            where=f"member {contract.member}, file {file_name}",
            expected="one; the contract has "
            + ", ".join(f"{entry.dataset} ({' '.join(entry.files)})" for entry in contract.extracts),
            next_step="name the file as it arrives, or give --dataset",
        )
    )


def _matches(file_name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(file_name, PurePosixPath(pattern).name) for pattern in patterns)
