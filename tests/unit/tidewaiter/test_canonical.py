"""The canonical model is consistent with itself."""

from __future__ import annotations

import duckdb
import pytest

from tidewaiter.canonical import DATASETS, LINEAGE_COLUMNS, load_dataset


@pytest.mark.parametrize("name", DATASETS)
def test_the_primary_key_and_every_bound_make_sense(name):
    dataset = load_dataset(name)
    for key in dataset.primary_key:
        assert not dataset.field(key).nullable
    for field in dataset.fields:
        if field.code_list is not None or field.pattern is not None:
            assert field.type == "text", field.name
        if field.is_pseudonymised:
            assert (field.type, field.pattern, field.code_list) == ("text", None, None), field.name
            assert field.name.endswith("_id")
        if isinstance(field.minimum, str):
            assert field.type in ("date", "timestamp"), field.name


@pytest.mark.parametrize("name", DATASETS)
def test_names_are_unique_described_and_end_with_the_lineage(name):
    dataset = load_dataset(name)
    names = [field.name for field in dataset.fields]
    assert len(names) == len(set(names))
    assert not set(names) & set(LINEAGE_COLUMNS)
    assert list(dataset.landed_columns) == [*names, *LINEAGE_COLUMNS]
    assert all(field.description.endswith(".") for field in dataset.fields)


@pytest.mark.parametrize("name", DATASETS)
def test_every_rule_is_a_condition_over_the_columns(name):
    dataset = load_dataset(name)
    columns = ", ".join(
        f"cast(null as {kind}) as {column}" for column, kind in dataset.landed_columns.items()
    )
    with duckdb.connect() as connection:
        for rule in dataset.rules:
            query = f"select typeof(({rule.when}) and not ({rule.check})) from (select {columns})"
            assert connection.execute(query).fetchone() == ("BOOLEAN",), rule.name


def test_the_fingerprint_follows_the_declaration():
    dataset = load_dataset("exchange_rates")
    changed = dataset.model_copy(update={"grain": "another"})
    assert dataset.fingerprint == load_dataset("exchange_rates").fingerprint
    assert dataset.fingerprint != changed.fingerprint
    with pytest.raises(KeyError):
        dataset.field("no_such_field")
