"""The model card: what a model is, what it was made from, how good it is, and what it must not be used for.

Sections follow Mitchell et al., "Model Cards for Model Reporting" (2019). Written with the model, from the
same figures; nothing on it is typed by hand but owner and purpose, which the configuration states.
"""

from __future__ import annotations

from collections.abc import Sequence

from ml.assessment import BY_RECOVERY, MODEL, Assessment, Intervals
from ml.config import ModelConfig
from ml.fairness import FairnessReport
from ml.plots import WORDS
from ml.resampling import Interval

CARD_FILE = "model_card.md"
_SHOWN = (
    "auc",
    "average_precision",
    "precision_at_01",
    "precision_at_05",
    "precision_at_10",
    "recall_at_10",
    "revenue_at_05",
)
_CALIBRATION = ("brier", "calibration_error", "calibration_slope", "calibration_intercept")
_PURPOSE = (
    "Suggests which declarations an officer should look at first. A score is a reason to look, not a finding;"
    " a person decides, sees the reasons, and may disagree. Not for automatic decisions about traders, not"
    " for judging officers, not for goods or members it was not trained on."
)
_SELECTION_WORDS = {
    "census": "every item was inspected, so labels are of all items",
    "weighted": "items were chosen for inspection with logged chances; figures are weighted by one over them",
    "selective": "items were chosen with chances that are not known; figures hold for items so chosen",
}


def model_card(
    model_name: str,
    config: ModelConfig,
    windows: dict[str, dict[str, str]],
    assessment: Assessment,
    fairness: FairnessReport,
    tags: dict[str, str],
    counts: dict[str, int],
) -> str:
    """Return the card as Markdown."""
    parts = [
        f"# {model_name}",
        f"> {assessment.banner}" if assessment.banner else "",
        _details(config, tags),
        "## Intended use\n\n" + (config.purpose or _PURPOSE),
        _data(config, windows, assessment, counts, tags),
        _metrics(assessment),
        _slices(assessment),
        _fairness(fairness),
        _limits(assessment),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(config: ModelConfig, tags: dict[str, str]) -> str:
    rows = {
        "owner": config.owner,
        "target": config.target.replace("_", " "),
        "kind": f"gradient-boosted trees (XGBoost), objective `{config.boosting.objective}`",
        "calibration": tags.get("calibration_kind", ""),
        "recovery": tags.get("recovery_kind", ""),
        "code": f"git `{tags.get('git_commit', '')[:12]}`",
        "data version": f"`{tags.get('data_version', '')[:12]}`",
        "training key": f"`{tags.get('training_key', '')[:12]}`",
    }
    return "## Model details\n\n" + _table(("", ""), [(name, value) for name, value in rows.items()])


def _data(
    config: ModelConfig,
    windows: dict[str, dict[str, str]],
    assessment: Assessment,
    counts: dict[str, int],
    tags: dict[str, str],
) -> str:
    rows = [
        (member, window["train_from"], window["calibration_from"], window["test_from"], window["test_to"])
        for member, window in windows.items()
    ]
    served = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    return (
        "## Data\n\n"
        f"Labelled items: {served}. Base rate in the test window {_percent(assessment.base_rate)}. Labels:"
        f" {_SELECTION_WORDS[assessment.selection]}. A label serves for fitting only if it was known before"
        " the next window began. No identifier of a person or firm is a feature; history of traders enters"
        f" as counts and rates. Features: {', '.join(config.features.families) or 'by glob'}.\n\n"
        + _table(("member", "fit from", "calibration from", "test from", "test to"), rows)
    )


def _metrics(assessment: Assessment) -> str:
    rows = []
    for name, figures in assessment.rankings.items():
        shown = [_interval(figures.get(metric)) for metric in _SHOWN]
        rows.append((WORDS.get(name, name), *shown))
    model = assessment.rankings[MODEL]
    calibration = "; ".join(
        f"{metric.replace('_', ' ')} {_interval(model[metric])}" for metric in _CALIBRATION if metric in model
    )
    return (
        f"## Metrics\n\nOn {assessment.n:,} test items, with 95 % intervals from resampling"
        f" {assessment.weeks} weeks. Revenue of the model is best read in the row by expected recovery.\n\n"
        + _table(("ranking", *(metric.replace("_", " ") for metric in _SHOWN)), rows)
        + f"\n\nCalibration: {calibration}."
    )


def _slices(assessment: Assessment) -> str:
    rows = []
    for name, parts in assessment.segments.items():
        for ranking in (MODEL, BY_RECOVERY, "logistic_regression", "risk_profile"):
            if (part := parts.get(ranking)) is None:
                continue
            figures: Intervals = part.figures
            shown = [
                _interval(figures.get(metric)) for metric in ("auc", "average_precision", "precision_at_05")
            ]
            rows.append(
                (name.replace("_", " "), WORDS[ranking], f"{part.n:,}", f"{part.irregular:,}", *shown)
            )
    if not rows:
        return ""
    head = ("items", "ranking", "n", "irregular", "auc", "average precision", "precision at 05")
    return (
        "## Novel and repeated lines\n\nA line is repeated where the identical line was seen before.\n\n"
        + _table(head, rows)
        + "\n\nBy office, chapter, origin region, importer and month: `evaluation.json`."
    )


def _fairness(report: FairnessReport) -> str:
    alarms = "\n".join(f"- {alarm}" for alarm in report.alarms) or "No figure lies outside its limits."
    rows = [
        (
            dimension,
            name,
            f"{found.n:,}",
            _interval(found.selected),
            _interval(found.true_positive),
            _interval(found.false_positive),
            _interval(found.calibration_gap),
        )
        for dimension, groups in report.groups.items()
        for name, found in groups.items()
    ]
    guessed = ", ".join(f"{name} {auc:.2f}" for name, auc in report.guessable.items())
    without = "; ".join(
        f"{name}: AUC {figures.get('auc', float('nan')):.3f}, average precision"
        f" {figures.get('average_precision', float('nan')):.3f}"
        for name, figures in report.without_origin.items()
    )
    text = (
        f"## Fairness\n\nBasis: {report.basis}. {report.note} Hit rates by group are no test of bias on their"
        " own (infra-marginality).\n\n" + alarms + "\n\n"
    )
    head = ("groups", "group", "n", "selected", "true positive", "false positive", "calibration gap")
    text += _table(head, rows)
    if guessed:
        text += f"\n\nHow well the features tell a group from the rest (AUC): {guessed}."
    if without:
        text += f"\n\nCounterfactual, without origin and its proxies: {without}."
    return text


def _limits(assessment: Assessment) -> str:
    lines = [
        "What nobody inspected is in no figure, good or bad.",
        "Contributions and reasons explain the score, not what happened.",
        f"Intervals rest on {assessment.weeks} weeks of one period; a change of tariff, routes or enforcement"
        " is in none of them.",
    ]
    if assessment.selection == "selective":
        lines.insert(0, "Labels are selective: rates and probabilities do not carry over to all items.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _interval(one: Interval | None) -> str:
    return "" if one is None else one.as_text()


def _percent(one: Interval) -> str:
    return f"{100 * one.value:.1f} % ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
