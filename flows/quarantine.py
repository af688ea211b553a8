"""What was set aside, and landing it again: the quarantine of all extracts as an operator meets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidewaiter.contracts import Contract, load_contract
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.landing import Receipt, landed_receipts
from tidewaiter.landing.receipts import QUARANTINE_FILE
from tidewaiter.landing.replay import replay_extract
from tidewaiter.pseudonyms import load_pseudonymiser
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal


@dataclass(frozen=True)
class Replay:
    """One extract before and after it was landed again; `after` is None where that failed."""

    before: Receipt
    after: Receipt | None
    problems: tuple[Problem, ...] = ()

    @property
    def row(self) -> dict[str, Any]:
        """Counts before and after, for printing."""
        after = self.after
        return {
            "member": self.before.member_iso2,
            "dataset": self.before.dataset,
            "extract": self.before.extract_id,
            "file": self.before.source_file,
            "landed_before": self.before.rows_landed,
            "quarantined_before": self.before.rows_quarantined,
            "landed_after": after.rows_landed if after else None,
            "quarantined_after": after.rows_quarantined if after else None,
            "outcome": self._outcome,
        }

    @property
    def _outcome(self) -> str:
        if self.after is None:
            return "failed"
        if self.after.refused:
            return "refused"
        return "unchanged" if self.after.landing_key == self.before.landing_key else "landed again"


def find_receipts(settings: Settings, member: str | None = None, extract: str | None = None) -> list[Receipt]:
    """Return the receipts of a member, or of an extract by the start of its id.

    Raises:
        UsageProblem: An extract was named, and there is none of that id.
    """
    found = [
        receipt
        for receipt in landed_receipts(settings.paths)
        if member in (None, receipt.member_iso2)
        and (extract is None or receipt.extract_id.startswith(extract.lower()))
    ]
    if extract is not None and not found:
        raise UsageProblem(
            Problem(
                f"no extract '{extract}'",
                where=f"member {member}" if member else str(settings.paths.landing),
                next_step="tidewaiter quarantine list --all",
            )
        )
    return found


def list_rows(receipts: list[Receipt]) -> list[dict[str, Any]]:
    """Return one row per extract and reason, with the rows that have it."""
    return [
        {
            "member": receipt.member_iso2,
            "dataset": receipt.dataset,
            "extract": receipt.extract_id,
            "file": receipt.source_file,
            "rows_in": receipt.rows_in,
            "quarantined": receipt.rows_quarantined,
            "refused": receipt.refused,
            "reason": reason,
            "rows": count,
        }
        for receipt in receipts
        for reason, count in (
            sorted(receipt.reasons.items(), key=lambda found: (-found[1], found[0])) or [("-", 0)]
        )
    ]


def show_rows(
    settings: Settings, receipts: list[Receipt], *, reason: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """Return quarantined rows in the order of their file: line, all reasons, the original record.

    Args:
        settings: Where the home is.
        receipts: Extracts to show.
        reason: Only rows of which a reason has this text in it.
        limit: Rows at most, over all extracts.
    """
    rows: list[dict[str, Any]] = []
    with open_duckdb(settings) as connection:
        for receipt in receipts:
            folder = settings.paths.extract_folder(receipt.dataset, receipt.member_iso2, receipt.extract_id)
            found = connection.execute(
                "select source_line, reasons, record"
                f" from read_parquet({quote_literal(folder / QUARANTINE_FILE)}, hive_partitioning = false)"
                " where ? is null or len(list_filter(reasons, lambda one: contains(one, ?))) > 0"
                " order by source_line limit ?",
                [reason, reason, limit - len(rows)],
            ).fetchall()
            rows += [
                {
                    "member": receipt.member_iso2,
                    "file": receipt.source_file,
                    "extract": receipt.extract_id,
                    "line": receipt.line(line),
                    "reasons": "; ".join(reasons),
                    "record": record,
                }
                for line, reasons, record in found
            ]
    return rows


def replay(settings: Settings, receipts: list[Receipt]) -> list[Replay]:
    """Land extracts again under the present contracts; one that fails leaves the others to go on."""
    pseudonymiser = load_pseudonymiser(settings.paths)
    contracts: dict[str, Contract] = {}
    done = []
    for receipt in receipts:
        code = receipt.member_iso2
        try:
            if code not in contracts:
                contracts[code] = load_contract(settings.members_dir, code)
            after = replay_extract(receipt, contracts[code], settings, pseudonymiser)
            done.append(Replay(receipt, after))
        except TidewaiterError as error:
            done.append(Replay(receipt, None, error.problems))
    return done
