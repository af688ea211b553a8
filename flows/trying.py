"""Opening a sample: which member, which contract and which entry of it, before anything is tried."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tidewaiter.canonical import DATASETS
from tidewaiter.contracts import Contract, Extract, load_contract
from tidewaiter.errors import Problem, UsageProblem, closest
from tidewaiter.landing.replay import entries_for_file
from tidewaiter.settings import Settings, load_settings


@dataclass(frozen=True)
class OpenedSample:
    """What a sample is tried with.

    Attributes:
        extracts: The entries that the file feeds, one for each dataset.
    """

    settings: Settings
    contract: Contract
    extracts: tuple[Extract, ...]


def open_sample(member: str, path: Path, dataset: str | None) -> OpenedSample:
    """Return the contract and its entries for a sample.

    Raises:
        UsageProblem: Unknown member, file or dataset, or no entry of the contract is for it, or two of one
            dataset.
    """
    settings = load_settings()
    contract = load_contract(settings.members_dir, member)
    if not path.is_file():
        raise UsageProblem(Problem("no such file", where=str(path)))
    if dataset is not None and dataset not in DATASETS:
        raise UsageProblem(
            Problem(
                f"no dataset '{dataset}'{closest(dataset, DATASETS)}",
                expected=f"one of {', '.join(DATASETS)}",
            )
        )
    known = next((name for name in DATASETS if name == dataset), None)
    return OpenedSample(settings, contract, entries_for_file(contract, path.name, known))
