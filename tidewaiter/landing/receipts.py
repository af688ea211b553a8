"""Receipts: what came of one extract, and the key that says whether it must be landed again."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict

from tidewaiter import files, fingerprint
from tidewaiter.canonical import DatasetName, load_dataset
from tidewaiter.contracts import Contract, Extract
from tidewaiter.contracts.strict import said
from tidewaiter.errors import GateRefused, Problem
from tidewaiter.home import Home
from tidewaiter.landing.wide import WideRecords

RECEIPT_FILE = "receipt.json"
ROWS_FILE = "rows.parquet"
QUARANTINE_FILE = "quarantine.parquet"
# source_line and repeats_line of rows that repeat an earlier one, where the contract says one_row_per.
REPEATS_FILE = "repeats.parquet"

# What a contract says of where the bytes are found.
_WHERE = frozenset({"location", "files", "archive"})
# Raised when landing itself comes to different rows from the same bytes and contract.
_LANDING_VERSION = 1


class Receipt(BaseModel):
    """What came of one extract. `rows_in` is always `rows_landed` plus `rows_quarantined`.

    `rows.parquet` has `rows_landed` less `rows_repeated` rows.

    Attributes:
        extract_id: First 12 hex digits of `source_sha256`.
        received_at: When the bytes first arrived, naive UTC.
        landing_key: Same key, same result: a landed extract with this key is not landed again.
        key_id: Which pseudonym key was used.
        reasons: Rows per reason, without values; a row with two reasons counts twice.
        rows_repeated: Rows among `rows_landed` that repeat an earlier one of the same key: the contract
            says `one_row_per`, and they became one row.
        rows_erased: Rows of subjects that were erased; they are not counted in `rows_in`.
        archive_sha256: Digest of the archive that the file came in: its bytes are what is kept.
        wide: Where the rows are blocks of wide records: how many records, and how many empty blocks.
        refused: The share of faulty rows was above the contract's limit: every row is in quarantine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    member_iso2: str
    dataset: DatasetName
    extract_id: str
    source_file: str
    source_sha256: str
    source_bytes: int
    received_at: datetime
    landing_key: str
    contract_fingerprint: str
    canonical_fingerprint: str
    key_id: str
    rows_in: int
    rows_landed: int
    rows_quarantined: int
    reasons: dict[str, int]
    min_registered_date: date | None = None
    max_registered_date: date | None = None
    refused: bool = False
    rows_repeated: int = 0
    rows_erased: int = 0
    archive_sha256: str | None = None
    wide: WideRecords | None = None

    def line(self, source_line: int) -> int:
        """Return the line, or the number of the record, on which a person finds a row in the file."""
        return source_line if self.wide is None else self.wide.line(source_line)

    @property
    def kept_sha256(self) -> str:
        """Digest of the bytes that are kept under `raw/`: the archive's, where the file came in one."""
        return self.archive_sha256 or self.source_sha256


class ExtractRefused(GateRefused):
    """Too many rows of an extract are faulty. The evidence is kept; other extracts may go on.

    Attributes:
        receipt: The receipt of the refused extract.
    """

    def __init__(self, receipt: Receipt, problems: Problem) -> None:
        super().__init__(problems)
        self.receipt = receipt


def extract_fingerprint(contract: Contract, extract: Extract) -> str:
    """Return a digest of all that decides how this extract's bytes become rows.

    Where the bytes are found is left out: a moved folder lands nothing again.
    """
    return fingerprint.of_json(
        {
            "member": contract.member,
            "time_zone": contract.time_zone,
            "parameters": contract.parameters,
            "extract": {name: one for name, one in said(extract).items() if name not in _WHERE},
        }
    )


def landing_key(
    source_sha256: str, contract_digest: str, dataset: DatasetName, pseudonym_identity: str
) -> str:
    """Return the digest under which an extract counts as landed."""
    canonical = load_dataset(dataset).fingerprint
    return fingerprint.of_json(
        [_LANDING_VERSION, source_sha256, contract_digest, canonical, pseudonym_identity]
    )


def landed_receipts(home: Home) -> list[Receipt]:
    """Return the receipts of all landed and refused extracts, ordered by dataset, member and extract."""
    paths = sorted(home.landing.glob(f"*/member=*/extract=*/{RECEIPT_FILE}"))
    return [Receipt.model_validate(files.read_json(path)) for path in paths]
