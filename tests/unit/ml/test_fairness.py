from __future__ import annotations

import numpy as np
import pytest

from ml.assessment import Scored, assess
from ml.card import model_card
from ml.config import ModelConfig
from ml.fairness import audit
from tests.unit.ml.items import labelled_items


def _scored(n: int, extra: float, source: str, seed: int = 3) -> Scored:
    """Scores that find irregular items everywhere, and call more of those from one region."""
    rng = np.random.default_rng(seed)
    origin = rng.choice(["CN", "DE"], n).astype(object)
    truth = rng.random(n) < 0.2
    items = labelled_items(
        n,
        is_irregular=truth,
        origin_iso2=origin,
        label_source_code=np.asarray([source] * n, dtype=object),
        matrix=np.stack([origin == "CN", rng.random(n)], axis=1).astype(np.float32),
    )
    score = np.clip(0.3 * truth + 0.5 * rng.random(n) + extra * (origin == "CN"), 0, 1)
    probability = np.where(truth, 0.5, 0.12)
    return Scored(items, score, probability, score)


def test_equal_treatment_raises_no_alarm(small_config: ModelConfig) -> None:
    report = audit(_scored(3000, 0.0, "ALL"), 0.5, small_config, 1)
    assert report.basis == "census"
    assert not [alarm for alarm in report.alarms if "rate is" in alarm]


def test_a_group_that_is_called_more_often_when_innocent_is_named(small_config: ModelConfig) -> None:
    report = audit(_scored(3000, 0.15, "ALL"), 0.5, small_config, 1)
    assert any("Eastern Asia: false positive rate" in alarm for alarm in report.alarms)
    assert report.groups["origin region"]["Eastern Asia"].false_positive_ratio.low > 1.25
    # The first feature is the origin itself, and the report says that the features know it.
    assert report.guessable["origin region: Eastern Asia"] == pytest.approx(1.0)


def test_selective_labels_describe_and_judge_nobody(small_config: ModelConfig) -> None:
    report = audit(_scored(3000, 0.15, "TARGETED"), 0.5, small_config, 1)
    assert report.basis == "descriptive"
    assert "DESCRIPTIVE ONLY" in report.note
    assert report.alarms == []


def test_a_random_sample_that_is_large_enough_is_judged_alone(small_config: ModelConfig) -> None:
    scored = _scored(3000, 0.15, "TARGETED")
    scored.items.label_source_code[:900] = "RANDOM"
    report = audit(scored, 0.5, small_config, 1)
    assert report.basis == "random sample"
    assert sum(found.n for found in report.groups["origin region"].values()) == 900


def test_small_groups_are_shown_and_not_judged(small_config: ModelConfig) -> None:
    report = audit(_scored(300, 0.3, "ALL"), 0.5, small_config, 1)
    assert all(found.n < 200 for found in report.groups["origin region"].values())
    assert not any(alarm.startswith("origin region") for alarm in report.alarms)


def test_the_card_has_every_section_and_its_figures(small_config: ModelConfig) -> None:
    scored = _scored(1200, 0.0, "TARGETED")
    assessment = assess(scored, [], small_config, 1)
    report = audit(scored, 0.5, small_config, 1, {"model": {"auc": 0.8}, "without origin": {"auc": 0.79}})
    windows = {
        "XA": {
            "train_from": "2025-01-01",
            "calibration_from": "2025-02-01",
            "test_from": "2025-03-01",
            "test_to": "2025-05-20",
        }
    }
    card = model_card("irregularity-xa", small_config, windows, assessment, report, {}, {"fit": 5000})
    for heading in ("Model details", "Intended use", "Data", "Metrics", "Fairness", "Limits"):
        assert f"## {heading}" in card
    assert "SELECTIVE LABELS" in card
    assert "DESCRIPTIVE ONLY" in card
    assert assessment.rankings["model"]["auc"].as_text() in card
    assert "without origin: AUC 0.790" in card
    assert "fit 5,000" in card
