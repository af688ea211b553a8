"""Landing on trial: what a contract makes of a file, in a folder that is gone afterwards.

The home is not touched, not even for a key: the pseudonyms shown are of a key that nobody keeps.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tidewaiter.canonical import Dataset, load_dataset
from tidewaiter.contracts import Contract, Extract
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing.archives import unpacked_files
from tidewaiter.landing.drift import Drift, compare_columns, mapped_columns, read_header, without_missing
from tidewaiter.landing.land import land_file
from tidewaiter.landing.receipts import QUARANTINE_FILE, ROWS_FILE, Receipt
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

    from tidewaiter.settings import Settings

_MOSTLY = 0.5


@dataclass(frozen=True)
class Finding:
    """One kind of fault in a file.

    Attributes:
        kind: The fault in words, without a value.
        field: Canonical field concerned, if it is one.
        columns: Source columns that feed it.
        rows: Rows that have it.
        share: The same, of the rows of the file.
        line: First line that has it.
        example: What stands in those columns there; None where they may name a person.
    """

    kind: str
    field: str | None
    columns: tuple[str, ...]
    rows: int
    share: float
    line: int
    example: str | None


@dataclass(frozen=True)
class Trial:
    """What landing a file would come to.

    Attributes:
        file: Name of the file.
        dataset: Canonical table that its rows go to.
        rows_in, rows_sound: Records of the file, and those without a fault.
        is_refused: More rows are faulty than the contract lets through: nothing would land.
        limit: The share of faulty rows that it lets through.
        findings: Faults, commonest first.
        rows: First mapped rows, parties as throw-away pseudonyms; only fields that the contract maps.
        blocks: Blocks of each record of the file, where they are the rows; else 1.
    """

    file: str
    dataset: str
    rows_in: int
    rows_sound: int
    is_refused: bool
    limit: float
    findings: tuple[Finding, ...]
    rows: tuple[dict[str, Any], ...]
    blocks: int = 1

    def place(self, source_line: int) -> str:
        """Return where a row stands, in words."""
        line, block = divmod(source_line - 1, self.blocks)
        return f"line {line + 1}" if self.blocks == 1 else f"line {line + 1}, block {block + 1}"

    @property
    def share_landed(self) -> float:
        """Share of the rows that would land; none of a refused extract do."""
        return 0.0 if self.is_refused or not self.rows_in else self.rows_sound / self.rows_in


@contextmanager
def sample_files(path: Path, extract: Extract) -> Iterator[list[tuple[str, Path]]]:
    """Yield a sample under its name, or each file of an archive under `archive.zip/name`, unpacked.

    Raises:
        TidewaiterError: The archive cannot be read, or has no file for the extract.
    """
    with TemporaryDirectory(prefix="tidewaiter-sample-") as folder:
        found = unpacked_files(path, Path(folder), extract)
        if not found:
            raise TidewaiterError(
                Problem(
                    f"no file in the archive matches {' '.join(extract.archive.members)}",
                    where=f"file {path.name}",
                    next_step="correct archive.members in the contract",
                )
            )
        yield [(f"{path.name}/{name}" if name else path.name, file) for name, file in found]


def try_landing(
    path: Path,
    extract: Extract,
    contract: Contract,
    settings: Settings,
    *,
    rows: int = 5,
    label: str = "",
) -> Trial:
    """Land a file in a temporary folder and tell what came of it.

    Args:
        path: The sample; it is only read.
        extract: The contract's entry for it.
        contract: The member's contract.
        settings: For memory and threads; its home is not touched.
        rows: How many mapped rows to return.
        label: What the file is called, where that is not its name: unpacked ones lie under a number.

    Raises:
        SchemaDrift: A mapped column is missing.
        TidewaiterError: The file does not fit the contract as a whole.
    """
    # Everything is let through, so that there are rows to show of a refused extract too.
    lenient = extract.model_copy(update={"refuse_above_quarantined_share": 1.0})
    with TemporaryDirectory(prefix="tidewaiter-trial-") as folder:
        there = settings.model_copy(update={"home": Path(folder)})
        receipt = land_file(path, lenient, contract, there, Pseudonymiser(secrets.token_bytes(32)))
        landed = there.paths.extract_folder(receipt.dataset, receipt.member_iso2, receipt.extract_id)
        with open_duckdb(settings) as connection:
            first = _first_rows(connection, landed / ROWS_FILE, extract, rows) if rows else []
            used = mapped_columns(connection, extract, contract)
            findings = list(_findings(connection, landed / QUARANTINE_FILE, used, receipt))
    limit = extract.refuse_above_quarantined_share
    faulty = receipt.rows_quarantined / receipt.rows_in if receipt.rows_in else 0.0
    return Trial(
        file=label or path.name,
        dataset=receipt.dataset,
        rows_in=receipt.rows_in,
        rows_sound=receipt.rows_landed,
        is_refused=faulty > limit,
        limit=limit,
        findings=tuple(sorted(findings, key=lambda one: (-one.rows, one.kind))),
        rows=tuple(first),
        blocks=1 if receipt.wide is None else receipt.wide.blocks,
    )


def compare_file(
    path: Path, extract: Extract, contract: Contract, settings: Settings
) -> tuple[Drift, tuple[Finding, ...]]:
    """Compare a file with the contract: its columns, and those whose values no longer fit their field.

    A column counts as retyped where at least half of the rows have a value that does not fit.

    Raises:
        TidewaiterError: The file does not read as the contract says.
    """
    drift = compare_columns(read_header(path, extract, contract, settings), extract, contract, settings)
    trial = try_landing(path, without_missing(extract, drift), contract, settings, rows=0)
    retyped = tuple(one for one in trial.findings if one.field and one.columns and one.share >= _MOSTLY)
    return drift, retyped


def _first_rows(
    connection: duckdb.DuckDBPyConnection, path: Path, extract: Extract, rows: int
) -> list[dict[str, Any]]:
    dataset = load_dataset(extract.dataset)
    wanted = ["source_line"]
    wanted += [field.name for field in dataset.fields if field.name in extract.fields or field.set_by_landing]
    columns = ", ".join(quote_identifier(name) for name in wanted)
    result = connection.execute(
        f"select {columns} from read_parquet({quote_literal(path)}, hive_partitioning = false)"
        f" order by source_line limit {int(rows)}"
    )
    return [dict(zip(wanted, row, strict=True)) for row in result.fetchall()]


def _findings(
    connection: duckdb.DuckDBPyConnection, path: Path, used: dict[str, tuple[str, ...]], receipt: Receipt
) -> Iterator[Finding]:
    dataset = load_dataset(receipt.dataset)
    hidden = {
        column
        for name, columns in used.items()
        if dataset.by_name[name].is_pseudonymised
        for column in columns
    }
    found = connection.execute(f"""
        select kind, count(*), min(source_line), arg_min(record, source_line)
        from (
            select unnest(reason_kinds) as kind, source_line, record
            from read_parquet({quote_literal(path)}, hive_partitioning = false)
        ) group by kind
    """).fetchall()
    for kind, rows, line, record in found:
        field = _field_of(str(kind), dataset)
        columns = used.get(field, ()) if field else ()
        example = None
        if columns and not hidden.intersection(columns):
            values = json.loads(record)
            example = ", ".join("" if values.get(name) is None else str(values[name]) for name in columns)
        place = receipt.line(line)
        yield Finding(str(kind), field, columns, rows, rows / receipt.rows_in, place, example)


def _field_of(kind: str, dataset: Dataset) -> str | None:
    name, colon, _ = kind.partition(":")
    return name if colon and name in dataset.by_name else None
