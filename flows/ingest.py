"""The ingest step: finds what a member has sent and lands it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from flows.manifest import item_counts
from flows.progress import Step, step
from tidewaiter.contracts import Contract, Extract, load_contract
from tidewaiter.errors import GateRefused, Problem, TidewaiterError
from tidewaiter.landing import (
    Receipt,
    find_files,
    land_file,
    landed_receipts,
    missing_location,
    write_schema_files,
)
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings
from tidewaiter.synthetic import generate_members
from tidewaiter.synthetic.profiles import PROFILES

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestReport:
    """What a member's extracts came to.

    Attributes:
        receipts: Of every extract the member has on land, old and new.
        landed_now: Extracts that this call landed; the others stood already.
        note: Why there is nothing, where there is nothing.
    """

    member_iso2: str
    receipts: tuple[Receipt, ...]
    landed_now: int
    note: str = ""

    @property
    def is_absent(self) -> bool:
        """Whether no declaration item of the member is on land; exchange rates alone are not work."""
        return not any(receipt.dataset == "declaration_items" for receipt in self.receipts)


@dataclass
class _Tally:
    landed_now: int = 0
    problems: list[Problem] = field(default_factory=list)
    refused: bool = False


def ingest_member(settings: Settings, member: str) -> IngestReport:
    """Land every file that the member's contract points at, unless it stands already.

    Each file is landed or refused on its own: one bad file leaves the others of its member landed.

    Raises:
        GateRefused: A file was refused as a whole; carries the problems of all files.
        TidewaiterError: A file could not be read; carries the problems of all files.
    """
    contract = load_contract(settings.members_dir, member)
    write_schema_files(settings.paths)
    files = [
        (extract, path) for extract in contract.extracts for path in find_files(extract, contract, settings)
    ]
    with step(f"{contract.member} land") as running:
        tally = _land_all(settings, contract, files, running)
        receipts = tuple(r for r in landed_receipts(settings.paths) if r.member_iso2 == contract.member)
        rows_in, _, quarantined = item_counts(receipts)
        running.note(
            f"{tally.landed_now} new of {len(files)} files, {rows_in} rows in, {quarantined} quarantined"
        )
        if tally.problems:
            raise (GateRefused if tally.refused else TidewaiterError)(tally.problems)
    report = IngestReport(contract.member, receipts, tally.landed_now)
    return replace(report, note=_why_nothing(contract, settings)) if report.is_absent else report


def generate_synthetic(settings: Settings) -> None:
    """Write the extracts of the synthetic members, unless they lie there already."""
    with step("generate synthetic members") as running:
        members = generate_members(settings.paths, seed=settings.seed)
        running.note(", ".join(member.member_iso2 for member in members))


def demo_members(settings: Settings) -> list[str]:
    """Return the members of the demo: the synthetic ones, and Korea where its set is to hand."""
    return [*PROFILES, *(["KR"] if settings.korea_dir else [])]


def _land_all(
    settings: Settings, contract: Contract, files: list[tuple[Extract, Path]], running: Step
) -> _Tally:
    tally = _Tally()
    pseudonymiser = load_pseudonymiser(settings.paths)
    before = {receipt.landing_key for receipt in landed_receipts(settings.paths)}
    for done, (extract, path) in enumerate(files):
        running.count(done, len(files))
        try:
            receipt = land_file(path, extract, contract, settings, pseudonymiser)
            tally.landed_now += receipt.landing_key not in before
        except TidewaiterError as error:
            tally.problems += error.problems
            tally.refused = tally.refused or isinstance(error, GateRefused)
    return tally


def _why_nothing(contract: Contract, settings: Settings) -> str:
    missing = (missing_location(extract, contract, settings) for extract in contract.extracts)
    return next((reason for reason in missing if reason), "no file in the folders that its contract names")
