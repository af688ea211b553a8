"""Reading the feature and label marts: DuckDB to Arrow to one float32 matrix, in the order of the keys.

Nothing here knows what is learned from the rows. Memory is the matrix plus one record batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
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
TARGET_COLUMN = {
    "any_irregularity": "is_irregular",
    "serious": "is_serious",
    # What is learned is the sum; what is found stays the irregularity.
    "recovered_revenue": "is_irregular",
}

# What may be cut into slices or weighted by. Name to SQL over item and label, and the mart's columns it
# needs; where a mart lacks one, the value is null.
_CONTEXT: dict[str, tuple[str, tuple[str, ...]]] = {
    "office_code": ("item.office_code", ("office_code",)),
    "hs6": ("item.hs6", ("hs6",)),
    "origin_iso2": ("item.origin_iso2", ("origin_iso2",)),
    "importer_items_n": ("cast(item.profile__importer_items_n as double)", ("profile__importer_items_n",)),
    "importer_days": (
        "cast(item.novelty__importer_days_since_first_seen as double)",
        ("novelty__importer_days_since_first_seen",),
    ),
    "label_source_code": ("label.label_source_code", ("label_source_code",)),
    "selection_probability": ("cast(label.selection_probability as double)", ("selection_probability",)),
}
# Columns of the mart that may be native categories of a model: codes of lists, never of persons.
CATEGORICAL = ("office_code", "origin_iso2", "hs6")
_CODE_PREFIX = "code__"
_CONTEXT_NUMBERS = ("importer_items_n", "importer_days", "selection_probability")

Vocabularies = Mapping[str, tuple[str, ...]]

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
        office_code: Office of declaration, None where unknown; so are the codes below.
        hs6: Subheading.
        origin_iso2: Country of origin.
        importer_items_n: Earlier items of the importer; NaN where the item names none.
        importer_days: Days since the importer was first seen; NaN where never, or none is named.
        label_source_code: RANDOM, TARGETED, PCA or ALL.
        selection_probability: Chance with which the item was chosen for inspection; NaN where not logged.
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
    office_code: NDArray[np.object_]
    hs6: NDArray[np.object_]
    origin_iso2: NDArray[np.object_]
    importer_items_n: Floats
    importer_days: Floats
    label_source_code: NDArray[np.object_]
    selection_probability: Floats

    def __len__(self) -> int:
        return len(self.is_irregular)

    def take(self, mask: Mask | NDArray[np.int64]) -> LabelledItems:
        """Return the items where `mask` is true, in the same order, or those at the positions given."""
        chosen = {one.name: getattr(self, one.name)[mask] for one in fields(self) if one.name != "features"}
        return LabelledItems(features=self.features, **chosen)


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
    settings: Settings,
    config: ModelConfig,
    member_iso2: str | None,
    features: tuple[str, ...],
    vocabularies: Vocabularies | None = None,
    members: tuple[str, ...] | None = None,
) -> LabelledItems:
    """Read every labelled item of one member, or of all members, with its features.

    Args:
        settings: Where the marts are.
        config: Names the target and the risk profile's entities.
        member_iso2: The member; None for all, or for `members`.
        features: Columns of the matrix.
        vocabularies: Codes of the native categories among the features.
        members: Keeps a pooled model to these members, if any are named.

    Raises:
        TidewaiterError: A mart is missing, or no item of the member has a known label.
    """
    target = TARGET_COLUMN[config.target]
    source = _labelled_source(settings, target)
    context = _context_columns(settings)
    query = f"""
        select {matrix_columns(features, vocabularies)},
            item.member_iso2, item.registered_date, label.label_at, label.{target} as is_irregular,
            cast(label.recovered_tax_usd as double) as recovered_usd,
            coalesce(cast(item.declared_tax_usd as double), 0) as declared_tax_usd,
            {risk_profile_column(config)} as risk_profile,
            coalesce(item.{NOVEL_LINE} = 1, false) as is_novel_line,
            {context}
        {source}
        order by item.member_iso2, item.declaration_id, item.item_no
    """
    with open_duckdb(settings) as connection:
        parameters = {"member": member_iso2, "members": list(members) if members else None}
        rows = _count(connection, source, parameters)
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


def count_labelled(settings: Settings, config: ModelConfig, member_iso2: str) -> int:
    """Return how many items of a member have a known label."""
    with open_duckdb(settings) as connection:
        source = _labelled_source(settings, TARGET_COLUMN[config.target])
        return _count(connection, source, {"member": member_iso2, "members": None})


def _labelled_source(settings: Settings, target: str) -> str:
    return f"""
        from read_parquet({quote_literal(existing_mart(features_path(settings)))}) as item
        inner join read_parquet({quote_literal(existing_mart(labels_path(settings)))}) as label
            using (member_iso2, declaration_id, item_no)
        where label.{target} is not null and label.label_at is not null
            and ($member is null or item.member_iso2 = $member)
            and ($members is null or list_contains($members, item.member_iso2))
    """


def _count(connection: duckdb.DuckDBPyConnection, source: str, parameters: dict[str, Any]) -> int:
    counted = connection.execute(f"select count(*) {source}", parameters).fetchone()
    return int(counted[0]) if counted else 0


def matrix_columns(features: tuple[str, ...], vocabularies: Vocabularies | None = None) -> str:
    """Return the select list that yields the features as 32-bit floats, null where unknown.

    A native category `code__<column>` is the position of its code in the vocabulary, from 0.
    """
    known = vocabularies or {}
    columns = []
    for name in features:
        value = quote_identifier(name)
        if name in known:
            codes = ", ".join(quote_literal(code) for code in known[name])
            column = quote_identifier(name.removeprefix(_CODE_PREFIX))
            value = f"nullif(coalesce(list_position([{codes}], {column}), 0), 0) - 1"
        columns.append(f"cast({value} as float) as {quote_identifier(name)}")
    return ", ".join(columns)


def code_feature(column: str) -> str:
    """Return the feature name of a native category."""
    return f"{_CODE_PREFIX}{column}"


def read_vocabularies(
    settings: Settings, columns: tuple[str, ...], member_iso2: str | None, largest: int
) -> dict[str, tuple[str, ...]]:
    """Return, per native category, the commonest codes of labelled items, the commonest first.

    Which codes occur tells nothing of an outcome; a code that first occurs in the test window has
    never been split on.
    """
    found: dict[str, tuple[str, ...]] = {}
    with open_duckdb(settings) as connection:
        for column in columns:
            name = quote_identifier(column)
            rows = connection.execute(
                f"""
                select item.{name}
                from read_parquet({quote_literal(existing_mart(features_path(settings)))}) as item
                semi join read_parquet({quote_literal(existing_mart(labels_path(settings)))}) as label
                    using ({", ".join(KEYS)})
                where item.{name} is not null and ($member is null or item.member_iso2 = $member)
                group by all order by count(*) desc, item.{name} limit {largest}
                """,
                {"member": member_iso2},
            ).fetchall()
            found[code_feature(column)] = tuple(str(row[0]) for row in rows)
    return found


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
        is_novel_line=columns["is_novel_line"].astype(bool),
        recovered_usd=columns["recovered_usd"].astype(np.float64),
        declared_tax_usd=columns["declared_tax_usd"].astype(np.float64),
        risk_profile=columns["risk_profile"].astype(np.float64),
        importer_items_n=columns["importer_items_n"].astype(np.float64),
        importer_days=columns["importer_days"].astype(np.float64),
        selection_probability=columns["selection_probability"].astype(np.float64),
        office_code=columns["office_code"].astype(object),
        hs6=columns["hs6"].astype(object),
        origin_iso2=columns["origin_iso2"].astype(object),
        label_source_code=columns["label_source_code"].astype(object),
    )


def _context_columns(settings: Settings) -> str:
    """Return the select list of the context; what this mart does not have is null."""
    import pyarrow.parquet as pq

    present = set(feature_mart_columns(settings)) | set(
        pq.read_schema(mart_files(existing_mart(labels_path(settings)))[0]).names
    )
    return ", ".join(
        f"{sql if set(needed) <= present else _null_of(name)} as {name}"
        for name, (sql, needed) in _CONTEXT.items()
    )


def _null_of(name: str) -> str:
    return "cast(null as double)" if name in _CONTEXT_NUMBERS else "cast(null as varchar)"


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
