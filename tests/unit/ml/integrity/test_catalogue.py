"""The catalogue is complete, and every indicator in it is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ml.integrity.catalogue import CATALOGUE, load_catalogue

ROOT = Path(__file__).parents[4]
ENTRIES = load_catalogue()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_an_indicator_has_a_module_marts_and_inputs_that_exist(entry) -> None:
    assert callable(entry.compute())
    marts = {path.stem for path in (ROOT / "dbt_project/models/marts/integrity").glob("*.sql")}
    assert set(entry.tables) <= marts
    project = yaml.safe_load((ROOT / "dbt_project/dbt_project.yml").read_text())
    fields = {f"{d}.{f}" for d, names in project["vars"]["integrity_fields"].items() for f in names}
    assert set(entry.inputs) <= fields


def test_no_mart_leaves_out_who_could_be_tested() -> None:
    variables = yaml.safe_load((ROOT / "dbt_project/dbt_project.yml").read_text())["vars"]
    least = {entry.id: entry.support_minimum for entry in ENTRIES}
    assert variables["integrity_least_values"] <= least["D1"]
    assert (
        variables["integrity_least_files"] <= 2 * least["C1"]
    )  # needed in the quarter and in the year before


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_no_word_accuses(entry) -> None:
    """Titles of papers are as they are; what we say ourselves names no crime and no culprit."""
    said = entry.model_dump_json(exclude={"sources"}).lower()
    accusing = ("corrupt", "guilt", "fraud", "crimin", "brib", "suspect")
    assert [word for word in accusing if word in said] == []


def test_an_id_occurs_once(tmp_path: Path) -> None:
    twice = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))[:1] * 2
    path = tmp_path / "catalogue.yaml"
    path.write_text(yaml.safe_dump(twice), encoding="utf-8")
    with pytest.raises(ValueError, match="more than once"):
        load_catalogue(path)
