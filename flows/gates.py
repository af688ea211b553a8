"""The gates as steps of a run: what is judged at each, and what a refusal means for its member."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from expectations.gate import run_gate
from expectations.verdicts import GateResult, is_accepted, load_verdict
from flows.progress import step
from tidewaiter import fingerprint
from tidewaiter.contracts import Contract, list_members, load_contract
from tidewaiter.contracts.capabilities import fields_not_sent
from tidewaiter.errors import GateRefused, Problem, TidewaiterError, UsageProblem
from tidewaiter.landing import Receipt, find_files, landed_receipts
from tidewaiter.landing.replay import entry_for_receipt
from tidewaiter.marts import mart_files, mart_path
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal

FEATURES = ("features", "declaration_item_features")
LABELS = ("features", "declaration_item_labels")
DRIFT = ("features", "feature_drift")
ITEMS = ("trade", "declaration_items")


def mart(settings: Settings, table: tuple[str, str]) -> Path:
    """Return the Parquet, a file or a folder, that dbt hands over for a schema and table."""
    return mart_path(settings.paths, *table)


def judge_landing(settings: Settings, member: str) -> list[GateResult]:
    """Judge each landed extract of a member; verdicts on unchanged extracts are taken over.

    A refusal ends with its cause: once the member's folder no longer holds the file, because it was
    taken back or sent again, its verdict is left out.
    """
    judged = []
    contract = load_contract(settings.members_dir, member)
    for receipt in _receipts(settings, member):
        if receipt.refused:
            continue
        result = run_gate(
            "landing",
            member,
            {receipt.dataset: _rows(settings, receipt)},
            settings,
            expected_rows=receipt.rows_landed - receipt.rows_repeated
            if receipt.dataset == "declaration_items"
            else None,
            scope=_scope(receipt),
            not_sent=_not_sent(contract, receipt),
        )
        if result.passed or _is_offered(settings, receipt):
            judged.append(result)
    return judged


def _not_sent(contract: Contract, receipt: Receipt) -> frozenset[str]:
    """Return the fields that the entry of an extract does not fill, or that its file may be without.

    A member may have any subset of the fields: `members show` says what it lacks for it. A limit on
    empty values is for columns that ought to have some.
    """
    try:
        entries = [entry_for_receipt(contract, receipt)]
    except UsageProblem:  # landed by a contract that has been changed since
        entries = [entry for entry in contract.extracts if entry.dataset == receipt.dataset]
    own = "" if receipt.dataset == "declaration_items" else f"{receipt.dataset}."
    found = (name.removeprefix(own) for name in fields_not_sent(contract, entries) if name.startswith(own))
    return frozenset(name for name in found if "." not in name)


def judge_features(settings: Settings, member: str) -> list[GateResult]:
    """Judge a member's features and labels: one row for each current item, values that can be, and drift."""
    return [
        run_gate(
            "features",
            member,
            {table[1]: _own_files(mart(settings, table), member) for table in (FEATURES, LABELS, DRIFT)},
            settings,
            expected_rows=count_items(settings, ITEMS, member),
            not_sent=_sends_not(settings, member),
        )
    ]


def _sends_not(settings: Settings, member: str) -> frozenset[str]:
    """Return the fields that a member's contract does not promise; without a contract it promises all."""
    if member not in list_members(settings.members_dir):
        return frozenset()
    return fields_not_sent(load_contract(settings.members_dir, member))


def judge_scores(settings: Settings, member: str) -> list[GateResult]:
    """Judge the score batches that stand for a member.

    Raises:
        TidewaiterError: The member has not been scored.
    """
    from ml.score import accepted_runs

    runs = accepted_runs(settings, member)
    if not runs:
        raise TidewaiterError(
            Problem("no accepted scores", where=member, next_step=f"tidewaiter score --member {member}")
        )
    return [
        run_gate("scores", member, run.folder / "rows.parquet", settings, run.items_scored, scope=run.run_id)
        for run in runs
    ]


def gate_landing(settings: Settings, member: str) -> list[GateResult]:
    """Judge a member's extracts and refuse if any is unfit.

    Raises:
        GateRefused: With the failures of all its extracts.
    """
    with step(f"{member} landing gate") as running:
        return _all_passed(judge_landing(settings, member), running)


