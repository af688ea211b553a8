"""What a signal is: its columns, before and after the correction for multiple tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

COMPUTED, BELOW_SUPPORT, NOT_COMPUTABLE = "computed", "below support", "not computable"
SEVERITIES = ("none", "note", "review", "priority")

# What an indicator returns: one row per unit that it looked at.
RAW_SCHEMA = pa.schema(
    [
        ("unit_kind", pa.string()),
        ("unit_id", pa.string()),
        ("counterpart_id", pa.string()),  # the other one of a pair
        ("office_id", pa.string()),
        ("observed", pa.float64()),
        ("expected", pa.float64()),
        ("observed_unit", pa.string()),
        ("effect_name", pa.string()),
        ("effect_size", pa.float64()),
        ("effect_low", pa.float64()),
        ("effect_high", pa.float64()),
        ("effect_unit", pa.string()),
        ("tail", pa.string()),  # high, low or both: where the signal would lie
        ("test_name", pa.string()),
        ("p_value", pa.float64()),
        ("support", pa.float64()),
        ("has_support", pa.bool_()),
        ("revenue_at_stake_usd", pa.float64()),
        ("revenue_low_usd", pa.float64()),
        ("revenue_high_usd", pa.float64()),
        ("reason", pa.string()),  # why there is no signal, where it is not too little support
    ]
)

# A row of the signals' files: one per indicator, member, period and unit.
SIGNAL_SCHEMA = pa.schema(
    [
        ("indicator_id", pa.string()),
        ("member_iso2", pa.string()),
        *(RAW_SCHEMA.field(name) for name in ("unit_kind", "unit_id", "counterpart_id", "office_id")),
        ("period_start", pa.date32()),
        ("period_end", pa.date32()),
        *(
            RAW_SCHEMA.field(name)
            for name in (
                "observed",
                "expected",
                "observed_unit",
                "effect_name",
                "effect_size",
                "effect_low",
                "effect_high",
                "effect_unit",
                "tail",
                "test_name",
                "p_value",
            )
        ),
        ("q_value", pa.float64()),
        RAW_SCHEMA.field("support"),
        ("support_minimum", pa.float64()),
        RAW_SCHEMA.field("has_support"),
        ("is_flagged", pa.bool_()),
        ("severity", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),  # why there is no signal, in words
        ("first_flagged_on", pa.date32()),
        *(RAW_SCHEMA.field(name) for name in ("revenue_at_stake_usd", "revenue_low_usd", "revenue_high_usd")),
        ("innocent_explanations", pa.list_(pa.string())),
        ("checks", pa.list_(pa.string())),
        ("inputs_used", pa.list_(pa.string())),
        ("code_version", pa.string()),
        ("computed_at", pa.timestamp("us")),
    ]
)


def column_meanings() -> dict[str, dict[str, str]]:
    """Return what each column of the tables `signals` and `entities` means."""
    text = Path(__file__).with_name("columns.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = yaml.safe_load(text)
    return found


def raw_table(columns: Mapping[str, Any]) -> pa.Table:
    """Return a table of `RAW_SCHEMA`: a scalar holds for all rows, a column left out is null.

    Numbers that are not finite become null: there is no such count, effect or probability.

    Raises:
        KeyError: A column that signals do not have.
    """
    unknown = set(columns) - set(RAW_SCHEMA.names)
    if unknown:
        raise KeyError(f"no columns of a signal: {', '.join(sorted(unknown))}")
    sized = [column for column in columns.values() if _is_column(column)]
    rows = len(sized[0]) if sized else 0
    return pa.table(
        [_column(columns.get(field.name), field.type, rows) for field in RAW_SCHEMA], schema=RAW_SCHEMA
    )


def no_rows() -> pa.Table:
    """Return a table without rows: nothing to look at in the period."""
    return RAW_SCHEMA.empty_table()


def _is_column(value: Any) -> bool:
    return isinstance(value, np.ndarray | list | pa.Array | pa.ChunkedArray)


def _column(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if value is None:
        return pa.nulls(rows, kind)
    if not _is_column(value):
        return pa.array([value] * rows, kind)
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if isinstance(value, pa.Array):
        return value.cast(kind)
    if pa.types.is_floating(kind):
        numbers = np.asarray(value, dtype=np.float64)
        return pa.array(numbers, kind, mask=~np.isfinite(numbers))
    return pa.array(value, kind)
