"""Reading the feature and label marts: DuckDB to Arrow to one float32 matrix, in the order of the keys.

Nothing here knows what is learned from the rows. Memory is the matrix plus one record batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.config import ModelConfig
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.marts import is_built, mart_files, mart_path
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

KEYS = ("member_iso2", "declaration_id", "item_no")
NOVEL_LINE = "novelty__is_product_line_new"
_BATCH_ROWS = 65_536
TARGET_COLUMN = {"any_irregularity": "is_irregular", "serious": "is_serious"}

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledItems:
    """Items with a known label, one per row, sorted by member and keys.

    Attributes:
        features: Names of the matrix's columns.
        matrix: Feature values, float32, NaN where unknown.
        member_iso2: Member of each item.
        registered_day: Local registration date.
        label_at: When the label became known, naive UTC.
        is_irregular: The target.
        recovered_usd: Recovered tax in USD; NaN where irregular and not known.
        declared_tax_usd: Declared tax in USD, 0 where unknown.
        risk_profile: Mean of the configured entities' smoothed past rates, 0 where none is known.
        is_novel_line: True where the identical product line was never seen before.
    """

    features: tuple[str, ...]
    matrix: Matrix
    member_iso2: NDArray[np.object_]
    registered_day: NDArray[np.datetime64]
    label_at: NDArray[np.datetime64]
    is_irregular: Mask
    recovered_usd: Floats
    declared_tax_usd: Floats
    risk_profile: Floats
    is_novel_line: Mask

    def __len__(self) -> int:
        return len(self.is_irregular)

    def take(self, mask: Mask) -> LabelledItems:
        """Return the items where `mask` is true, in the same order."""
        return LabelledItems(
            features=self.features,
            matrix=self.matrix[mask],
            member_iso2=self.member_iso2[mask],
            registered_day=self.registered_day[mask],
            label_at=self.label_at[mask],
            is_irregular=self.is_irregular[mask],
            recovered_usd=self.recovered_usd[mask],
            declared_tax_usd=self.declared_tax_usd[mask],
            risk_profile=self.risk_profile[mask],
            is_novel_line=self.is_novel_line[mask],
        )


def features_path(settings: Settings) -> Path:
    """The feature mart, one row per current declaration item; a folder of files by member and month."""
    return mart_path(settings.paths, "features", "declaration_item_features")


def labels_path(settings: Settings) -> Path:
    """The label mart, one row per item whose label is known."""
    return mart_path(settings.paths, "features", "declaration_item_labels")


def feature_mart_columns(settings: Settings) -> list[str]:
    """Return the feature mart's columns in the file's order.

    Raises:
        TidewaiterError: The mart is not there yet.
    """
    import pyarrow.parquet as pq

    return list(pq.read_schema(mart_files(existing_mart(features_path(settings)))[0]).names)


def read_labelled(
    settings: Settings, config: ModelConfig, member_iso2: str | None, features: tuple[str, ...]
) -> LabelledItems:
    """Read every labelled item of one member, or of all members, with its features.

    Raises:
        TidewaiterError: A mart is missing, or no item of the member has a known label.
    """
    target = TARGET_COLUMN[config.target]
    source = f"""
        from read_parquet({quote_literal(existing_mart(features_path(settings)))}) as item
        inner join read_parquet({quote_literal(existing_mart(labels_path(settings)))}) as label
            using (member_iso2, declaration_id, item_no)
        where label.{target} is not null and label.label_at is not null
            and ($member is null or item.member_iso2 = $member)
    """
    query = f"""
        select {matrix_columns(features)},
            item.member_iso2, item.registered_date, label.label_at, label.{target} as is_irregular,
            cast(label.recovered_tax_usd as double) as recovered_usd,
            coalesce(cast(item.declared_tax_usd as double), 0) as declared_tax_usd,
            {risk_profile_column(config)} as risk_profile,
            coalesce(item.{NOVEL_LINE} = 1, false) as is_novel_line
        {source}
        order by item.member_iso2, item.declaration_id, item.item_no
    """
    with open_duckdb(settings) as connection:
        parameters = {"member": member_iso2}
        counted = connection.execute(f"select count(*) {source}", parameters).fetchone()
        rows = int(counted[0]) if counted else 0
        if not rows:
            raise TidewaiterError(
                Problem(
                    "no item has a known label",
                    where=f"member {member_iso2}" if member_iso2 else "all members",
                    expected="labels in the label mart",
                    next_step="land an extract with outcomes, then tidewaiter transform",
                )
            )
        return _fill(connection.execute(query, parameters), rows, features)


def matrix_columns(features: tuple[str, ...]) -> str:
    """Return the select list that yields the features as 32-bit floats, null where unknown."""
    return ", ".join(
        f"cast({quote_identifier(name)} as float) as {quote_identifier(name)}" for name in features
    )


def risk_profile_column(config: ModelConfig) -> str:
    """Return the SQL of the mean of the configured entities' known smoothed past rates, else 0.

    The rates are (k + a*p0)/(n + a) as in the reference code of Kim et al. (DATE, KDD 2020; a = 10),
    but from labels known before the item's day, not from the rows they are attached to.
    """
    rates = ", ".join(quote_identifier(f"profile__{entity}_rate") for entity in config.baselines.risk_profile)
    return f"coalesce(list_avg([{rates}]), 0)"


def to_matrix(batch: pa.RecordBatch, features: tuple[str, ...]) -> Matrix:
    """Turn a record batch's feature columns into a float32 matrix; null becomes NaN."""
    matrix = np.empty((batch.num_rows, len(features)), dtype=np.float32)
    for position, name in enumerate(features):
        matrix[:, position] = batch.column(name).to_numpy(zero_copy_only=False)
    return matrix


def _fill(result: duckdb.DuckDBPyConnection, rows: int, features: tuple[str, ...]) -> LabelledItems:
    matrix = np.empty((rows, len(features)), dtype=np.float32)
    parts: dict[str, list[Any]] = {}
    start = 0
    for batch in _batches(result):
        matrix[start : start + batch.num_rows] = to_matrix(batch, features)
        start += batch.num_rows
        for name in batch.schema.names[len(features) :]:
            parts.setdefault(name, []).append(batch.column(name).to_numpy(zero_copy_only=False))
    columns = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    if start != rows:
        raise ValueError(f"read {start} of {rows} labelled items: the marts changed while they were read")
    return LabelledItems(
        features=features,
        matrix=matrix,
        member_iso2=columns["member_iso2"],
        registered_day=columns["registered_date"].astype("datetime64[D]"),
        label_at=columns["label_at"].astype("datetime64[us]"),
        is_irregular=columns["is_irregular"].astype(bool),
        recovered_usd=columns["recovered_usd"].astype(np.float64),
        declared_tax_usd=columns["declared_tax_usd"].astype(np.float64),
        risk_profile=columns["risk_profile"].astype(np.float64),
        is_novel_line=columns["is_novel_line"].astype(bool),
    )


def _batches(result: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    yield from result.to_arrow_reader(_BATCH_ROWS)


def existing_mart(path: Path) -> Path:
    """Return the path of a mart: a Parquet file or a folder of them, which DuckDB reads alike.

    Raises:
        TidewaiterError: It is not built yet.
    """
    if not is_built(path):
        raise TidewaiterError(
            Problem("the mart is not built", where=str(path), next_step="tidewaiter transform")
        )
    return path
