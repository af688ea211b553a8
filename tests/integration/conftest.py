"""What members send after the first run: files made of lines they have sent before."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

Line = dict[str, str]


@pytest.fixture(scope="session")
def resend() -> Callable[..., int]:
    """The function that writes a new file out of lines of an old one, and returns how many."""

    def resend(
        source: Path, target: Path, lines: slice, change: Callable[[int, Line], Line], delimiter: str = ","
    ) -> int:
        with source.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, delimiter=delimiter)
            # Lines that were planted as faulty have too many cells or impossible ones.
            sound = [line for line in reader if None not in line and None not in line.values()]
            chosen = sound[lines]
        with target.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, reader.fieldnames or (), delimiter=delimiter, lineterminator="\n")
            writer.writeheader()
            writer.writerows(change(number, dict(line)) for number, line in enumerate(chosen))
        return len(chosen)

    return resend


@pytest.fixture(scope="session")
def a_year_later() -> Callable[[Line, str], Line]:
    """The function that makes a new declaration of an old one: another number, all dates a year on."""

    def shift(line: Line, key: str) -> Line:
        moved = {
            name: re.sub(r"^(20\d\d)(?=-\d\d-\d\d|\d{4}$)", lambda found: str(int(found.group()) + 1), text)
            for name, text in line.items()
        }
        return moved | {key: f"9{line[key]}"}

    return shift
