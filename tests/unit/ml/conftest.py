"""A tiny feature mart from a seeded generator, and one trained model for all tests that only read it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.config import ModelConfig, load_config
from ml.train import TrainedModel, train_member
from tidewaiter.settings import Settings

ENTITIES = (
    *("importer", "declarant", "seller", "courier", "office", "hs6", "heading", "chapter", "origin"),
    *("dispatch", "preference", "origin_marking", "goods_use", "payment_method", "transport_mode"),
    *("declaration_type", "hs6_origin", "importer_heading", "importer_declarant", "product_line"),
)
SEEN = ("importer", "importer_heading", "importer_declarant", "product_line")
FIRST_DAY = np.datetime64("2025-01-01")
DAYS = 300
ITEMS = {"XA": 3000, "XB": 120}


def feature_names() -> list[str]:
    """The feature mart's feature columns, as the dbt contract has them."""
    names = [
        "value__ln_value_usd",
        "value__ln_net_kg",
        "value__ln_unit_value_usd_per_kg",
        "value__is_net_kg_zero",
        "value__is_value_zero",
        "value__net_to_gross_ratio",
        "price__ln_ratio_to_reference",
        "price__reference_n",
        "price__robust_z",
        "price__reference_level",
        "tax__rate_pct",
        "tax__ratio_to_value",
    ]
    names += [
        f"profile__{entity}_{part}" for entity in ENTITIES for part in ("rate", "labelled_n", "items_n")
    ]
    names += [f"novelty__{entity}_days_since_{end}_seen" for entity in SEEN for end in ("first", "last")]
    names += ["novelty__is_product_line_new"]
    names += ["route__is_dispatch_other_than_origin", "route__dispatch_share_of_origin"]
    return [*names, "calendar__month", "calendar__weekday", "calendar__day_of_month"]


def write_marts(settings: Settings, seed: int = 11) -> None:
    """Write both marts. The truth depends on price, importer and identical line, and on noise."""
    rng = np.random.default_rng(seed)
    features: dict[str, object] = {}
    n = sum(ITEMS.values())
    member = np.repeat(list(ITEMS), list(ITEMS.values()))
    day = FIRST_DAY + rng.integers(0, DAYS, n)
    for name in feature_names():
        features[name] = rng.normal(size=n)
    for entity in ENTITIES:
        labelled = rng.integers(0, 40, n)
        features[f"profile__{entity}_labelled_n"] = labelled.astype(np.int32)
        features[f"profile__{entity}_items_n"] = (labelled + rng.integers(0, 9, n)).astype(np.int32)
        features[f"profile__{entity}_rate"] = rng.beta(2, 8, n)
    known = features["profile__product_line_labelled_n"]
    irregular_before = rng.binomial(known, 0.3)
    features["profile__product_line_rate"] = (irregular_before + 0.2) / (known + 1)
    features["price__reference_level"] = rng.integers(1, 4, n).astype(np.int32)
    features["price__reference_n"] = rng.integers(1, 500, n).astype(np.int32)
    features["tax__rate_pct"] = rng.choice([0.0, 5.0, 20.0], n)
    for flag in ("novelty__is_product_line_new", "value__is_net_kg_zero", "value__is_value_zero"):
        features[flag] = (rng.random(n) < 0.1).astype(np.int32)
    features["route__is_dispatch_other_than_origin"] = (rng.random(n) < 0.3).astype(np.int32)
    features["route__dispatch_share_of_origin"] = rng.random(n)
    log_odds = (
        -2.2
        - 1.5 * np.asarray(features["price__ln_ratio_to_reference"])
        + 4.0 * (np.asarray(features["profile__product_line_rate"]) - 0.3)
        + 3.0 * (np.asarray(features["profile__importer_rate"]) - 0.2)
    )
    irregular = rng.random(n) < 1 / (1 + np.exp(-log_odds))
    value = np.exp(np.asarray(features["value__ln_value_usd"]) + 8)
    recovered = np.where(irregular, 0.1 * value * rng.lognormal(0, 0.3, n), 0.0)
    blank = rng.random((3, n)) < 0.1
    for row, name in enumerate(("value__net_to_gross_ratio", "profile__seller_rate", "tax__ratio_to_value")):
        features[name] = pa.array(features[name], mask=blank[row])
    keys = {
        "member_iso2": member,
        "declaration_id": [f"D{number:06d}" for number in rng.permutation(n)],
        "item_no": pa.array(np.ones(n), pa.int32()),
    }
    registered_at = day.astype("datetime64[us]") + np.timedelta64(9, "h")
    items = pa.table(
        {
            **keys,
            "office_code": rng.choice(["010", "020", "030"], n),
            "registered_at": registered_at,
            "registered_date": day,
            "hs6": rng.choice(["010121", "870323"], n),
            "origin_iso2": rng.choice(["CN", "DE"], n),
            "declared_value_usd": value,
            "declared_tax_usd": value * np.asarray(features["tax__rate_pct"]) / 100,
            **features,
        }
    )
    delay = np.minimum(rng.lognormal(2.2, 0.8, n), 90) * 24 * 3600
    labels = pa.table(
        {
            **keys,
            "registered_at": registered_at,
            "registered_date": day,
            "label_at": registered_at + delay.astype("timedelta64[s]"),
            "is_irregular": irregular,
            "is_serious": irregular & (rng.random(n) < 0.3),
            "recovered_tax_usd": recovered,
            "label_source_code": ["TARGETED"] * n,
        }
    ).filter(pa.array(rng.random(n) < 0.8))
    folder = settings.paths.marts / "features"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(items, folder / "declaration_item_features.parquet")
    pq.write_table(labels, folder / "declaration_item_labels.parquet")


