from __future__ import annotations

from pathlib import Path

import pytest

from ml import recording
from ml.choices import FairnessLimits, FeatureChoice, GateChoice
from ml.comparison import compare
from ml.config import ModelConfig
from ml.registry import promote, rollback, show
from ml.report import verdict_of, write_report
from ml.resampling import Interval
from ml.score import accept_scores, score_member
from ml.shadow import score_shadow, shadow_run
from ml.train import TrainedModel, train_member
from tidewaiter.errors import ExitCode, GateRefused, UsageProblem
from tidewaiter.settings import Settings

NAME = "irregularity-xa"
# What the tiny mart's groups and calibration do by chance must not decide the tests of the metric.
LENIENT = GateChoice(
    calibration_error_at_most=0.5,
    calibration_slope_between=(0.1, 9.0),
    fairness=FairnessLimits(minimum_group_n=10_000),
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, small_config: ModelConfig) -> ModelConfig:
    """A configuration that trains in a blink, and no pictures."""
    monkeypatch.setattr(recording, "_draw", lambda *_: [])
    boosting = small_config.boosting.model_copy(update={"max_rounds": 1, "max_depth": 1})
    features = FeatureChoice(include=("price__*", "tax__*", "profile__product_line_*"))
    return small_config.model_copy(update={"boosting": boosting, "features": features})


@pytest.fixture
def better(quick: ModelConfig) -> ModelConfig:
    return quick.model_copy(
        update={"boosting": quick.boosting.model_copy(update={"max_rounds": 60, "max_depth": 3})}
    )


def _train(settings: Settings, config: ModelConfig) -> TrainedModel:
    return train_member(settings, "XA", config, "data-1", "features-1")


def test_a_better_challenger_becomes_champion_and_the_record_says_who_and_why(
    fresh: Settings, quick: ModelConfig, better: ModelConfig
) -> None:
    _train(fresh, quick)
    _train(fresh, better)
    done = promote(fresh, NAME, "2", actor="an analyst", reason="more rounds", gates=LENIENT)
    assert (done.version, done.former, done.forced) == ("2", "1", False)
    assert done.figures["average_precision_difference_low"] > 0
    first, second = show(fresh, NAME)
    assert (first.aliases, second.aliases) == ((), ("champion",))
    assert second.tags["promoted_by"] == "an analyst"
    assert second.tags["promoted_reason"] == "more rounds"
    assert promote(fresh, NAME, "2", actor="an analyst").figures == {}
    # The first training asked for again stays what it is: no alias returns by itself.
    assert _train(fresh, quick).aliases == ()
    back = rollback(fresh, NAME, actor="an analyst", reason="misreads the tariff")
    assert (back.version, back.former) == ("1", "2")
    first, second = show(fresh, NAME)
    assert (first.aliases, second.aliases) == (("champion",), ())
    assert second.tags["rolled_back_reason"] == "misreads the tariff"
    with pytest.raises(UsageProblem, match="first champion"):
        rollback(fresh, NAME, actor="an analyst", reason="once more")


def test_a_challenger_that_is_worse_or_the_same_is_refused_unless_forced(
    fresh: Settings, quick: ModelConfig, better: ModelConfig
) -> None:
    _train(fresh, better)
    _train(fresh, quick)
    with pytest.raises(GateRefused, match=r"version 2 does not exceed 0\.\d+ of champion 1 beyond the noise"):
        promote(fresh, NAME, "2", actor="an analyst", gates=LENIENT)
    # The same model once more: no better, however good.
    train_member(fresh, "XA", better, "data-2", "features-1")
    with pytest.raises(GateRefused, match="beyond the noise") as raised:
        promote(fresh, NAME, "3", actor="an analyst", gates=LENIENT)
    assert raised.value.exit_code == ExitCode.GATE_REFUSED
    assert show(fresh, NAME)[0].aliases == ("champion",)
    with pytest.raises(UsageProblem, match="needs a reason"):
        promote(fresh, NAME, "2", actor="an analyst", force=True)
    forced = promote(fresh, NAME, "2", actor="an analyst", reason="lost source", force=True, gates=LENIENT)
    assert forced.forced
    assert show(fresh, NAME)[1].tags["promotion_forced"] == "true"


def test_every_limit_that_is_missed_is_named_at_once(
    fresh: Settings, quick: ModelConfig, better: ModelConfig
) -> None:
    _train(fresh, quick)
    _train(fresh, better)
    strict = GateChoice(
        calibration_error_at_most=1e-6,
        calibration_slope_between=(5.0, 6.0),
        fairness=FairnessLimits(minimum_group_n=20, ratio_low=0.999, ratio_high=1.0, calibration_gap=1e-6),
    )
    with pytest.raises(GateRefused) as raised:
        promote(fresh, NAME, "2", actor="an analyst", gates=strict)
    said = [problem.what for problem in raised.value.problems]
    assert any("calibration error" in text for text in said)
    assert any("calibration slope" in text for text in said)
    assert show(fresh, NAME)[0].aliases == ("champion",)


def test_the_report_is_one_page_that_loads_nothing(
    fresh: Settings, quick: ModelConfig, better: ModelConfig, tmp_path: Path
) -> None:
    _train(fresh, quick)
    _train(fresh, better)
    compared = compare(fresh, [f"{NAME}/1", f"{NAME}/2"])
    (over,) = compared.over_first.values()
    own, other = (each.assessment.rankings["model"]["auc"].value for each in compared.contenders)
    assert over["auc"].value == pytest.approx(other - own)
    page = write_report(compared, tmp_path / "report.html").read_text()
    assert page.count("<svg") >= 7
    for loaded in ("<script", "<link", "src=", "@import", "url(http"):
        assert loaded not in page
    assert "beats" in page
    assert "SELECTIVE LABELS" in page


def test_a_registry_name_cannot_write_into_the_page() -> None:
    from jinja2 import Environment

    page = Environment(autoescape=True).from_string("{{ verdict }}")
    text = verdict_of("<script>x</script>", "a", {"average_precision": Interval(0.1, 0.05, 0.2)})
    assert "<script>" not in page.render(verdict=text)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Interval(0.1, 0.02, 0.2), "beats"),
        (Interval(-0.1, -0.2, -0.02), "is behind"),
        (Interval(0.1, -0.02, 0.2), "do not differ"),
        (Interval(0.1), "too few weeks"),
    ],
)
def test_the_verdict_follows_the_interval(one: Interval, words: str) -> None:
    assert words in verdict_of("b", "a", {"average_precision": one})


def test_a_challenger_scores_in_the_shadow_where_no_table_reads(
    fresh: Settings, quick: ModelConfig, better: ModelConfig, tmp_path: Path
) -> None:
    _train(fresh, quick)
    run = score_member(fresh, "XA", quick, "features-1", stage_dir=tmp_path / "stage")
    rows = accept_scores(fresh, run) / "rows.parquet"
    assert score_shadow(fresh, quick, run, rows) is None
    _train(fresh, better)
    found = score_shadow(fresh, quick, run, rows)
    assert found is not None
    assert (found.champion, found.challenger, found.items) == ("1", "2", run.items_scored)
    assert 0 < found.rank_correlation < 1
    assert found.metrics["average_precision"] > run.metrics["average_precision"]
    assert shadow_run(fresh, "XA") == found
    assert score_shadow(fresh, quick, run, rows) == found
    assert not list(fresh.paths.scores.glob("member=*/run=*/shadow*"))
    assert len(list(fresh.paths.scores.glob("member=*/run=*/rows.parquet"))) == 1
