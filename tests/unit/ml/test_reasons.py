from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ml.bundle import load_bundle
from ml.explain import contributions, reasons
from ml.reasons import load_catalogue, with_derived
from tidewaiter.settings import PROJECT_ROOT

DBT_COLUMNS = PROJECT_ROOT / "dbt_project" / "models" / "marts" / "features" / "_features__models.yml"


def _mart_features() -> list[str]:
    models = yaml.safe_load(DBT_COLUMNS.read_text(encoding="utf-8"))["models"]
    mart = next(model for model in models if model["name"] == "declaration_item_features")
    return [column["name"] for column in mart["columns"] if "__" in column["name"]]


def _say(group: str, **values: float) -> str:
    return load_catalogue().groups[group].render(with_derived(values))


def test_every_feature_of_the_mart_has_a_wording() -> None:
    features = tuple(_mart_features())
    assert len(features) > 50
    assert set(load_catalogue().assign(features)) == set(features)


def test_a_feature_without_wording_is_explained_by_its_family() -> None:
    catalogue = load_catalogue()
    assert catalogue.assign(("tax__rate_pct", "weather__rain")) == {
        "tax__rate_pct": "tax",
        "weather__rain": "family weather",
    }
    assert "'weather'" in catalogue.group("family weather").render({})


@pytest.mark.parametrize("group", load_catalogue().groups)
def test_every_group_has_words_when_nothing_is_known(group: str) -> None:
    assert load_catalogue().groups[group].render(with_derived({}))


def test_wordings_use_only_features_of_the_mart_and_derived_values() -> None:
    from string import Formatter

    known = {*_mart_features(), *with_derived({})}
    for name, group in load_catalogue().groups.items():
        for wording in group.wordings:
            fields = {field for _, field, _, _ in Formatter().parse(wording.text) if field}
            assert fields | set(wording.when) <= known, name


def test_words_about_persons_say_to_be_checked_and_accuse_nobody() -> None:
    for name, group in load_catalogue().groups.items():
        texts = [wording.text for wording in group.wordings]
        if any(person in name for person in ("importer", "declarant", "seller", "courier")):
            assert all(text.endswith("(to be checked)") for text in texts), name
        for text in texts:
            assert not any(word in text.lower() for word in ("fraud", "suspicious", "corrupt", "illegal"))


GOLDEN = [
    (
        "price",
        {
            "value__ln_unit_value_usd_per_kg": math.log(2.1),
            "price__ln_ratio_to_reference": math.log(2.1 / 6.8),
            "price__reference_n": 412,
            "price__reference_level": 1,
        },
        "unit value 2.10 USD/kg; median of 412 earlier items of this HS6 and origin 6.80",
    ),
    (
        "price",
        {"value__ln_unit_value_usd_per_kg": math.log(2.1)},
        "unit value 2.10 USD/kg; no earlier comparable items",
    ),
    (
        "profile_importer",
        {"profile__importer_rate": 0.412, "profile__importer_labelled_n": 17},
        "past irregularity rate of this importer 41 % of 17 labelled items, smoothed (to be checked)",
    ),
    (
        "profile_hs6",
        {"profile__hs6_labelled_n": 0, "profile__hs6_items_n": 1234},
        "this HS6: 1,234 earlier items, no outcome known yet",
    ),
    (
        "identical_line",
        {"profile__product_line_rate": (3 + 0.2) / 4, "profile__product_line_labelled_n": 3},
        "identical line seen before: 3 of 3 labelled irregular",
    ),
    ("identical_line", {"novelty__is_product_line_new": 1}, "identical line never seen before"),
    ("tax", {"tax__rate_pct": 13.5}, "declared tax rate 13.5 %"),
    ("value", {"value__ln_value_usd": math.log(1234567.8)}, "declared value 1,234,567.80 USD"),
    ("novelty_importer", {}, "importer not seen before (to be checked)"),
    (
        "switch",
        {"switch__gap_to_highest_rate_in_heading_pct": 4.5},
        "earlier items of this heading paid up to 4.5 points more",
    ),
    (
        "switch",
        {"switch__gap_to_highest_rate_in_heading_pct": 0.0},
        "rate at least as high as earlier items of this heading paid",
    ),
    (
        "switch",
        {"switch__gap_to_highest_rate_in_heading_pct": -2.0},
        "rate at least as high as earlier items of this heading paid",
    ),
    (
        "tax",
        {"tax__statutory_rate_pct": 8, "tax__statutory_gap_pct": 3},
        "tariff rate 8 %, 3 points above the rate applied",
    ),
    (
        "tax",
        {"tax__rate_pct": 8, "tax__statutory_rate_pct": 8, "tax__statutory_gap_pct": 0},
        "declared tax rate 8 %, that of the tariff",
    ),
    (
        "tax",
        {"tax__statutory_rate_pct": 8, "tax__statutory_gap_pct": -3},
        "tariff rate 8 %, below the rate applied",
    ),
    (
        "splitting",
        {"splitting__earlier_items_n": 0},
        "no other item of the same party and heading in the hours before",
    ),
    (
        "splitting",
        {"splitting__earlier_items_n": 1},
        "1 item of the same party and heading in the hours before",
    ),
    ("document", {"document__missing_fields_n": 0}, "no field of the declaration left out"),
    (
        "unit_price",
        {"price__supplementary_robust_z": -3.14159},
        "value per supplementary unit -3.1 robust deviations from earlier items of this HS6",
    ),
]


@pytest.mark.parametrize(("group", "values", "expected"), GOLDEN)
def test_golden_texts(group: str, values: dict[str, float], expected: str) -> None:
    assert _say(group, **values) == expected


@given(st.integers(1, 20_000), st.floats(0, 0.999), st.data())
def test_the_count_behind_the_identical_lines_rate_is_read_back(
    labelled: int, prior: float, data: st.DataObject
) -> None:
    import numpy as np

    irregular = data.draw(st.integers(0, labelled))
    rate = float(np.float32((irregular + prior) / (labelled + 1)))
    # At 32 bits the whole part is only safe where the prior is not a hair below one.
    if prior * 1 + 2e-6 * (labelled + 1) < 1:
        values = {"profile__product_line_rate": rate, "profile__product_line_labelled_n": float(labelled)}
        assert with_derived(values)["identical_line_irregular_n"] == irregular


def test_reasons_are_the_weightiest_groups_that_raise_the_score(trained: object, tmp_path: Path) -> None:
    from ml.config import choose_features
    from ml.data import feature_mart_columns, read_labelled
    from ml.tracking import open_client
    from ml.versions import load_version, resolve

    settings, config = trained.settings, trained.config  # type: ignore[attr-defined]
    bundle = load_version(resolve(open_client(settings), "irregularity-xa"), threads=1)
    bundle.save(tmp_path)
    bundle = load_bundle(tmp_path)
    features = choose_features(feature_mart_columns(settings), config)
    rows = read_labelled(settings, config, "XA", features).matrix[:30]
    catalogue = load_catalogue()
    group_of = catalogue.assign(features)
    for row, found in enumerate(reasons(bundle, rows)):
        sums: dict[str, float] = {}
        for feature, share in zip(features, contributions(bundle, rows[row : row + 1])[0], strict=False):
            sums[group_of[feature]] = sums.get(group_of[feature], 0.0) + share
        raising = sorted((group for group in sums if sums[group] > 0), key=lambda group: -sums[group])[:3]
        values = with_derived(dict(zip(features, map(float, rows[row]), strict=True)))
        expected = [catalogue.groups[group].render(values) for group in raising]
        assert [text for text in found if text] == expected
        assert len(found) == 3
