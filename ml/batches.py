"""The rows of one score batch: stream, explain the top share, rank, write in order, judge.

Which model scores which window, and what becomes of the batch, is `score`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.baselines import evaluate_baselines, simple_baselines
from ml.bundle import Bundle
from ml.config import ModelConfig
from ml.data import (
    NOVEL_LINE,
    TARGET_COLUMN,
    existing_mart,
    features_path,
    labels_path,
    matrix_columns,
    risk_profile_column,
    to_matrix,
)
from ml.evaluate import evaluate, inspected
from ml.explain import REASONS, reasons
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal

if TYPE_CHECKING:
    import duckdb

INTERMEDIATE_FILES = (".scored.parquet", ".explained.parquet")
_KEYS = ("member_iso2", "declaration_id", "item_no")
_SCORED = ("score", "probability", "expected_recovery_usd")
# Highest expected recovery first, ties by probability, score and keys.
_RANK = (
    "row_number() over (partition by office_code, registered_date order by"
    f" expected_recovery_usd desc, probability desc, score desc, {', '.join(_KEYS)})"
)
_CARRIED = (*_KEYS, "office_code", "registered_at", "registered_date")


@dataclass(frozen=True)
class Batch:
    """What is scored, as what, and where to.

    Attributes:
        member_iso2: The member.
        window_from: First registration date.
        window_to: Last registration date.
        judged_from: First registration date whose labels may judge the model.
        model_name: Written into every row.
        model_version: Written into every row.
        run_id: Written into every row.
        scored_at: Naive UTC, written into every row.
        target: The Parquet file to write, one row per item, sorted by keys.
    """

    member_iso2: str
    window_from: date
    window_to: date
    judged_from: date
    model_name: str
    model_version: str
    run_id: str
    scored_at: datetime
    target: Path


def write_score_batch(
    settings: Settings, config: ModelConfig, bundle: Bundle, batch: Batch
) -> tuple[int, dict[str, float]]:
    """Score the window into `batch.target` and return the rows written and the metrics.

    Memory is one record batch of `config.scoring.batch_rows` beside what DuckDB may use.

    Raises:
        TidewaiterError: No item was registered in the window.
    """
    scored, explained = (batch.target.with_name(name) for name in INTERMEDIATE_FILES)
    with open_duckdb(settings) as connection:
        items = _write_scored(connection, settings, config, bundle, batch, scored)
        if not items:
            raise TidewaiterError(
                Problem(
                    f"no item was registered from {batch.window_from} to {batch.window_to}",
                    where=f"member {batch.member_iso2}",
                    next_step="choose another window, or land newer extracts",
                )
            )
        share = config.scoring.explained_top_share
        shortlist = min(inspected(items, share), config.scoring.explained_at_most) if share else 0
        _write_explained(connection, settings, config, bundle, scored, explained, shortlist)
        _write_final(connection, bundle, batch, scored, explained)
        metrics = _metrics(connection, settings, config, batch, scored)
    scored.unlink()
    explained.unlink()
    return items, metrics


def _write_scored(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    config: ModelConfig,
    bundle: Bundle,
    batch: Batch,
    target: Path,
) -> int:
    result = connection.execute(
        f"""
        select {matrix_columns(bundle.features, bundle.vocabularies)}, {", ".join(_CARRIED)},
            coalesce(cast(declared_tax_usd as double), 0) as declared_tax_usd
        from read_parquet({quote_literal(existing_mart(features_path(settings)))})
        where member_iso2 = $member and registered_date between $first and $last
        """,
        {"member": batch.member_iso2, "first": batch.window_from, "last": batch.window_to},
    )
    import pyarrow as pa
    import pyarrow.parquet as pq

    items = 0
    reader = result.to_arrow_reader(config.scoring.batch_rows)
    carried = [reader.schema.field(name) for name in (*_CARRIED, "declared_tax_usd")]
    schema = pa.schema([*carried, *(pa.field(name, pa.float64()) for name in _SCORED)])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for rows in reader:
            matrix = to_matrix(rows, bundle.features)
            score = bundle.score(matrix)
            probability = bundle.calibrator.apply(score)
            tax = rows.column("declared_tax_usd").to_numpy(zero_copy_only=False)
            recovery = bundle.recovery.if_irregular_usd(matrix, tax)
            columns = [rows.column(field.name) for field in carried]
            columns += [pa.array(values) for values in (score, probability, probability * recovery)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            items += rows.num_rows
    return items


def _write_explained(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    config: ModelConfig,
    bundle: Bundle,
    scored: Path,
    target: Path,
    shortlist: int,
) -> None:
    """Write the reasons of the shortlist: what people look at first, by whichever ranking.

    The highest scores, the highest expected recoveries and the first of each office and day.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    result = connection.execute(
        f"""
        with shortlist as (
            select {", ".join(_KEYS)} from read_parquet({quote_literal(scored)})
            qualify row_number() over (order by score desc, {", ".join(_KEYS)}) <= {shortlist}
                or row_number() over (order by expected_recovery_usd desc, {", ".join(_KEYS)}) <= {shortlist}
                or {_RANK} <= {config.scoring.explained_ranks}
        )
        select {matrix_columns(bundle.features, bundle.vocabularies)}, {", ".join(_KEYS)}
        from read_parquet({quote_literal(existing_mart(features_path(settings)))}) as item
        inner join shortlist using ({", ".join(_KEYS)})
        """
    )
    reader = result.to_arrow_reader(config.scoring.batch_rows)
    texts = [pa.field(f"reason_{place + 1}", pa.string()) for place in range(REASONS)]
    schema = pa.schema([*(reader.schema.field(name) for name in _KEYS), *texts])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for rows in reader:
            found = reasons(bundle, to_matrix(rows, bundle.features))
            columns = [rows.column(name) for name in _KEYS]
            columns += [pa.array([row[place] for row in found], pa.string()) for place in range(REASONS)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _write_final(
    connection: duckdb.DuckDBPyConnection, bundle: Bundle, batch: Batch, scored: Path, explained: Path
) -> None:
    """Rank by expected recovery, ties by probability, score and keys; set lanes; write by keys."""
    lanes = " ".join(
        f"when score >= cast('{bundle.lane_thresholds[lane]!r}' as double) then '{lane}'"
        for lane in ("RED", "YELLOW", "BLUE")
    )
    stamped = {
        "model_name": batch.model_name,
        "model_version": batch.model_version,
        "run_id": batch.run_id,
        "scored_at": batch.scored_at.isoformat(sep=" "),
    }
    stamps = ", ".join(
        f"cast({quote_literal(value)} as {'timestamp' if name == 'scored_at' else 'varchar'}) as {name}"
        for name, value in stamped.items()
    )
    connection.execute(
        f"""
        copy (
            select
                {", ".join(_CARRIED)},
                score, probability, expected_recovery_usd,
                cast({_RANK} as integer) as rank_in_office_day,
                case {lanes} else 'GREEN' end as suggested_lane_code,
                reason_1, reason_2, reason_3,
                {stamps}
            from read_parquet({quote_literal(scored)}) as scored
            left join read_parquet({quote_literal(explained)}) as explained using ({", ".join(_KEYS)})
            order by {", ".join(_KEYS)}
        ) to {quote_literal(batch.target)} (format parquet, compression zstd)
        """
    )


def _metrics(
    connection: duckdb.DuckDBPyConnection, settings: Settings, config: ModelConfig, batch: Batch, scored: Path
) -> dict[str, float]:
    """Judge the batch and the baselines that need no fitting on the labelled items of the window."""
    keys = ", ".join(_KEYS)
    columns = connection.execute(
        f"""
        select scored.score, scored.probability, scored.expected_recovery_usd, scored.declared_tax_usd,
            {risk_profile_column(config)} as risk_profile,
            coalesce(item.{NOVEL_LINE} = 1, false) as is_novel_line,
            label.{TARGET_COLUMN[config.target]} as is_irregular,
            coalesce(cast(label.recovered_tax_usd as double), 0) as recovered_usd
        from read_parquet({quote_literal(scored)}) as scored
        inner join read_parquet({quote_literal(existing_mart(labels_path(settings)))}) as label using ({keys})
        inner join read_parquet({quote_literal(features_path(settings))}) as item using ({keys})
        where label.{TARGET_COLUMN[config.target]} is not null and scored.registered_date >= ?
        order by {keys}
        """,
        [batch.judged_from],
    ).fetchnumpy()
    found = {name: np.asarray(values) for name, values in columns.items()}
    truth, recovered = found["is_irregular"].astype(bool), found["recovered_usd"].astype(np.float64)
    if not len(truth):
        return {"n": 0.0}
    shares = config.evaluation.inspection_shares
    novel = found["is_novel_line"].astype(bool)
    baselines = simple_baselines(found["declared_tax_usd"], found["risk_profile"], config.seed_for(settings))
    judged = {
        "": evaluate(found["score"], truth, recovered, shares, found["probability"], novel),
        "by_expected_recovery": evaluate(found["expected_recovery_usd"], truth, recovered, shares),
        **evaluate_baselines(baselines, truth, recovered, novel, shares),
    }
    return {
        f"{name}/{metric}" if name else metric: value
        for name, evaluation in judged.items()
        for metric, value in evaluation.flat().items()
        if np.isfinite(value)
    }
