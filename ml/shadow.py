"""A challenger at work beside the champion: scored on the same items, seen by nobody's queue.

Shadow batches lie under `scores/.shadow/`, where no table reads them. What they are for is the comparison:
how many items would change lane, whether the two agree on the top, and, once labels come, who was right.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml.batches import Batch, write_score_batch
from ml.config import ModelConfig
from ml.drift import distribution, psi
from ml.score import ROWS_FILE, ScoreRun, check_features, unseen_from
from ml.tracking import open_client
from ml.versions import CHALLENGER, load_version, version_by_alias
from tidewaiter import fingerprint
from tidewaiter.files import folder_replaced_atomically, read_json, write_json_atomically
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal

SHADOW, SHADOW_FILE = ".shadow", "shadow.json"


@dataclass(frozen=True)
class ShadowRun:
    """A challenger's batch beside the champion's.

    Attributes:
        member_iso2: The member.
        model_name: Registered name of both.
        champion: Version that people see.
        challenger: Version in the shadow.
        run_id: Of the shadow batch.
        items: Items that both scored.
        rank_correlation: Spearman's, of the two scores.
        same_top: Share of the champion's red lane that the challenger sends there too.
        lane_changes: Share of items in another lane.
        score_psi: Population stability index of the challenger's scores against the champion's.
        metrics: Of the challenger, on the labelled items; empty until labels come.
    """

    member_iso2: str
    model_name: str
    champion: str
    challenger: str
    run_id: str
    items: int
    rank_correlation: float
    same_top: float
    lane_changes: float
    score_psi: float
    metrics: dict[str, float]


def score_shadow(settings: Settings, config: ModelConfig, accepted: ScoreRun, rows: Path) -> ShadowRun | None:
    """Score the champion's window with the challenger; None where there is no challenger.

    Args:
        settings: Where marts, registry and batches are.
        config: How batches are cut.
        accepted: The champion's batch.
        rows: Its rows.
    """
    client = open_client(settings)
    alias = version_by_alias(client, accepted.model_name, CHALLENGER)
    if alias is None:
        return None
    version = client.get_model_version(accepted.model_name, str(alias.version))
    run_id = fingerprint.of_json([accepted.run_id, version.name, str(version.version)])[:32]
    folder = _folder(settings, accepted.member_iso2)
    if (stored := read_json(folder / SHADOW_FILE)) is not None and stored["run_id"] == run_id:
        return ShadowRun(**stored)
    bundle = load_version(version, settings.threads)
    check_features(settings, config, bundle, version)
    first_unseen = unseen_from(version, accepted.member_iso2) or accepted.window_from
    # The shadow must keep its seat out of sight until it is whole.
    with folder_replaced_atomically(folder) as staged:
        batch = Batch(
            member_iso2=accepted.member_iso2,
            window_from=accepted.window_from,
            window_to=accepted.window_to,
            judged_from=max(accepted.judged_from or accepted.window_from, first_unseen),
            model_name=version.name,
            model_version=str(version.version),
            run_id=run_id,
            scored_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
            target=staged / ROWS_FILE,
        )
        _, metrics = write_score_batch(settings, config, bundle, batch)
        run = ShadowRun(
            member_iso2=accepted.member_iso2,
            model_name=version.name,
            champion=accepted.model_version,
            challenger=str(version.version),
            run_id=run_id,
            metrics=metrics,
            **_side_by_side(settings, rows, batch.target),
        )
        write_json_atomically(staged / SHADOW_FILE, asdict(run))
    return run


def shadow_run(settings: Settings, member_iso2: str) -> ShadowRun | None:
    """Return the member's shadow batch, None where there is none."""
    stored = read_json(_folder(settings, member_iso2) / SHADOW_FILE)
    return None if stored is None else ShadowRun(**stored)


def _side_by_side(settings: Settings, champion: Path, challenger: Path) -> dict[str, Any]:
    ours, theirs = (
        f"read_parquet({quote_literal(path)}, hive_partitioning = false)" for path in (champion, challenger)
    )
    with open_duckdb(settings) as connection:
        row = connection.execute(
            f"""
            with paired as (
                select ours.score as old, theirs.score as new,
                    ours.suggested_lane_code as old_lane, theirs.suggested_lane_code as new_lane,
                    rank() over (order by ours.score) as old_rank,
                    rank() over (order by theirs.score) as new_rank
                from {ours} as ours
                inner join {theirs} as theirs using (member_iso2, declaration_id, item_no)
            )
            select count(*), coalesce(corr(old_rank, new_rank), 1.0),
                coalesce(avg(cast(new_lane = 'RED' as integer)) filter (old_lane = 'RED'), 1.0),
                coalesce(avg(cast(new_lane != old_lane as integer)), 0.0)
            from paired
            """
        ).fetchone()
        scores = [
            connection.execute(f"select score from {table} order by hash(declaration_id) limit 100000")
            .fetchnumpy()["score"]
            .astype("float64")
            for table in (ours, theirs)
        ]
    items, correlation, same_top, changes = row or (0, 1.0, 1.0, 0.0)
    return {
        "items": int(items),
        "rank_correlation": float(correlation),
        "same_top": float(same_top),
        "lane_changes": float(changes),
        "score_psi": psi(distribution(scores[0]), scores[1]),
    }


def _folder(settings: Settings, member_iso2: str) -> Path:
    return settings.paths.scores / SHADOW / f"member={member_iso2}"
