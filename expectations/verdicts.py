"""Verdicts of the gates: what was found, kept as JSON, so that the same rows are not judged twice.

Knows nothing of Great Expectations. A verdict holds counts and names of columns, never values of rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from expectations.limits import Severity, Stage
from tidewaiter.errors import GateRefused, Problem
from tidewaiter.files import read_json, write_json_atomically
from tidewaiter.settings import Settings

_LOG = logging.getLogger(__name__)
_FORMAT = 1


@dataclass(frozen=True)
class Failure:
    """One expectation that did not hold.

    Attributes:
        table: Table of the gate.
        expectation: Great Expectations' name of the check.
        column: Column or columns concerned, or `(table)`.
        observed: What was found, in counts.
        expected: What would have been right.
        unexpected_count: Rows at fault; None where the check is not about single rows.
        total_count: Rows of the table.
        reason: Why the limit is what it is.
        severity: `error` refuses, `warn` is reported only.
    """

    table: str
    expectation: str
    column: str
    observed: str
    expected: str
    unexpected_count: int | None
    total_count: int
    reason: str
    severity: Severity = "error"


@dataclass(frozen=True)
class GateResult:
    """What a gate said about one member's tables.

    Attributes:
        stage: Which gate.
        member_iso2: Whose rows.
        scope: Part of the member's rows that was judged, such as one extract; empty for all.
        suite: Name of the suite, as Data Docs lists it.
        passed: Whether the rows may go on; warnings do not stop them.
        checks: Number of expectations that were evaluated.
        rows: Rows per table.
        failures: Broken expectations of severity `error`.
        warnings: Broken expectations of severity `warn`.
        data_docs_path: Page of the first table that failed, else of the first table.
        fingerprint: Digest of the input bytes and what was asked about them.
        suite_fingerprint: Digest of the checks.
        is_reused: Whether an earlier verdict on the same rows and checks was taken.
    """

    stage: Stage
    member_iso2: str
    scope: str
    suite: str
    passed: bool
    checks: int
    rows: dict[str, int]
    failures: tuple[Failure, ...]
    warnings: tuple[Failure, ...]
    data_docs_path: Path
    fingerprint: str
    suite_fingerprint: str
    is_reused: bool = field(default=False, compare=False)

    def raise_if_refused(self) -> None:
        """Raise where the gate refused.

        Raises:
            GateRefused: One problem per failed expectation, in counts and without any row's values.
        """
        if not self.passed:
            raise GateRefused(self._problem(failure) for failure in self.failures)

    def _problem(self, failure: Failure) -> Problem:
        subject = f"{self.member_iso2} {self.scope}".strip()
        return Problem(
            what=f"{failure.column}: {failure.observed} ({failure.expectation})",
            where=f"{self.stage} gate, {subject}, suite {self.stage}.{failure.table}",
            expected=f"{failure.expected}. Why: {failure.reason}",
            next_step=f"open {self.data_docs_path}; {_NEXT_STEPS[self.stage]}",
        )


_NEXT_STEPS: dict[Stage, str] = {
    "landing": "correct the extract or the member's contract.yaml and ingest again",
    "features": "correct the feature models and run `tidewaiter transform` again",
    "scores": "correct or roll back the model and run `tidewaiter score` again",
}


def verdict_path(stage: Stage, member_iso2: str, settings: Settings, scope: str = "") -> Path:
    """Return where the verdict of a gate is kept."""
    folder = settings.paths.gates / stage
    return folder / member_iso2 / f"{scope}.json" if scope else folder / f"{member_iso2}.json"


def store_verdict(result: GateResult, settings: Settings) -> None:
    """Write a verdict atomically, in the place of the one before."""
    value = asdict(result)
    del value["is_reused"]
    value["data_docs_path"] = result.data_docs_path.relative_to(settings.paths.gates).as_posix()
    path = verdict_path(result.stage, result.member_iso2, settings, result.scope)
    write_json_atomically(path, value | {"format": _FORMAT})


def load_verdict(stage: Stage, member_iso2: str, settings: Settings, scope: str = "") -> GateResult | None:
    """Return the last verdict of a gate, or None where there is none that can be read."""
    path = verdict_path(stage, member_iso2, settings, scope)
    try:
        value = read_json(path)
    except (JSONDecodeError, UnicodeDecodeError):
        _LOG.warning("%s is not JSON; the gate will judge again", path)
        return None
    if value is None:
        return None
    if not isinstance(value, dict) or value.pop("format", None) != _FORMAT:
        _LOG.info("%s has another format; the gate will judge again", path)
        return None
    value["data_docs_path"] = settings.paths.gates / value["data_docs_path"]
    value["failures"] = _failures(value["failures"])
    value["warnings"] = _failures(value["warnings"])
    return GateResult(**value)


def is_accepted(stage: Stage, member_iso2: str, settings: Settings, scope: str = "") -> bool:
    """Return whether the last verdict of a gate let the rows pass; False where there is none."""
    verdict = load_verdict(stage, member_iso2, settings, scope)
    return verdict is not None and verdict.passed


def as_reused(result: GateResult) -> GateResult:
    """Return the verdict, marked as taken over."""
    return replace(result, is_reused=True)


def _failures(values: Iterable[dict[str, Any]]) -> tuple[Failure, ...]:
    return tuple(Failure(**value) for value in values)
