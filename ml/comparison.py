"""Two or three versions on the same rows: every figure of each, and how far apart they are beyond chance.

The rows are what is labelled now and was in nobody's fit or calibration window: from the latest start of a
test window on. All versions are judged in the same resampled weeks, so differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.assessment import (
    BY_RECOVERY,
    MODEL,
    Assessment,
    Intervals,
    Scored,
    assess,
    differences,
    judged,
    sample_of,
)
from ml.baselines import Baseline, logistic_baseline, simple_baselines
from ml.bundle import Bundle
from ml.config import ModelConfig
from ml.data import TARGET_COLUMN, LabelledItems, Mask, feature_mart_columns, read_labelled
from ml.judging import score_items
from ml.versions import load_version, resolve
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MOST = 6


@dataclass(frozen=True)
class Contender:
    """One version on the common rows.

    Attributes:
        label: Name, version and aliases, as tables and legends say it.
        model_name: Registered name.
        version: Number as text.
        mlflow_run_id: The run that trained it.
        config: What it was trained with.
        bundle: The model.
        scored: The common rows and what it says of them.
        assessment: Its figures.
    """

    label: str
    model_name: str
    version: str
    mlflow_run_id: str
    config: ModelConfig
    bundle: Bundle
    scored: Scored
    assessment: Assessment


@dataclass(frozen=True)
class Comparison:
    """Versions side by side on the same rows.

    Attributes:
        contenders: In the order asked for; differences are to the first.
        baselines: On the same rows.
        windows: First and last day of the rows, by member.
        over_first: By label of every later contender, its figures minus the first's, paired; figures by
            expected recovery come with that prefix, those on novel lines with `novel/`.
    """

    contenders: tuple[Contender, ...]
    baselines: tuple[Baseline, ...]
    windows: dict[str, tuple[date, date]]
    over_first: dict[str, Intervals]

    @property
    def n(self) -> int:
        """Rows that all were judged on."""
        return self.contenders[0].assessment.n


def compare(settings: Settings, references: list[str], *, with_slices: bool = True) -> Comparison:
    """Judge versions on the same rows.

    Args:
        settings: Where marts and registry are.
        references: Each `name@alias` or `name/version`; a bare name is its champion.
        with_slices: Whether slices are judged too.

    Raises:
        UsageProblem: A reference names no version, or the versions have no member or target in common.
        TidewaiterError: Features are missing, or no labelled row is unseen by all.
    """
    from ml.tracking import open_client

    client = open_client(settings)
    versions = [resolve(client, reference) for reference in references]
    if not 1 <= len(versions) <= MOST:
        raise UsageProblem(Problem(f"{len(versions)} versions to compare", expected=f"1 to {MOST}"))
    configs = [stored_config(version) for version in versions]
    starts = _common_starts(versions, configs)
    seed = configs[0].seed_for(settings)
    found = [
        _contend(settings, version, config, starts) for version, config in zip(versions, configs, strict=True)
    ]
    items = found[0].scored.items
    if any(not _same_rows(items, each.scored.items) for each in found):
        raise TidewaiterError(
            Problem("the marts changed while they were read", next_step="compare again, after the run")
        )
    baselines = simple_baselines(items.declared_tax_usd, items.risk_profile, seed)
    baselines += _straight_line(found[0], seed)
    contenders = tuple(
        Contender(
            label=_label(version),
            model_name=version.name,
            version=str(version.version),
            mlflow_run_id=version.run_id,
            config=config,
            bundle=each.bundle,
            scored=each.scored,
            assessment=assess(each.scored, baselines, configs[0], seed, with_slices=with_slices),
        )
        for version, config, each in zip(versions, configs, found, strict=True)
    )
    days = {
        str(member): items.registered_day[items.member_iso2 == member]
        for member in sorted(set(items.member_iso2))
    }
    return Comparison(
        contenders=contenders,
        baselines=tuple(baselines),
        windows={member: (_as_date(day.min()), _as_date(day.max())) for member, day in days.items()},
        over_first=_over_first(contenders, configs[0], seed),
    )


def stored_config(version: ModelVersion) -> ModelConfig:
    """Return the configuration that a version was trained with."""
    import mlflow

    return ModelConfig.model_validate(mlflow.artifacts.load_dict(f"runs:/{version.run_id}/config.json"))


def stored_windows(version: ModelVersion) -> dict[str, dict[str, str]]:
    """Return the windows that a version was trained on, by member."""
    import mlflow

    found: dict[str, dict[str, str]] = mlflow.artifacts.load_dict(f"runs:/{version.run_id}/windows.json")
    return found


def check_features(settings: Settings, bundle: Bundle, name: str) -> None:
    """Make sure that the feature mart has what a bundle needs.

    Raises:
        TidewaiterError: Columns are missing.
    """
    present = set(feature_mart_columns(settings))
    missing = sorted(one for one in bundle.features if one not in present and one not in bundle.vocabularies)
    if missing:
        raise TidewaiterError(
            Problem(
                f"the feature mart lacks {', '.join(missing)}",
                where=name,
                expected="the columns that the model was trained on",
                next_step="tidewaiter train on the present features",
            )
        )


def _common_starts(versions: list[ModelVersion], configs: list[ModelConfig]) -> dict[str, date]:
    """Return, per member that all versions know, the first day that none was fitted or calibrated on."""
    windows = [stored_windows(version) for version in versions]
    members = sorted(set.intersection(*(set(each) for each in windows)))
    problems = []
    if not members:
        problems.append(
            Problem(
                "the versions have no member in common",
                where=", ".join(f"{version.name}/{version.version}" for version in versions),
                expected="versions trained on data of the same member",
            )
        )
    if len({TARGET_COLUMN[config.target] for config in configs}) > 1:
        problems.append(Problem("the versions have different targets", expected="the same label"))
    if problems:
        raise UsageProblem(problems)
    return {
        member: max(date.fromisoformat(each[member]["test_from"]) for each in windows) for member in members
    }


@dataclass(frozen=True)
class _Judged:
    """A version's model, what it says of the common rows, and what was known before them."""

    bundle: Bundle
    scored: Scored
    known: LabelledItems


