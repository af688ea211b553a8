from __future__ import annotations

from pathlib import Path

import pytest

from ml.config import CONFIG_DIR, choose_features, config_schema, load_config
from tidewaiter.errors import ExitCode, UsageProblem


@pytest.mark.parametrize("path", sorted(CONFIG_DIR.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    assert load_config(path).name


def test_unknown_keys_name_the_closest_one_and_come_all_at_once(tmp_path: Path) -> None:
    text = (CONFIG_DIR / "irregularity.yaml").read_text()
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace("test_days:", "tset_days:").replace("seed: null", "sead: 3"))
    with pytest.raises(UsageProblem) as raised:
        load_config(broken)
    message = str(raised.value)
    assert "did you mean 'test_days'?" in message
    assert "did you mean 'seed'?" in message
    assert "split.test_days" in message
    assert raised.value.exit_code == ExitCode.USAGE


def test_missing_file_names_the_ones_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"irregularity\.yaml"):
        load_config(tmp_path / "none.yaml")


def test_lane_shares_leave_room_for_green(tmp_path: Path) -> None:
    text = (CONFIG_DIR / "irregularity.yaml").read_text()
    broken = tmp_path / "lanes.yaml"
    broken.write_text(text.replace("RED: 0.05", "RED: 0.9"))
    with pytest.raises(UsageProblem, match="lane_shares"):
        load_config(broken)


def test_schema_describes_every_part() -> None:
    assert set(config_schema()["properties"]) >= {"features", "split", "boosting", "scoring"}


def test_features_are_chosen_by_family_and_never_keys_or_context() -> None:
    config = load_config()
    chosen_globs = config.features.model_copy(update={"include": ("*",), "exclude": ("calendar__*",)})
    config = config.model_copy(update={"features": chosen_globs})
    rates = [f"profile__{entity}_rate" for entity in config.baselines.risk_profile]
    columns = ["member_iso2", "declared_value_usd", "calendar__month", "tax__rate_pct", *rates]
    assert choose_features(columns, config) == ("tax__rate_pct", *rates)


def test_a_glob_that_matches_nothing_is_an_error() -> None:
    config = load_config()
    rates = [f"profile__{entity}_rate" for entity in config.baselines.risk_profile]
    with pytest.raises(UsageProblem, match=r"'price__\*' matches no feature"):
        choose_features(["tax__rate_pct", *rates], config)


def test_the_batch_size_does_not_name_another_training() -> None:
    config = load_config()
    other = config.model_copy(update={"scoring": config.scoring.model_copy(update={"batch_rows": 10})})
    assert other.training_fingerprint() == config.training_fingerprint()
    lanes = config.scoring.model_copy(update={"lane_shares": {"RED": 0.2}})
    assert (
        config.model_copy(update={"scoring": lanes}).training_fingerprint() != config.training_fingerprint()
    )
