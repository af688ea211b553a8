"""Versions of data and features: digests of what went in, so that equal input is recognised as done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from tidewaiter import fingerprint
from tidewaiter.canonical import DATASETS, load_dataset
from tidewaiter.settings import PROJECT_ROOT

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
_DBT_SOURCES = ("dbt_project.yml", "profiles.yml", "models/**/*", "macros/**/*.sql", "tests/**/*.sql")
# A description or a test may change without a feature changing; these cannot.
_FEATURE_SOURCES = (
    "dbt_project.yml",
    "macros/**/*.sql",
    "models/staging/*landing*.sql",
    "models/intermediate/*.sql",
    "models/marts/features/**/*.sql",
)


@dataclass(frozen=True)
class ManifestRow:
    """One landed extract as dbt sees it: a row of `landing/extracts/manifest.parquet`.

    Attributes:
        extract_sequence: Order of arrival within member and dataset, from 1.
        is_accepted: The landing gate let it through; dbt uses only such extracts.
        landing_key: Digest of bytes, contract, canonical model and pseudonym key.
    """

    member_iso2: str
    dataset: str
    extract_id: str
    source_file: str
    source_sha256: str
    received_at: datetime
    extract_sequence: int
    rows_in: int
    rows_landed: int
    rows_quarantined: int
    is_accepted: bool
    landing_key: str


def data_version(rows: Iterable[ManifestRow], member_iso2: str | None) -> str:
    """Return the digest of the accepted extracts of a member, or of all members for None."""
    used = sorted(
        [row.dataset, row.extract_sequence, row.extract_id, row.landing_key]
        for row in rows
        if row.is_accepted and member_iso2 in (None, row.member_iso2)
    )
    return fingerprint.of_json(used)


def feature_version(rows: Iterable[ManifestRow], member_iso2: str | None) -> str:
    """Return the digest of a member's data and of the SQL that makes features of it.

    Features of a member come from that member's rows alone, so another member's new extract leaves
    this digest, and every model that rests on it, as it was.
    """
    return fingerprint.of_json([data_version(rows, member_iso2), _feature_code_version()])


@cache
def transform_code_version() -> str:
    """Return the digest of the dbt project and of the canonical model."""
    canonical = [load_dataset(name).fingerprint for name in DATASETS]
    return fingerprint.of_json([fingerprint.of_tree(DBT_PROJECT, _DBT_SOURCES), canonical])


@cache
def _feature_code_version() -> str:
    canonical = [load_dataset(name).fingerprint for name in DATASETS]
    return fingerprint.of_json([fingerprint.of_tree(DBT_PROJECT, _FEATURE_SOURCES), canonical])