def _contend(
    settings: Settings, version: ModelVersion, config: ModelConfig, starts: dict[str, date]
) -> _Judged:
    bundle = load_version(version, settings.threads)
    check_features(settings, bundle, f"{version.name}/{version.version}")
    items = read_labelled(settings, config, None, bundle.features, bundle.vocabularies, tuple(starts))
    unseen = items.take(unseen_by(items, starts))
    if not 0 < int(unseen.is_irregular.sum()) < len(unseen):
        raise TidewaiterError(
            Problem(
                "no irregular and regular labelled items that no version has seen",
                where=", ".join(f"{member} from {day}" for member, day in starts.items()),
                next_step="land later extracts with outcomes, then tidewaiter transform",
            )
        )
    return _Judged(bundle, score_items(bundle, unseen), items.take(_known_before(items, starts)))


def _straight_line(first: _Judged, seed: int) -> list[Baseline]:
    """Return a logistic regression on the first version's features, where there is enough to learn from."""
    if not 0 < int(first.known.is_irregular.sum()) < len(first.known):
        return []
    return [logistic_baseline(first.known, first.scored.items, seed, len(first.bundle.vocabularies))]


def _known_before(items: LabelledItems, starts: dict[str, date]) -> Mask:
    """Return which items were registered, and their labels known, before their member's start."""
    inside = np.zeros(len(items), dtype=bool)
    for member, start in starts.items():
        before = (items.registered_day < np.datetime64(start)) & (items.label_at < np.datetime64(start))
        inside |= (items.member_iso2 == member) & before
    return inside


def unseen_by(items: LabelledItems, starts: dict[str, date]) -> Mask:
    """Return which items were registered on or after their member's start."""
    inside = np.zeros(len(items), dtype=bool)
    for member, start in starts.items():
        inside |= (items.member_iso2 == member) & (items.registered_day >= np.datetime64(start))
    return inside


def _same_rows(one: LabelledItems, other: LabelledItems) -> bool:
    return (
        len(one) == len(other)
        and bool((one.registered_day == other.registered_day).all())
        and bool((one.is_irregular == other.is_irregular).all())
    )


def _over_first(contenders: tuple[Contender, ...], config: ModelConfig, seed: int) -> dict[str, Intervals]:
    items, shares = contenders[0].scored.items, config.evaluation.inspection_shares
    novel = items.is_novel_line
    parts: list[tuple[str, Mask]] = [("", np.ones(len(items), dtype=bool))]
    parts += [("novel/", novel)] if novel.any() and not novel.all() else []
    found: dict[str, Intervals] = {each.label: {} for each in contenders[1:]}
    for prefix, mask in parts:
        sample = sample_of(items, config, seed)
        if prefix:
            sample = sample_of(items.take(mask), config, seed)
        for ranking, short in ((MODEL, ""), (BY_RECOVERY, f"{BY_RECOVERY}/")):
            worlds = []
            for each in contenders:
                part = each.scored.take(mask)
                is_model = ranking == MODEL
                score = part.score if is_model else part.expected_recovery_usd
                worlds.append(judged(score, part.probability if is_model else None, sample, shares))
            for each, own in zip(contenders[1:], worlds[1:], strict=True):
                found[each.label] |= {
                    f"{prefix}{short}{metric}": one for metric, one in differences(own, worlds[0]).items()
                }
    return found


def _label(version: ModelVersion) -> str:
    aliases = f" ({', '.join(sorted(version.aliases))})" if version.aliases else ""
    return f"{version.name} v{version.version}{aliases}"


def _as_date(day: Any) -> date:
    return date.fromisoformat(str(day.astype("datetime64[D]")))


def selected_overlap(one: Scored, other: Scored, share: float) -> float:
    """Return the share of the one's top items that the other's top holds as well."""
    size = max(1, int(np.ceil(share * len(one.score))))
    top = np.argsort(-one.score, kind="stable")[:size]
    return float(np.isin(np.argsort(-other.score, kind="stable")[:size], top).mean())
