"""Every model says what a row is, who owns it, what its key is, and what each column means."""

from __future__ import annotations

from typing import Any

import pytest
import yaml


def _nodes(built: Any, kind: str) -> list[dict[str, Any]]:
    return [node for node in built.nodes().values() if node["resource_type"] == kind]


def test_descriptions_open_with_the_grain(built: Any) -> None:
    models = _nodes(built, "model")
    assert len(models) >= 16
    assert [m["name"] for m in models if not m["description"].startswith("One row per ")] == []


def test_every_model_has_an_owner(built: Any) -> None:
    owners = {m["name"]: m["config"]["meta"].get("owner") for m in _nodes(built, "model")}
    assert set(owners.values()) == {"data-engineering", "data-science"}, owners


def test_the_declared_primary_key_is_the_tested_one(built: Any) -> None:
    tested = {
        (test["attached_node"], tuple(test["test_metadata"]["kwargs"]["columns"]))
        for test in _nodes(built, "test")
        if test.get("test_metadata", {}).get("name") == "primary_key"
    }
    declared = {(m["unique_id"], tuple(m["config"]["meta"]["primary_key"])) for m in _nodes(built, "model")}
    assert declared <= tested


def test_every_built_column_is_described_and_no_other(built: Any) -> None:
    with built.open() as connection:
        rows = connection.execute(
            "select schema_name || '.' || table_name, list(column_name) from duckdb_columns() group by all"
        ).fetchall()
    built_columns = {name: set(columns) for name, columns in rows}
    for model in _nodes(built, "model"):
        described = {name for name, column in model["columns"].items() if column["description"]}
        assert described == built_columns[f"{model['schema']}.{model['alias']}"], model["name"]


def test_schemas_carry_no_prefix(built: Any) -> None:
    schemas = {model["schema"] for model in _nodes(built, "model")}
    assert schemas == {"staging", "intermediate", "trade", "features", "scores", "integrity"}


def test_contracts_are_enforced_on_whatever_is_published(built: Any) -> None:
    enforced = {m["schema"] for m in _nodes(built, "model") if m["config"]["contract"]["enforced"]}
    assert enforced == {"trade", "features", "scores"}


def test_descriptions_reach_the_warehouse(built: Any) -> None:
    with built.open() as connection:
        undocumented = connection.execute(
            "select table_name, column_name from duckdb_columns()"
            " where schema_name in ('trade', 'features', 'scores') and comment is null"
        ).fetchall()
    assert undocumented == []


def test_docs_are_generated_offline(built: Any) -> None:
    built.dbt("docs", "generate", "--no-compile")
    catalog = (built.home / "dbt" / "catalog.json").read_text(encoding="utf-8")
    assert all(model["unique_id"] in catalog for model in _nodes(built, "model"))


def test_entity_keys_tell_entities_apart(built: Any, request: pytest.FixtureRequest) -> None:
    """A hash stands for its columns: as many keys as entities, and none where a column is missing."""
    project = yaml.safe_load((request.config.rootpath / "dbt_project" / "dbt_project.yml").read_text())
    entities = project["vars"]["entities"] | project["vars"]["counted_entities"]
    with built.open() as connection:
        for entity, columns in entities.items():
            required = [] if entity == "product_line" else columns
            present = " and ".join(["true", *(f"{column} is not null" for column in required)])
            row = connection.execute(
                f"""
                with items as (
                    select current_items.*, keys.{entity}_key as entity_key
                    from intermediate.int_declaration_items__current as current_items
                    join intermediate.int_declaration_items__entity_keys as keys using (item_index)
                )
                select
                    count(distinct ({", ".join(["member_iso2", *columns, "1"])})) filter ({present}),
                    count(distinct entity_key),
                    bool_and((entity_key is not null) = ({present}))
                from items
                """
            ).fetchone()
            assert row is not None
            expected, keys, agreeing = row
            assert (keys, agreeing) == (expected, True), entity
