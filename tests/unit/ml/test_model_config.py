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
    chosen_globs = config.features.model_copy(
        update={"families": (), "include": ("*",), "exclude": ("calendar__*",)}
    )
    config = config.model_copy(update={"features": chosen_globs})
    rates = [f"profile__{entity}_rate" for entity in config.baselines.risk_profile]
    columns = ["member_iso2", "declared_value_usd", "calendar__month", "tax__rate_pct", *rates]
    assert choose_features(columns, config) == ("tax__rate_pct", *rates)


def test_a_glob_or_family_that_matches_nothing_is_an_error() -> None:
    config = load_config()
    rates = [f"profile__{entity}_rate" for entity in config.baselines.risk_profile]
    wrong = config.features.model_copy(update={"families": ("profil",), "include": ("price__*",)})
    with pytest.raises(UsageProblem) as raised:
        choose_features(["tax__rate_pct", *rates], config.model_copy(update={"features": wrong}))
    assert "'price__*' matches no feature" in str(raised.value)
    assert "'profil' matches no feature (did you mean 'profile'?)" in str(raised.value)


def test_a_family_of_the_mart_that_nobody_listed_is_taken_by_all() -> None:
    config = load_config()
    rates = [f"profile__{entity}_rate" for entity in config.baselines.risk_profile]
    assert config.features.families == ("all",)
    assert choose_features(["splitting__items_72h", *rates], config) == ("splitting__items_72h", *rates)
    some = config.features.model_copy(update={"families": ("splitting",)})
    chosen = choose_features(["splitting__items_72h", *rates], config.model_copy(update={"features": some}))
    assert chosen == ("splitting__items_72h",)


def test_a_search_names_parameters_that_exist(tmp_path: Path) -> None:
    text = (CONFIG_DIR / "irregularity.yaml").read_text()
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace("    max_depth: {low", "    depth: {low"))
    with pytest.raises(UsageProblem, match="no parameter to search: depth"):
        load_config(broken)


def test_gates_and_drift_limits_do_not_name_another_training() -> None:
    config = load_config()
    other = config.model_copy(update={"gates": config.gates.model_copy(update={"metric": "auc"})})
    assert other.training_fingerprint() == config.training_fingerprint()


def test_the_batch_size_does_not_name_another_training() -> None:
    config = load_config()
    other = config.model_copy(update={"scoring": config.scoring.model_copy(update={"batch_rows": 10})})
    assert other.training_fingerprint() == config.training_fingerprint()
    lanes = config.scoring.model_copy(update={"lane_shares": {"RED": 0.2}})
    assert (
        config.model_copy(update={"scoring": lanes}).training_fingerprint() != config.training_fingerprint()
    )
