"""What the tests of landing share: a small contract, and a bench that lands text under it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tidewaiter.contracts import Contract
from tidewaiter.landing import ExtractRefused, Receipt, land_file, land_files
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings

HEADER = "id,item,registered,office,hs,importer,value"
FIELDS: dict[str, Any] = {
    "declaration_id": {"column": "id"},
    "item_no": {"column": "item"},
    "registered_at": {"column": "registered"},
    "office_code": {"column": "office"},
    "hs6": {"column": "hs"},
    "importer_id": {"column": "importer"},
    "declared_value": {"column": "value"},
    "currency_code": {"constant": "USD"},
}


def a_contract(
    fields: dict[str, Any] | None = None,
    *,
    time_zone: str = "UTC",
    parameters: dict[str, Any] | None = None,
    **extract: Any,
) -> Contract:
    """Return a contract of member XT with one extract; `fields` come on top of FIELDS, None drops one."""
    merged = FIELDS | (fields or {})
    entry = {
        "dataset": "declaration_items",
        "location": {"home": "drop"},
        "files": ["*.csv"],
        "refuse_above_quarantined_share": 1,
        "fields": {name: mapping for name, mapping in merged.items() if mapping is not None},
    }
    return Contract.model_validate(
        {
            "member": "XT",
            "name": "Test",
            "owner": "tests",
            "source": "tests",
            "time_zone": time_zone,
            "parameters": parameters or {},
            "extracts": [entry | extract],
        }
    )


@dataclass
class Landed:
    """What landing one file came to."""

    receipt: Receipt
    folder: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self._read("rows.parquet")

    @property
    def quarantine(self) -> list[dict[str, Any]]:
        return self._read("quarantine.parquet")

    @property
    def reasons(self) -> dict[int, list[str]]:
        return {row["source_line"]: row["reasons"] for row in self.quarantine}

    @property
    def records(self) -> dict[int, Any]:
        return {row["source_line"]: json.loads(row["record"]) for row in self.quarantine}

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    def _read(self, name: str) -> list[dict[str, Any]]:
        with duckdb.connect() as connection:
            table = connection.execute(
                "select * from read_parquet(?, hive_partitioning = false)", [str(self.folder / name)]
            ).to_arrow_table()
        return list(table.to_pylist())


@dataclass
class LandingBench:
    """Lands text in a home of its own."""

    root: Path
    settings: Settings = field(init=False)
    pseudonymiser: Pseudonymiser = field(default_factory=lambda: Pseudonymiser(b"k" * 32))
    _numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.settings = Settings(
            home=self.root / "home", members_dir=self.root / "members", threads=2, memory_limit="1GB"
        )

    def elsewhere(self) -> LandingBench:
        """Return a bench with an empty home."""
        return LandingBench(self.root / f"bench-{next(self._numbers)}")

    def land(self, content: str | bytes, contract: Contract | None = None, name: str = "file.csv") -> Landed:
        path = self.root / "sent" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.land_path(path, contract)

    def land_path(self, path: Path, contract: Contract | None = None) -> Landed:
        contract = contract or a_contract()
        try:
            receipt = land_file(path, contract.extracts[0], contract, self.settings, self.pseudonymiser)
        except ExtractRefused as refusal:
            receipt = refusal.receipt
        return self._landed(receipt)

    def land_all(self, content: bytes, contract: Contract | None = None, *, name: str) -> list[Landed]:
        """Land a file that may be an archive of several."""
        path = self.root / "sent" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        contract = contract or a_contract()
        extract = contract.extracts[0]
        receipts = land_files(path, extract, contract, self.settings, self.pseudonymiser)
        return [self._landed(receipt) for receipt in receipts]

    def _landed(self, receipt: Receipt) -> Landed:
        folder = self.settings.paths.extract_folder(receipt.dataset, receipt.member_iso2, receipt.extract_id)
        return Landed(receipt, folder)


@pytest.fixture
def bench(tmp_path: Path) -> LandingBench:
    return LandingBench(tmp_path)


@pytest.fixture(scope="session")
def session_bench(tmp_path_factory: pytest.TempPathFactory) -> LandingBench:
    """A bench that outlives one test, for properties: take `elsewhere()` of it."""
    return LandingBench(tmp_path_factory.mktemp("landing"))


@pytest.fixture(scope="session")
def contract_of() -> Any:
    """The function that makes small contracts."""
    return a_contract


@pytest.fixture(scope="session")
def landing_header() -> str:
    return HEADER