def gate_features(settings: Settings, member: str) -> list[GateResult]:
    """Judge a member's features and refuse if they are unfit.

    Raises:
        GateRefused: With every failure.
    """
    with step(f"{member} features gate") as running:
        return _all_passed(judge_features(settings, member), running)


def gate_scores(settings: Settings, run: Any) -> list[GateResult]:
    """Judge a staged score batch: every item of its window scored, and values that can be.

    Raises:
        GateRefused: With every failure.
    """
    expected = count_items(settings, FEATURES, run.member_iso2, run.window_from, run.window_to)
    rows = run.folder / "rows.parquet"
    result = run_gate("scores", run.member_iso2, rows, settings, expected, scope=run.run_id)
    result.raise_if_refused()
    return [result]


def is_extract_accepted(settings: Settings, receipt: Receipt) -> bool:
    """Whether the landing gate passed this extract as it was landed last."""
    return not receipt.refused and is_accepted("landing", receipt.member_iso2, settings, _scope(receipt))


def may_publish(settings: Settings, member: str) -> bool:
    """Whether neither an extract nor the features of the member stand refused.

    Scores need no asking: a batch that its gate refused never takes the place of an accepted one.
    """
    features = load_verdict("features", member, settings)
    return (features is None or features.passed) and all(
        is_extract_accepted(settings, receipt) or not _is_offered(settings, receipt)
        for receipt in _receipts(settings, member)
    )


def count_items(
    settings: Settings,
    table: tuple[str, str],
    member: str,
    from_date: date | None = None,
    to_date: date | None = None,
) -> int:
    """Return the rows of a member in a mart, within registration dates, both included."""
    conditions = [f"member_iso2 = {quote_literal(member)}"]
    if from_date is not None:
        conditions.append(f"registered_date >= date {quote_literal(from_date.isoformat())}")
    if to_date is not None:
        conditions.append(f"registered_date <= date {quote_literal(to_date.isoformat())}")
    with open_duckdb(settings) as connection:
        found = connection.execute(
            f"select count(*) from read_parquet({quote_literal(mart(settings, table))})"
            f" where {' and '.join(conditions)}"
        ).fetchone()
    return int(found[0]) if found else 0


def _receipts(settings: Settings, member: str) -> list[Receipt]:
    return [receipt for receipt in landed_receipts(settings.paths) if receipt.member_iso2 == member]


def _is_offered(settings: Settings, receipt: Receipt) -> bool:
    """Whether the member's folder still holds the bytes of an extract; without a contract it has none."""
    if receipt.member_iso2 not in list_members(settings.members_dir):
        return False
    contract = load_contract(settings.members_dir, receipt.member_iso2)
    return any(
        path.stat().st_size == receipt.source_bytes and fingerprint.of_file(path) == receipt.source_sha256
        for extract in contract.extracts
        if extract.dataset == receipt.dataset
        for path in find_files(extract, contract, settings)
    )


def _rows(settings: Settings, receipt: Receipt) -> Path:
    folder = settings.paths.extract_folder(receipt.dataset, receipt.member_iso2, receipt.extract_id)
    return folder / "rows.parquet"


def _own_files(path: Path, member: str) -> list[Path]:
    """Return the files of a mart that may hold rows of a member: a new month of another is none of them."""
    files = mart_files(path)
    others = [file for file in files if path.is_dir() and file.stem[2:3] == "-" and file.stem[:2] != member]
    return [file for file in files if file not in others]


def _scope(receipt: Receipt) -> str:
    """A verdict is on an extract as landed: landing it otherwise asks for another one."""
    return f"{receipt.dataset}-{receipt.extract_id}-{receipt.landing_key[:8]}"


def _all_passed(results: Iterable[GateResult], running: Any) -> list[GateResult]:
    results = list(results)
    new = sum(not result.is_reused for result in results)
    checks = sum(result.checks for result in results)
    warnings = sum(len(result.warnings) for result in results)
    running.note(f"{checks} checks, {new} new verdicts" + (f", {warnings} warnings" if warnings else ""))
    problems: list[Problem] = []
    for result in results:
        try:
            result.raise_if_refused()
        except GateRefused as refusal:
            problems += refusal.problems
    if problems:
        raise GateRefused(problems)
    return results
