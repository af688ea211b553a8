"""Whether a champion still lives in the world it was trained for: one report per member and run.

Features and scores are compared with the reference stored with the model, labels with the rate it was trained
on, performance with its own test window. Limits stand in the configuration; what crosses one becomes a
finding, and the flow raises the event.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np

from ml.assessment import Scored, intervals, judged, sample_of
from ml.bundle import Bundle
from ml.choices import DriftLimits
from ml.config import ModelConfig
from ml.data import (
    Matrix,
    count_labelled,
    existing_mart,
    features_path,
    matrix_columns,
    read_labelled,
    to_matrix,
)
from ml.drift import SCORE, Reference, psi, psi_of_matrix
from ml.judging import score_items
from ml.report import stored_reference
from ml.resampling import Interval, interval_of
from ml.tracking import open_client
from ml.versions import CHAMPION, load_version, version_by_alias
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_literal

Severity = Literal["warning", "alarm"]
_METRIC = "average_precision"
_MOST_RECENT_ITEMS = 200_000


@dataclass(frozen=True)
class Finding:
    """One limit that was crossed.

    Attributes:
        kind: `feature`, `score`, `labels` or `performance`.
        name: The feature, or the figure.
        value: What was found.
        limit: What is allowed.
        severity: A warning asks to look; an alarm asks to train again.
        words: The same as a sentence.
    """

    kind: Literal["feature", "score", "labels", "performance"]
    name: str
    value: float
    limit: float
    severity: Severity
    words: str


@dataclass(frozen=True)
class DriftReport:
    """How far one member's recent items lie from what its champion knows.

    Attributes:
        member_iso2: The member.
        model_name: Registered name of the champion.
        model_version: Its number.
        first_day: First recent day.
        last_day: Last recent day.
        items: Recent items, labelled or not.
        psi: Population stability index by feature and of `score`, the largest first.
        findings: What crossed a limit.
        note: Why nothing was judged, where nothing was.
    """

    member_iso2: str
    model_name: str
    model_version: str
    first_day: str
    last_day: str
    items: int
    psi: dict[str, float]
    findings: tuple[Finding, ...]
    note: str = ""

    @property
    def is_alarm(self) -> bool:
        """Whether the documented automation should train again."""
        return any(one.severity == "alarm" for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return asdict(self)


def watch_member(settings: Settings, config: ModelConfig, member_iso2: str) -> DriftReport | None:
    """Compare a member's recent items with its champion's reference; None where it has no champion."""
    client = open_client(settings)
    names = (config.registered_name(member_iso2), config.registered_name(None))
    alias = next((found for name in names if (found := version_by_alias(client, name, CHAMPION))), None)
    if alias is None:
        return None
    version = client.get_model_version(alias.name, str(alias.version))
    reference = stored_reference(version.run_id)
    bundle = load_version(version, settings.threads)
    limits = config.drift
    matrix, first, last = _recent(settings, bundle, member_iso2, limits)
    about = (member_iso2, version.name, str(version.version), str(first), str(last), len(matrix))
    if reference is None:
        return DriftReport(*about, {}, (), "the champion was trained before references were stored")
    if len(matrix) < limits.minimum_items:
        return DriftReport(*about, {}, (), f"fewer than {limits.minimum_items} recent items")
    indexes = {SCORE: psi(reference.distributions[SCORE], bundle.score(matrix))}
    indexes |= psi_of_matrix(reference, bundle.features, matrix, limits.ignore)
    findings, note = _moved(indexes, limits), ""
    if count_labelled(settings, config, member_iso2):
        findings += _outcomes(settings, config, bundle, reference, member_iso2, version.run_id)
    else:
        note = "no outcome of this member is known: labels and performance are not watched"
    return DriftReport(*about, indexes, tuple(findings), note)


def _recent(
    settings: Settings, bundle: Bundle, member_iso2: str, limits: DriftLimits
) -> tuple[Matrix, date, date]:
    source = f"read_parquet({quote_literal(existing_mart(features_path(settings)))})"
    with open_duckdb(settings) as connection:
        found = connection.execute(
            f"select max(registered_date) from {source} where member_iso2 = ?", [member_iso2]
        ).fetchone()
        last: date = found[0] if found and found[0] else date.min
        first = last - timedelta(days=limits.recent_days - 1) if last > date.min else last
        batch = connection.execute(
            f"""
            select {matrix_columns(bundle.features, bundle.vocabularies)} from {source}
            where member_iso2 = $member and registered_date between $first and $last
            order by hash(declaration_id, item_no) limit {_MOST_RECENT_ITEMS}
            """,
            {"member": member_iso2, "first": first, "last": last},
        ).to_arrow_table()
    parts = [to_matrix(part, bundle.features) for part in batch.to_batches()]
    empty = np.empty((0, len(bundle.features)), dtype=np.float32)
    return (np.concatenate(parts) if parts else empty), first, last


def _moved(indexes: dict[str, float], limits: DriftLimits) -> list[Finding]:
    found = []
    for name, value in indexes.items():
        if value <= limits.psi_warn:
            continue
        is_score = name == SCORE
        # One feature that moved is worth a look; scores that moved change what is inspected.
        is_alarm = is_score and value > limits.psi_alarm
        limit = limits.psi_alarm if value > limits.psi_alarm else limits.psi_warn
        found.append(
            Finding(
                kind="score" if is_score else "feature",
                name=name,
                value=value,
                limit=limit,
                severity="alarm" if is_alarm else "warning",
                words=f"population stability index of {name} is {value:.2f} (limit {limit})",
            )
        )
    return found


def _outcomes(
    settings: Settings,
    config: ModelConfig,
    bundle: Bundle,
    reference: Reference,
    member_iso2: str,
    run_id: str,
) -> list[Finding]:
    """Judge the newest labels: as many days, ending with the last labelled one."""
    labelled = read_labelled(settings, config, member_iso2, bundle.features, bundle.vocabularies)
    limits = config.drift
    newest = labelled.registered_day.max()
    since = newest - np.timedelta64(limits.recent_days - 1, "D")
    recent = labelled.take(labelled.registered_day >= since)
    if len(recent) < limits.minimum_items:
        return []
    seed = config.seed_for(settings)
    scored = score_items(bundle, recent)
    sample = sample_of(recent, config, seed)
    rate = interval_of(
        sample.blocks.sums(sample.weight * sample.is_irregular) / sample.blocks.sums(sample.weight)
    )
    return [*_label_rate(rate, reference, limits), *_performance(scored, config, seed, run_id)]


def _label_rate(rate: Interval, reference: Reference, limits: DriftLimits) -> list[Finding]:
    was = reference.irregular_rate
    low, high = was * (1 - limits.label_rate_change), was * (1 + limits.label_rate_change)
    bounds = (rate.low, rate.high) if np.isfinite(rate.low) else (rate.value, rate.value)
    if not (bounds[1] < low or bounds[0] > high):
        return []
    return [
        Finding(
            kind="labels",
            name="irregular rate",
            value=rate.value,
            limit=low if bounds[1] < low else high,
            severity="alarm",
            words=f"irregular rate of recent labels is {rate.as_text()}, when it was trained {was:.3f}",
        )
    ]


def _performance(scored: Scored, config: ModelConfig, seed: int, run_id: str) -> list[Finding]:
    """Compare the metric with that of the test window, beyond its interval."""
    import mlflow

    metrics = mlflow.MlflowClient().get_run(run_id).data.metrics
    was = metrics.get(_METRIC)
    sample = sample_of(scored.items, config, seed)
    found = intervals(judged(scored.score, None, sample, (0.05,))).get(_METRIC)
    if was is None or found is None:
        return []
    bound = found.high if np.isfinite(found.high) else found.value
    if bound >= was - config.drift.metric_drop:
        return []
    return [
        Finding(
            kind="performance",
            name=_METRIC,
            value=found.value,
            limit=was - config.drift.metric_drop,
            severity="alarm",
            words=f"average precision on recent labels is {found.as_text()}, on the test window {was:.3f}",
        )
    ]