@dataclass(frozen=True)
class Trained:
    """A home with marts and one registered model of XA."""

    settings: Settings
    config: ModelConfig
    model: TrainedModel


@pytest.fixture(scope="session")
def small_config() -> ModelConfig:
    """The shipped configuration, with windows and rounds that fit the tiny mart."""
    config = load_config()
    return config.model_copy(
        update={
            "split": config.split.model_copy(update={"test_days": 60, "calibration_days": 60}),
            "boosting": config.boosting.model_copy(update={"max_rounds": 40, "max_depth": 3}),
            # Few resampled worlds, and no second fit: what they are for has tests of its own.
            "evaluation": config.evaluation.model_copy(update={"resampled_worlds": 40}),
            "gates": config.gates.model_copy(
                update={"fairness": config.gates.fairness.model_copy(update={"origin_and_proxies": ()})}
            ),
            "recovery": config.recovery.model_copy(update={"max_rounds": 20}),
        }
    )


@pytest.fixture(scope="session")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds the marts and nothing else."""
    home = tmp_path_factory.mktemp("ml-marts")
    write_marts(Settings(home=home))
    return home


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store, migrated once for the whole session."""
    from ml.tracking import open_client

    settings = Settings(home=tmp_path_factory.mktemp("ml-store"))
    open_client(settings)
    return settings.paths.mlflow / "mlflow.db"


@pytest.fixture
def fresh(tmp_path: Path, marts: Path, empty_store: Path) -> Settings:
    """A home of the test's own, with marts and an empty MLflow store."""
    return _new_home(tmp_path / "home", marts, empty_store)


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, marts: Path, empty_store: Path, small_config: ModelConfig
) -> Trained:
    """One trained model; tests that use it change nothing but accepted scores."""
    settings = _new_home(tmp_path_factory.mktemp("ml-trained") / "home", marts, empty_store)
    model = train_member(settings, "XA", small_config, "data-1", "features-1")
    return Trained(settings, small_config, model)


def _new_home(home: Path, marts: Path, empty_store: Path) -> Settings:
    shutil.copytree(marts, home)
    settings = Settings(home=home, threads=1, memory_limit="500MB")
    settings.paths.mlflow.mkdir()
    shutil.copyfile(empty_store, settings.paths.mlflow / "mlflow.db")
    return settings
