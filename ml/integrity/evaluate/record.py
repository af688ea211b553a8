"""What is kept of a world: its flags, the parts that were played in it, and how often those were tested.

Enough to judge the world again when a rule changes, without drawing it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from ml.integrity.catalogue import load_catalogue
from ml.integrity.evaluate.parts import Part
from ml.integrity.evaluate.rules import Rules, load_rules, rule_for
from ml.integrity.evaluate.truth import Witnessed
from ml.integrity.evaluate.worlds import WorldSpec
from ml.integrity.run import SHARED_MODULES
from ml.integrity.signals import COMPUTED, NOT_COMPUTABLE
from ml.integrity.store import read_signals, signals_folder
from tidewaiter import fingerprint
from tidewaiter.settings import PROJECT_ROOT, Settings
from tidewaiter.warehouse import open_duckdb

# What decides the signals of a world: the indicators, the SQL that feeds them, and the generator.
SOURCES = (
    *(f"ml/integrity/{name}" for name in SHARED_MODULES),
    "ml/integrity/catalogue.yaml",
    "ml/integrity/indicators/*.py",
    "ml/integrity/evaluate/parts.py",
    "ml/integrity/evaluate/traces.py",
    "ml/integrity/evaluate/truth.py",
    "ml/integrity/evaluate/record.py",
    "ml/integrity/evaluate/worlds.py",
    "dbt_project/macros/counts_within_strata.sql",
    "dbt_project/macros/digit_sums.sql",
    "dbt_project/macros/versions.sql",
    "dbt_project/models/intermediate/integrity/*.sql",
    "dbt_project/models/marts/integrity/*.sql",
    "tidewaiter/synthetic/**/*.py",
)

_FLAGS = """
    select
        indicator_id, unit_kind, unit_id, counterpart_id, tail, period_start, period_end, p_value, q_value,
        effect_size, observed, expected, support, revenue_at_stake_usd
    from signals
    where is_flagged
    order by indicator_id, period_end, unit_kind, unit_id, counterpart_id, tail
"""
_INDICATORS = """
    select
        indicator_id, count(*) filter (status = ?) as tests,
        count(*) filter (status <> ?) as below_support, max(reason) filter (status = ?) as lack
    from signals
    group by indicator_id
    order by indicator_id
"""
# An indicator that found nobody to look at.
_NO_ROWS = {"tests": 0, "below_support": 0, "lack": None}
# Where each part was looked at: how often with support, when first, and how near it came to a flag.
_LOOKED_AT = """
    select
        asked.place, asked.indicator_id, asked.unit_kind,
        count(*) filter (status = ?) as tests,
        min(period_end) filter (status = ?) as first_tested_on,
        min(q_value) as least_q,
        arg_max(signals.support, period_end) as support,
        arg_max(observed, period_end) as observed,
        arg_max(expected, period_end) as expected
    from asked
    inner join signals
        on
            asked.indicator_id = signals.indicator_id
            and asked.unit_kind = signals.unit_kind
            and asked.unit_id = signals.unit_id
            and (asked.counterpart_id is null or asked.counterpart_id = signals.counterpart_id)
            and signals.period_end >= asked.starts_on
            and (asked.ends_on is null or signals.period_start <= asked.ends_on)
            and (asked.tail = 'any' or signals.tail = 'both' or asked.tail = signals.tail)
    group by all
    order by all
"""


def code_version() -> str:
    """Return the digest of everything that decides a world's signals."""
    project = yaml.safe_load((PROJECT_ROOT / "dbt_project" / "dbt_project.yml").read_text(encoding="utf-8"))
    own = {name: value for name, value in project["vars"].items() if name.startswith("integrity_")}
    return fingerprint.of_json([fingerprint.of_tree(PROJECT_ROOT, SOURCES), own])[:12]


def make_record(
    settings: Settings,
    spec: WorldSpec,
    member_iso2: str,
    world: Witnessed,
    cost: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Return what is kept of a world whose signals stand in this home; `cost` is asked at the end."""
    signals, rules = read_signals(settings, [member_iso2]), load_rules()
    entries = {entry.id: entry for entry in load_catalogue()}
    with open_duckdb(settings) as connection:
        connection.register("signals", signals)
        flags = connection.execute(_FLAGS).to_arrow_table().to_pylist()
        counted = connection.execute(_INDICATORS, [COMPUTED, COMPUTED, NOT_COMPUTABLE]).to_arrow_table()
        connection.register("asked", _asked(signals, world.parts, rules))
        looked_at = connection.execute(_LOOKED_AT, [COMPUTED, COMPUTED]).to_arrow_table().to_pylist()
    rows = {row.pop("indicator_id"): row for row in counted.to_pylist()}
    indicators = {
        name: rows.get(name, _NO_ROWS)
        | {
            "looks": _looks(settings, member_iso2, name),
            "in_term": entry.looks.in_term,
            "every": entry.looks.every,
            "alpha": entry.alpha,
        }
        for name, entry in entries.items()
        if not spec.indicators or name in spec.indicators
    }
    found: dict[str, Any] = _plain(
        {
            "world": spec.as_json(),
            "code_version": code_version(),
            "cost": cost(),
            "indicators": indicators,
            "parts": [part.as_json() for part in world.parts],
            "evidence": world.evidence,
            "looked_at": looked_at,
            "flags": flags,
        }
    )
    return found


def _looks(settings: Settings, member_iso2: str, indicator_id: str) -> int:
    """Return how often an indicator looked, whether or not there was a unit to look at."""
    return len(list(signals_folder(settings, member_iso2).glob(f"indicator={indicator_id}/*.parquet")))


def _asked(signals: pa.Table, parts: Sequence[Part], rules: Rules) -> pa.Table:
    """Return which parts each kind of unit is expected to show, by place in the list of parts."""
    kinds = signals.group_by(["indicator_id", "unit_kind", "status"]).aggregate([]).to_pylist()
    rows = []
    for indicator, kind in sorted(
        {(row["indicator_id"], row["unit_kind"]) for row in kinds if row["status"] == COMPUTED}
    ):
        rule = rule_for(rules, indicator, kind)
        rows += [
            {
                "place": place,
                "indicator_id": indicator,
                "unit_kind": kind,
                "unit_id": part.unit_id,
                "counterpart_id": part.counterpart_id,
                "starts_on": part.starts_on,
                "ends_on": part.ends_on,
                "tail": rule.expected[part.scenario],
            }
            for place, part in enumerate(parts)
            if part.role == rule.role and part.scenario in rule.expected and rule.role != "set"
        ]
    schema = pa.schema(
        [
            ("place", pa.int64()),
            *((name, pa.string()) for name in ("indicator_id", "unit_kind", "unit_id", "counterpart_id")),
            ("starts_on", pa.date32()),
            ("ends_on", pa.date32()),
            ("tail", pa.string()),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _plain(value: Any) -> Any:
    """Return the value with dates as text, for JSON."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def world_path(folder: Path, spec: WorldSpec) -> Path:
    """Return the file of a world, in the folder of the code version it was made by."""
    return folder / code_version() / f"{spec.name}.json"
