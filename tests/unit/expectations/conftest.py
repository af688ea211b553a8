from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import pytest

from tidewaiter.canonical import DatasetName, Field, load_dataset
from tidewaiter.settings import Settings
from tidewaiter.warehouse import quote_identifier, quote_literal

ROWS = 100
Writer = Callable[..., Path]

# `i` runs from 0; every landed column of a good table, by what its declaration says.
_SPECIAL = {
    "member_iso2": "'KR'",
    "declaration_id": "'D' || i",
    "registered_at": "timestamp '2020-01-01' + i * interval 1 hour",
    "registered_date": "(timestamp '2020-01-01' + i * interval 1 hour)::date",
    "lane_at": "timestamp '2020-02-01'",
    "assigned_at": "timestamp '2020-02-01'",
    "released_at": "timestamp '2020-02-01'",
    "label_at": "timestamp '2020-02-01'",
    "is_irregular": "i % 5 = 0",
    "hs6": "'070999'",
    "hs_national_code": "'0709990000'",
    "currency_code": "'KRW'",
    "freight_currency_code": "'USD'",
    "tax_currency_code": "'KRW'",
    "origin_iso2": "'CN'",
    "dispatch_iso2": "'CN'",
    "gross_kg": "20",
    "net_kg": "10",
    "valid_from_date": "date '2020-01-01' + i::integer",
    "selection_probability": "0.1",
}
_BY_TYPE = {
    "text": "'A'",
    "integer": "1",
    "decimal": "1.5",
    "boolean": "false",
    "date": "date '2020-01-01'",
    "timestamp": "timestamp '2020-01-01'",
}

FEATURES = {
    "member_iso2": ("'KR'", "VARCHAR"),
    "declaration_id": ("'D' || i", "VARCHAR"),
    "item_no": ("1", "INTEGER"),
    "office_code": ("'010'", "VARCHAR"),
    "registered_at": ("timestamp '2020-01-01'", "TIMESTAMP"),
    "registered_date": ("date '2020-01-01'", "DATE"),
    "hs6": ("'070999'", "VARCHAR"),
    "origin_iso2": ("'CN'", "VARCHAR"),
    "declared_value_usd": ("100 + i", "DOUBLE"),
    "declared_tax_usd": ("8", "DOUBLE"),
    "value__ln_value_usd": ("4.6", "DOUBLE"),
    "value__is_value_zero": ("0", "INTEGER"),
    "novelty__is_product_line_new": ("1", "INTEGER"),
    "value__net_to_gross_ratio": ("0.5", "DOUBLE"),
    "price__ln_ratio_to_reference": ("0.1", "DOUBLE"),
    "price__reference_n": ("12", "INTEGER"),
    "price__supplementary_robust_z": ("0.1", "DOUBLE"),
    "weight__gross_to_net_robust_z": ("0.1", "DOUBLE"),
    "tax__rate_pct": ("8", "DOUBLE"),
    "tax__statutory_gap_pct": ("0", "DOUBLE"),
    "switch__gap_to_own_mean_rate_pct": ("0", "DOUBLE"),
    "switch__hs6_share_of_own_heading": ("0.5", "DOUBLE"),
    "origin__share_of_heading": ("0.5", "DOUBLE"),
    "splitting__earlier_items_n": ("0", "INTEGER"),
    "document__missing_fields_n": ("3", "INTEGER"),
    "profile__importer_rate": ("0.2", "DOUBLE"),
    "profile__office_rate": ("0.2", "DOUBLE"),
    "profile__hs6_rate": ("0.2", "DOUBLE"),
    "profile__office_items_n": ("4", "INTEGER"),
    "profile__hs6_items_n": ("3", "INTEGER"),
    "profile__heading_items_n": ("3", "INTEGER"),
    "profile__chapter_items_n": ("3", "INTEGER"),
    "profile__importer_labelled_n": ("5", "INTEGER"),
    "profile__importer_items_n": ("7", "INTEGER"),
    "novelty__importer_days_since_first": ("i", "DOUBLE"),
    "route__is_dispatch_other_than_origin": ("0", "INTEGER"),
    "route__dispatch_share_of_origin": ("0.9", "DOUBLE"),
    "calendar__month": ("1", "INTEGER"),
}

