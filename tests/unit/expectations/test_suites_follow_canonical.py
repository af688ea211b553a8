"""No Great Expectations here: suites and limits are plain data."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from expectations import limits as limits_module
from expectations.limits import SUITES_DIR, TableLimits, load_limits, load_stage_limits
from expectations.suites import build_checks, schema_faults
from tidewaiter.canonical import DATASETS, DatasetName, load_dataset
from tidewaiter.errors import UsageProblem

STAGES = ("landing", "features", "scores")


@pytest.mark.parametrize("name", DATASETS)
def test_landing_covers_every_canonical_field(name: DatasetName) -> None:
    dataset = load_dataset(name)
    table = load_stage_limits("landing").tables[name]
    checks = build_checks("KR", dataset.landed_columns, table)
    schema = next(check for check in checks if check.kind == "schema")
    assert schema.arguments["columns"] == dataset.landed_columns
    covered = {(check.kind, column) for check in checks for column in check.columns}
    for field in dataset.fields:
        required = ("rule", f"{field.name}_where_header_is_not_apart")
        required = required if field.may_come_with_header else ("not_null", field.name)
        assert field.nullable or required in covered, field.name
        bounded = field.minimum is not None or field.maximum is not None
        assert not bounded or ("range", field.name) in covered, field.name
        assert field.code_list is None or ("values", field.name) in covered, field.name
        assert field.pattern is None or ("pattern", field.name) in covered, field.name
    assert {check.arguments["name"] for check in checks if check.kind == "rule"} >= {
        rule.name for rule in dataset.rules
    }
    unique = [set(check.columns) for check in checks if check.kind == "unique"]
    assert {*dataset.primary_key, "extract_id"} in unique


@pytest.mark.parametrize("stage", STAGES)
def test_every_limit_names_existing_columns(stage: limits_module.Stage) -> None:
    for name, table in load_stage_limits(stage).tables.items():
        columns = load_dataset(table.canonical).landed_columns if table.canonical else table.columns
        named = {
            column
            for entries in (
                table.not_null, table.unique, table.one_value, table.max_null_share, table.max_zero_share,
                table.ranges, table.values, table.patterns, table.newest, table.rules,
            )
            for entry in entries
            for column in entry.columns
            if "__" not in column
        }  # fmt: skip
        assert named <= set(columns), name


@pytest.mark.parametrize("stage", STAGES)
def test_every_suite_file_belongs_to_a_stage(stage: str) -> None:
    assert (SUITES_DIR / f"{stage}.yaml").is_file()
    assert {path.stem for path in SUITES_DIR.glob("*.yaml")} == set(STAGES)
    assert load_stage_limits(stage).stage == stage  # type: ignore[arg-type]


def test_every_floating_column_must_be_finite() -> None:
    checks = build_checks("KR", {"a": "DOUBLE", "b": "INTEGER"}, TableLimits(other_columns=True))
    assert [(check.kind, check.columns) for check in checks if check.columns] == [("finite", ("a",))]


def test_the_first_matching_limit_decides() -> None:
    table = TableLimits.model_validate(
        {
            "other_columns": True,
            "ranges": [
                {"columns": ["a_x"], "maximum": 1, "reason": "the special one"},
                {"columns": ["a_*"], "maximum": 2, "reason": "all the others"},
            ],
        }
    )
    checks = build_checks("KR", {"a_x": "INTEGER", "a_y": "INTEGER"}, table)
    assert {check.columns[0]: check.arguments["maximum"] for check in checks if check.kind == "range"} == {
        "a_x": 1,
        "a_y": 2,
    }


def test_schema_faults_name_each_column() -> None:
    table = TableLimits(columns={"a": "INTEGER", "b": "VARCHAR"})
    assert schema_faults({"a": "BIGINT", "c": "DATE"}, table) == {
        "b": "missing, expected VARCHAR",
        "a": "is BIGINT, expected INTEGER",
        "c": "not declared",
    }


def test_a_members_limits_come_first(tmp_path: Path) -> None:
    folder = tmp_path / "xa"
    folder.mkdir()
    (folder / "expectations.yaml").write_text(
        "landing:\n  declaration_items:\n    newest:\n"
        "      - {columns: [registered_date], not_before: 2024-01-01, reason: yearly archive}\n"
        "    max_zero_share:\n      - {columns: [net_kg], share: 0.9, reason: counted in pieces}\n"
    )
    table = load_limits("landing", "XA", tmp_path).tables["declaration_items"]
    assert table.newest[0].not_before == date(2024, 1, 1)
    assert [entry.share for entry in table.max_zero_share if "net_kg" in entry.columns] == [0.9, 0.25]
    assert load_limits("landing", "XB", tmp_path) is load_stage_limits("landing")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("landing: {declaration_item: {}}", "did you mean 'declaration_items'"),
        ("landings: {}", "did you mean 'landing'"),
        ("landing: {declaration_items: {max_null_shares: []}}", "did you mean 'max_null_share'"),
        (
            "landing: {declaration_items: {max_null_share: [{columns: [hs6], share: 2, reason: no reason}]}}",
            "1",
        ),
        ("landing: {declaration_items: {max_null_share: [{columns: [hs6], share: 0.2}]}}", "Field required"),
        ("landing: [", "not YAML"),
    ],
)
def test_wrong_limits_are_explained(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "xa").mkdir()
    (tmp_path / "xa" / "expectations.yaml").write_text(text)
    with pytest.raises(UsageProblem, match=r"expectations\.yaml") as wrong:
        load_limits("landing", "XA", tmp_path)
    assert hint in str(wrong.value)
