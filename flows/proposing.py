"""Writing a proposed contract where it belongs, and saying what is still to be done to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from tidewaiter.contracts.load import CONTRACT_FILE
from tidewaiter.contracts.propose import Proposal, contract_text, propose
from tidewaiter.errors import Problem, UsageProblem, closest
from tidewaiter.files import write_text_atomically
from tidewaiter.settings import Settings

_CODE = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True)
class WrittenProposal:
    """A contract that was proposed and written.

    Attributes:
        path: The file.
        proposal: What is in it.
    """

    path: Path
    proposal: Proposal

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per field that was guessed or is required."""
        return [
            {
                "dataset": entry.dataset,
                "field": name,
                "column": ", ".join(guess.columns) if guess else None,
                "basis": guess.basis if guess else "not guessed, and required",
                "open": guess.open_question if guess else "fill it in",
            }
            for entry in self.proposal.extracts
            for name, guess in [
                *entry.guesses.items(),
                *((name, None) for name in entry.to_fill_in if name not in entry.guesses),
            ]
        ]

    @property
    def to_fill_in(self) -> dict[str, list[str]]:
        """Datasets with the fields without which the contract does not load."""
        return {entry.dataset: entry.to_fill_in for entry in self.proposal.extracts if entry.to_fill_in}

    @property
    def next_steps(self) -> list[str]:
        """What to do now, in words."""
        steps = [
            f"{dataset}: fill in {', '.join(fields)}; the contract does not load without."
            for dataset, fields in self.to_fill_in.items()
        ]
        unused = [
            f"{entry.dataset}: these columns feed no field: {', '.join(entry.unused_columns)}"
            for entry in self.proposal.extracts
            if entry.unused_columns
        ]
        check = f"Then: tidewaiter members check {self.proposal.member} SAMPLE"
        return [*steps, *unused, f"Read {self.path} and check each guess. {check}"]

    @property
    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "path": str(self.path),
            "fields": self.rows,
            "to_fill_in": self.to_fill_in,
            "unused_columns": {entry.dataset: entry.unused_columns for entry in self.proposal.extracts},
        }


def write_proposal(
    settings: Settings,
    member: str,
    samples: Sequence[Path],
    *,
    name: str = "",
    time_zone: str | None = None,
    out: Path | None = None,
    force: bool = False,
) -> WrittenProposal:
    """Propose a contract from samples and write it.

    Raises:
        UsageProblem: The code or the time zone is none, a contract is there already, or a sample
            cannot be read. Nothing is written then.
    """
    code = member.upper()
    path = out or settings.members_dir / code.lower() / CONTRACT_FILE
    problems = []
    if not _CODE.fullmatch(code):
        problems.append(
            Problem(f"'{member}' is no member code", expected="two letters, ISO 3166-1 alpha-2, or XA to XZ")
        )
    if time_zone is not None and time_zone not in available_timezones():
        near = closest(time_zone, available_timezones())
        problems.append(Problem(f"unknown time zone '{time_zone}'{near}", expected="such as Africa/Nairobi"))
    if path.exists() and not force:
        problems.append(
            Problem("a contract is there already", where=str(path), next_step="--force, or --out elsewhere")
        )
    if problems:
        raise UsageProblem(problems)
    proposal = propose(code, samples, settings, name=name, time_zone=time_zone)
    write_text_atomically(path, contract_text(proposal))
    return WrittenProposal(path, proposal)