SCORES = {
    "member_iso2": ("'KR'", "VARCHAR"),
    "declaration_id": ("'D' || i", "VARCHAR"),
    "item_no": ("1", "INTEGER"),
    "office_code": ("'010'", "VARCHAR"),
    "registered_at": ("timestamp '2020-01-01'", "TIMESTAMP"),
    "registered_date": ("date '2020-01-01'", "DATE"),
    "score": ("i / 100.0", "DOUBLE"),
    "probability": ("i / 100.0", "DOUBLE"),
    "expected_recovery_usd": ("i * 3.5", "DOUBLE"),
    "rank_in_office_day": ("100 - i", "INTEGER"),
    "suggested_lane_code": ("'RED'", "VARCHAR"),
    "reason_1": ("case when i > 90 then 'the price is low' end", "VARCHAR"),
    "reason_2": ("null", "VARCHAR"),
    "reason_3": ("null", "VARCHAR"),
    "model_name": ("'tidewaiter-kr'", "VARCHAR"),
    "model_version": ("'3'", "VARCHAR"),
    "run_id": ("repeat('0a', 16)", "VARCHAR"),
    "scored_at": ("timestamp '2026-01-01'", "TIMESTAMP"),
}


def _good_value(field: Field) -> str:
    if field.code_list:
        return quote_literal(field.code_list[0])
    return _SPECIAL.get(field.name, _BY_TYPE[field.type])


def _write(path: Path, columns: Mapping[str, tuple[str, str]], rows: int) -> Path:
    selected = ", ".join(
        f"cast({value} as {kind}) as {quote_identifier(name)}" for name, (value, kind) in columns.items()
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select {selected} from range({rows}) as t(i)) to {quote_literal(path)} (format parquet)"
        )
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", members_dir=tmp_path / "members", threads=2, memory_limit="1GB")


@pytest.fixture
def write_landed(tmp_path: Path) -> Writer:
    """Write a landed table of 100 good rows, with some columns replaced by other SQL."""

    def write(
        changed: Mapping[str, str] | None = None,
        *,
        dataset: DatasetName = "declaration_items",
        rows: int = ROWS,
        without: tuple[str, ...] = (),
        types: Mapping[str, str] | None = None,
        name: str = "rows.parquet",
    ) -> Path:
        declared = load_dataset(dataset)
        values = {field.name: _good_value(field) for field in declared.fields}
        values |= {"extract_id": "'0123456789ab'", "source_file": "'items.csv'", "source_line": "i + 2"}
        values |= changed or {}
        columns = {
            column: (values[column], (types or {}).get(column, kind))
            for column, kind in declared.landed_columns.items()
            if column not in without
        }
        return _write(tmp_path / name, columns, rows)

    return write


def _variant(tmp_path: Path, good: Mapping[str, tuple[str, str]], default_name: str) -> Writer:
    def write(
        changed: Mapping[str, str] | None = None,
        *,
        added: Mapping[str, tuple[str, str]] | None = None,
        without: tuple[str, ...] = (),
        rows: int = ROWS,
        name: str = default_name,
    ) -> Path:
        columns = {
            column: ((changed or {}).get(column, value), kind)
            for column, (value, kind) in good.items()
            if column not in without
        }
        return _write(tmp_path / name, columns | dict(added or {}), rows)

    return write


@pytest.fixture
def write_features(tmp_path: Path) -> Writer:
    """Write a feature mart of 100 good rows of one member."""
    return _variant(tmp_path, FEATURES, "features.parquet")


@pytest.fixture
def write_scores(tmp_path: Path) -> Writer:
    """Write a score batch of 100 good rows."""
    return _variant(tmp_path, SCORES, "scores.parquet")
