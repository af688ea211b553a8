"""The dbt source YAML and the canonical model must agree, and staging must take every column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tidewaiter.canonical import DATASETS, DatasetName, load_dataset

STAGING = Path(__file__).parents[2] / "dbt_project" / "models" / "staging"


def _landing_columns(table: str) -> list[dict[str, Any]]:
    sources = yaml.safe_load((STAGING / "_landing__sources.yml").read_text(encoding="utf-8"))["sources"]
    tables = {entry["name"]: entry for entry in sources[0]["tables"]}
    columns: list[dict[str, Any]] = tables[table]["columns"]
    return columns


@pytest.mark.parametrize("name", DATASETS)
def test_source_columns_are_the_landed_columns_in_order(name: DatasetName) -> None:
    declared = {column["name"]: column["data_type"] for column in _landing_columns(name)}
    assert list(declared.items()) == list(load_dataset(name).landed_columns.items())


@pytest.mark.parametrize("name", DATASETS)
def test_source_descriptions_are_the_canonical_ones(name: DatasetName) -> None:
    described = {column["name"]: column["description"] for column in _landing_columns(name)}
    canonical = {field.name: field.description for field in load_dataset(name).fields}
    assert {column: described[column] for column in canonical} == canonical


@pytest.mark.parametrize("name", DATASETS)
def test_staging_model_yaml_covers_every_landed_column(name: DatasetName) -> None:
    models = yaml.safe_load((STAGING / "_landing__models.yml").read_text(encoding="utf-8"))["models"]
    (model,) = [entry for entry in models if entry["name"] == f"stg_landing__{name}"]
    assert set(load_dataset(name).landed_columns) <= {column["name"] for column in model["columns"]}
