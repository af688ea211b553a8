"""The list of landed extracts that dbt reads: which there are, in which order they came, which passed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows import gates
from flows.versions import ManifestRow
from tidewaiter.files import replace_file_atomically
from tidewaiter.landing import Receipt, landed_receipts
from tidewaiter.settings import Settings

_SCHEMA = pa.schema(
    [
        ("member_iso2", pa.string()),
        ("dataset", pa.string()),
        ("extract_id", pa.string()),
        ("source_file", pa.string()),
        ("source_sha256", pa.string()),
        ("received_at", pa.timestamp("us")),
        ("extract_sequence", pa.int32()),
        ("rows_in", pa.int64()),
        ("rows_landed", pa.int64()),
        ("rows_quarantined", pa.int64()),
        ("is_accepted", pa.bool_()),
        ("landing_key", pa.string()),
    ]
)


def manifest_path(settings: Settings) -> Path:
    """Return the Parquet file of the manifest."""
    return settings.paths.landing / "extracts" / "manifest.parquet"


def write_manifest(settings: Settings) -> list[ManifestRow]:
    """Write one row per landed extract. An extract without a passed landing gate is not accepted."""
    rows = build_rows(
        landed_receipts(settings.paths), lambda receipt: gates.is_extract_accepted(settings, receipt)
    )
    path = manifest_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file_atomically(path) as partial:
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=_SCHEMA), partial)
    return rows


def read_manifest(settings: Settings) -> list[ManifestRow]:
    """Return the manifest as last written; empty where nothing has been landed."""
    path = manifest_path(settings)
    if not path.exists():
        return []
    return [ManifestRow(**row) for row in pq.read_table(path).to_pylist()]


def build_rows(receipts: Iterable[Receipt], is_accepted: Callable[[Receipt], bool]) -> list[ManifestRow]:
    """Order receipts by arrival within member and dataset and number them.

    Files that came at the same instant follow each other by name.
    """
    ordered = sorted(receipts, key=lambda r: (r.member_iso2, r.dataset, r.received_at, r.source_file))
    rows: list[ManifestRow] = []
    sequence: dict[tuple[str, str], int] = {}
    for receipt in ordered:
        key = (receipt.member_iso2, receipt.dataset)
        sequence[key] = sequence.get(key, 0) + 1
        rows.append(
            ManifestRow(
                member_iso2=receipt.member_iso2,
                dataset=receipt.dataset,
                extract_id=receipt.extract_id,
                source_file=receipt.source_file,
                source_sha256=receipt.source_sha256,
                received_at=_naive_utc(receipt.received_at),
                extract_sequence=sequence[key],
                rows_in=receipt.rows_in,
                rows_landed=receipt.rows_landed,
                rows_quarantined=receipt.rows_quarantined,
                is_accepted=is_accepted(receipt),
                landing_key=receipt.landing_key,
            )
        )
    return rows


def accepted_members(settings: Settings) -> list[str]:
    """Return the members with accepted declaration items, sorted."""
    return sorted({row.member_iso2 for row in read_manifest(settings) if row.is_accepted and _has_items(row)})


def known_members(settings: Settings) -> list[str]:
    """Return the members with any landed extract, sorted."""
    return sorted({row.member_iso2 for row in read_manifest(settings)})


def item_counts(rows: Sequence[ManifestRow] | Sequence[Receipt]) -> tuple[int, int, int]:
    """Return rows in, landed and quarantined over the extracts of declaration items."""
    items = [row for row in rows if row.dataset == "declaration_items"]
    return (
        sum(row.rows_in for row in items),
        sum(row.rows_landed for row in items),
        sum(row.rows_quarantined for row in items),
    )


def _has_items(row: ManifestRow) -> bool:
    return row.dataset == "declaration_items" and row.rows_landed > 0


def _naive_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=None)
