"""The ingest step: finds what a member has sent and lands it."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flows.extract import Source, open_source
from flows.progress import Step, step
from tidewaiter.contracts import Contract, Extract, load_contract
from tidewaiter.errors import GateRefused, Problem, TidewaiterError
from tidewaiter.landing import (
    Receipt,
    find_files,
    land_files,
    landed_receipts,
    left_out,
    missing_location,
    write_schema_files,
)
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings
from tidewaiter.synthetic import generate_members
from tidewaiter.synthetic.profiles import DEMO_MEMBERS

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
    """Fetch and land every file that the member's contract points at, unless it stands already.

    Each source is fetched and each file landed or refused on its own: one that fails leaves the
    others of its member landed.

    Raises:
        GateRefused: A file was refused as a whole; carries the problems of all files.
        TidewaiterError: A source could not be fetched or a file not read; carries all problems.
    """
    contract = load_contract(settings.members_dir, member)
    write_schema_files(settings.paths)
    sources, not_fetched = _fetch_all(settings, contract)
    files = [
        (extract, path) for extract in contract.extracts for path in find_files(extract, contract, settings)
    ]
    files, claimed_twice = _claimed_once(contract, files)
    with step(f"{contract.member} land") as running:
        tally = _land_all(settings, contract, files, running)
        receipts = tuple(r for r in landed_receipts(settings.paths) if r.member_iso2 == contract.member)
        _settle(sources, receipts)
        rows_in = sum(receipt.rows_in for receipt in receipts)
        quarantined = sum(receipt.rows_quarantined for receipt in receipts)
        running.note(
            f"{tally.landed_now} new of {len(files)} files;"
            f" {rows_in:,} rows of all kinds, {quarantined:,} quarantined"
        )
        passed_over = [
            problem for extract in contract.extracts for problem in left_out(extract, contract, settings)
        ]
        if problems := [*not_fetched, *claimed_twice, *tally.problems, *passed_over]:
            raise (GateRefused if tally.refused else TidewaiterError)(problems)
    report = IngestReport(contract.member, receipts, tally.landed_now)
    return replace(report, note=_why_nothing(contract, settings)) if report.is_absent else report


def _claimed_once(
    contract: Contract, files: list[tuple[Extract, Path]]
) -> tuple[list[tuple[Extract, Path]], list[Problem]]:
    """Leave out files that two entries of one dataset claim: the second would take the first one's place."""
    claims = Counter((extract.dataset, path) for extract, path in files)
    problems = [
        Problem(
            f"{number} entries of dataset {dataset} match this file, so nothing of it is landed there",
            where=f"member {contract.member}, file {path.name}",
            expected="one entry of a dataset for a file",
            next_step="narrow `files` in the contract",
        )
        for (dataset, path), number in claims.items()
        if number > 1
    ]
    return [(extract, path) for extract, path in files if claims[extract.dataset, path] == 1], problems


def generate_synthetic(settings: Settings) -> None:
    """Write the extracts of the synthetic members, unless they lie there already."""
    with step("generate synthetic members") as running:
        members = generate_members(settings.paths, DEMO_MEMBERS, seed=settings.seed)
        running.note(", ".join(member.member_iso2 for member in members))


def demo_members(settings: Settings) -> list[str]:
    """Return the members of the demo: the synthetic ones, and Korea where its set is to hand."""
    return [*DEMO_MEMBERS, *(["KR"] if settings.korea_dir else [])]


def _fetch_all(settings: Settings, contract: Contract) -> tuple[list[tuple[Extract, Source]], list[Problem]]:
    """Bring in what is new at the remote sources; return them, and what could not be fetched."""
    opened = [(extract, open_source(extract, contract, settings)) for extract in contract.extracts]
    sources = [(extract, source) for extract, source in opened if source is not None]
    problems: list[Problem] = []
    if not sources:
        return [], problems
    with step(f"{contract.member} fetch") as running:
        arrived = failed = 0
        for done, (_, source) in enumerate(sources):
            running.count(done, len(sources))
            try:
                arrived += len(source.fetch())
            except TidewaiterError as error:
                failed += 1
                problems += error.problems
        running.note(
            f"{arrived} new files from {len(sources)} sources" + (f", {failed} failed" if failed else "")
        )
    return sources, problems


def _settle(sources: Iterable[tuple[Extract, Source]], receipts: Iterable[Receipt]) -> None:
    """Tell each source what of it stands on land: a watermark advances over that and nothing else."""
    landed: dict[str, set[str]] = defaultdict(set)
    for receipt in receipts:
        if not receipt.refused:
            landed[receipt.dataset].add(receipt.kept_sha256)
    for extract, source in sources:
        source.settle(landed[extract.dataset])


def _land_all(
    settings: Settings, contract: Contract, files: list[tuple[Extract, Path]], running: Step
) -> _Tally:
    tally = _Tally()
    pseudonymiser = load_pseudonymiser(settings.paths)
    stand = {receipt.landing_key for receipt in landed_receipts(settings.paths)}
    for done, (extract, path) in enumerate(files):
        running.count(done, len(files))
        try:
            receipts = land_files(path, extract, contract, settings, pseudonymiser)
            new = {receipt.landing_key for receipt in receipts} - stand
            tally.landed_now += len(new)
            stand |= new  # the same bytes under another name are no new extract
        except TidewaiterError as error:
            tally.problems += error.problems
            tally.refused = tally.refused or isinstance(error, GateRefused)
    return tally


def _why_nothing(contract: Contract, settings: Settings) -> str:
    missing = (missing_location(extract, contract, settings) for extract in contract.extracts)
    return next((reason for reason in missing if reason), "no file in the folders that its contract names")
