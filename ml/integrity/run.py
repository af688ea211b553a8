"""Running the indicators of one member: looks, families, correction, words, files.

A look whose inputs, catalogue entry and code are those of its file is not computed again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.integrity.catalogue import Entry, load_catalogue
from ml.integrity.inputs import Inputs, open_inputs
from ml.integrity.multiplicity import q_values
from ml.integrity.periods import Period, looks
from ml.integrity.signals import (
    BELOW_SUPPORT,
    COMPUTED,
    NOT_COMPUTABLE,
    RAW_SCHEMA,
    SEVERITIES,
    SIGNAL_SCHEMA,
)
from ml.integrity.store import SignalStore
from tidewaiter import fingerprint
from tidewaiter.settings import Settings

logger = logging.getLogger(__name__)

_ROOM = Path(__file__).resolve().parent
# What every signal rests on. Dossiers, funnels and timelines read signals: no look is made again for them.
SHARED_MODULES = (
    "catalogue.py",
    "exact.py",
    "inputs.py",
    "intervals.py",
    "multiplicity.py",
    "periods.py",
    "run.py",
    "signals.py",
    "store.py",
    "indicators/_*.py",
)
_NOTE_P = 0.01  # unflagged, yet worth a line
_PRIORITY_Q = 0.001
_NOWHERE = "none"
_FlaggedSince = dict[tuple[str, str, str | None], date]


@dataclass
class MemberRun:
    """What a run did for one member.

    Attributes:
        looks_computed, looks_unchanged: Indicator and period combinations.
        rows: Signal rows that stand after the run.
        to_be_checked: Units with a flag in their indicator's latest look, by indicator.
        not_computable: Indicator to what the member lacks.
    """

    member_iso2: str
    looks_computed: int = 0
    looks_unchanged: int = 0
    rows: int = 0
    to_be_checked: dict[str, int] = field(default_factory=dict)
    not_computable: dict[str, str] = field(default_factory=dict)

    @property
    def signals_to_be_checked(self) -> int:
        """Sum over the indicators."""
        return sum(self.to_be_checked.values())


def run_member(
    settings: Settings,
    member_iso2: str,
    parameters: Mapping[str, float],
    indicators: Sequence[str] | None = None,
    on_indicator: Callable[[str], None] | None = None,
    *,
    newest_only: bool = False,
) -> MemberRun:
    """Compute what is new of a member's signals and write it.

    Args:
        settings: Where marts and signals are.
        member_iso2: The member.
        parameters: Of the member's contract.
        indicators: Ids; all of the catalogue where left out.
        on_indicator: Told before each indicator, for progress.
        newest_only: Compute each indicator's newest look alone; a later run computes the earlier ones.

    Raises:
        ValueError: An indicator returned rows that break the rules of signals; nothing of it is written.
    """
    # Not at the top: scikit-learn brings it, and reading signals needs neither.
    from threadpoolctl import threadpool_limits

    run = MemberRun(member_iso2)
    # Thousands of small products: threads of BLAS would spin for longer than they work, and the last digit of
    # a sum would depend on how many there are.
    one_thread = threadpool_limits(limits=1, user_api="blas")
    with one_thread, open_inputs(settings, member_iso2, parameters) as inputs:
        for entry in load_catalogue():
            if indicators and entry.id not in indicators:
                continue
            if on_indicator is not None:
                on_indicator(entry.id)
            _run_indicator(settings, inputs, entry, run, newest_only)
    return run


def code_version(entry: Entry) -> str:
    """Return the digest of what computes an indicator: shared modules, its own, its catalogue entry."""
    tree = fingerprint.of_tree(_ROOM, [*SHARED_MODULES, f"indicators/{entry.module_name}.py"])
    return fingerprint.of_json([tree, entry.model_dump(mode="json")])[:12]


def _run_indicator(
    settings: Settings, inputs: Inputs, entry: Entry, run: MemberRun, newest_only: bool
) -> None:
    store = SignalStore(settings, inputs.member_iso2, entry.id)
    lack = _lack(inputs, entry)
    if lack:
        _write_not_computable(store, inputs, entry, run, lack)
        return
    span = inputs.span()
    periods = _periods(entry, *span) if span else []
    if not periods:
        needed = f"a full {entry.looks.every} of data"
        if entry.looks.history_months > 1:
            needed += f", with {entry.looks.history_months} months up to its end"
        _write_not_computable(store, inputs, entry, run, needed)
        return
    tables = [*entry.tables, *(name for name in entry.optional_tables if inputs.has(name))]
    digests = {name: inputs.digests(name) for name in tables}
    version, since, last = code_version(entry), _FlaggedSince(), periods[-1].label
    for period in periods:
        key = _key(version, digests, period, inputs, since)
        if store.is_current(period.label, key):
            run.looks_unchanged += 1
        elif newest_only and period.label != last:
            continue
        else:
            inputs.cut(tables, period)
            random = np.random.default_rng(int(hashlib.sha256(key.encode()).hexdigest()[:16], 16))
            raw = entry.compute()(inputs, entry, random)
            store.write(period.label, key, _signals(raw, entry, inputs, period, version, since))
            run.looks_computed += 1
        for kind, unit, counterpart, flagged_on in store.flagged_units(period.label):
            since.setdefault((kind, unit, counterpart), flagged_on)
            if period.label == last:
                run.to_be_checked[entry.id] = run.to_be_checked.get(entry.id, 0) + 1
    store.keep_only([period.label for period in periods])
    run.rows += store.rows


def _periods(entry: Entry, first_day: date, last_day: date) -> list[Period]:
    plan = entry.looks
    return looks(first_day, last_day, plan.every, plan.window_months, plan.history_months)


def _lack(inputs: Inputs, entry: Entry) -> str:
    """Return what the member lacks for an indicator, in words; empty where it has everything."""
    lacking = inputs.lacks(entry.inputs)
    lacking += [
        f"parameter {name} of the contract" for name in entry.parameters if name not in inputs.parameters
    ]
    if lacking:
        return ", ".join(lacking)
    return ", ".join(f"rows in {name}" for name in entry.tables if not inputs.has(name))


def _key(
    version: str,
    digests: Mapping[str, Mapping[date, str]],
    period: Period,
    inputs: Inputs,
    since: _FlaggedSince,
) -> str:
    """Return the digest of everything that a look rests on."""
    within = {
        name: [
            [str(month), digest] for month, digest in months.items() if period.start <= month <= period.end
        ]
        for name, months in digests.items()
    }
    earlier = sorted([*map(str, unit), str(day)] for unit, day in since.items())
    return fingerprint.of_json([version, within, str(period), inputs.parameters, earlier])


def _signals(
    raw: pa.Table, entry: Entry, inputs: Inputs, period: Period, version: str, since: _FlaggedSince
) -> pa.Table:
    """Return the rows of one look, as they are written."""
    _check(raw, entry)
    if not raw.num_rows:
        return _one_row(entry, inputs, period, version, BELOW_SUPPORT, "no unit to be tested in the period")
    p_values = raw["p_value"].to_numpy(zero_copy_only=False).astype(np.float64)
    has_support = raw["has_support"].to_numpy(zero_copy_only=False).astype(bool)
    p_values[~has_support] = np.nan
    kinds = np.asarray(raw["unit_kind"].to_pylist(), dtype=object)
    q = q_values(p_values, entry.correction, kinds, entry.looks.in_term)
    effect = np.abs(raw["effect_size"].to_numpy(zero_copy_only=False).astype(np.float64))
    is_flagged = (q <= entry.alpha) & (effect >= entry.minimum_effect)
    units = zip(*(raw[name].to_pylist() for name in ("unit_kind", "unit_id", "counterpart_id")), strict=True)
    first = [
        since.get(unit, period.end if flagged else None)
        for unit, flagged in zip(units, is_flagged, strict=True)
    ]
    is_tested = np.isfinite(p_values)
    columns = {name: raw[name] for name in RAW_SCHEMA.names} | {
        "p_value": pa.array(p_values, pa.float64(), mask=~is_tested),
        "q_value": pa.array(q, pa.float64(), mask=~is_tested),
        "is_flagged": pa.array(is_flagged),
        "severity": pa.array(_severities(p_values, q, is_flagged)),
        "status": pa.array(np.where(is_tested, COMPUTED, BELOW_SUPPORT).tolist()),
        "reason": pa.array(_reasons(entry, raw, is_tested, q, effect), pa.string()),
        "first_flagged_on": pa.array(first, pa.date32()),
    }
    return _with_words(columns, raw.num_rows, entry, inputs, period, version)


def _check(raw: pa.Table, entry: Entry) -> None:
    if raw.schema != RAW_SCHEMA:
        raise ValueError(f"{entry.id} returned other columns than signals have")
    p = raw["p_value"]
    bad = pc.sum(pc.or_(pc.less(p, 0.0), pc.greater(p, 1.0)).cast(pa.int64())).as_py() or 0
    untested = pc.sum(pc.and_(raw["has_support"], pc.is_null(p)).cast(pa.int64())).as_py() or 0
    if bad or untested:
        raise ValueError(
            f"{entry.id}: {bad} p-values are no probabilities, {untested} rows with support have none"
        )


def _severities(p_values: np.ndarray, q: np.ndarray, is_flagged: np.ndarray) -> list[str]:
    with np.errstate(invalid="ignore"):
        level = np.where(p_values <= _NOTE_P, 1, 0)
        level = np.where(is_flagged, np.where(q <= _PRIORITY_Q, 3, 2), level)
    return [SEVERITIES[one] for one in level]


def _reasons(
    entry: Entry, raw: pa.Table, is_tested: np.ndarray, q: np.ndarray, effect: np.ndarray
) -> list[str | None]:
    """Say why a row is no signal where that is not plain from its q."""
    is_small = is_tested & (q <= entry.alpha) & (effect < entry.minimum_effect)
    support = raw["support"].to_pylist()
    said: list[str | None] = raw["reason"].to_pylist()
    for place in np.flatnonzero(~is_tested):
        said[place] = said[place] or f"{support[place] or 0:g} {entry.support_unit}, fewer than needed"
    for place in np.flatnonzero(is_small):
        said[place] = f"effect below {entry.minimum_effect:g} {entry.effect_unit}"
    return said


def _with_words(
    columns: Mapping[str, Any], rows: int, entry: Entry, inputs: Inputs, period: Period | None, version: str
) -> pa.Table:
    constant: dict[str, Any] = {
        "indicator_id": entry.id,
        "member_iso2": inputs.member_iso2,
        "period_start": period and period.start,
        "period_end": period and period.end,
        "support_minimum": entry.support_minimum,
        "innocent_explanations": list(entry.innocent_explanations),
        "checks": list(entry.checks),
        "inputs_used": list(entry.inputs),
        "code_version": version,
        "computed_at": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
    }
    arrays = []
    for column in SIGNAL_SCHEMA:
        if column.name in columns:
            arrays.append(columns[column.name])
        else:
            value = pa.array([constant.get(column.name)], column.type)
            arrays.append(value.take(pa.array(np.zeros(rows, dtype=np.int64))))
    return pa.table(arrays, schema=SIGNAL_SCHEMA)


def _one_row(
    entry: Entry, inputs: Inputs, period: Period | None, version: str, status: str, reason: str
) -> pa.Table:
    """Return the row of an indicator that tested nothing: it is never silently absent."""
    columns = {
        "unit_kind": pa.array([entry.unit]),
        "has_support": pa.array([False]),
        "is_flagged": pa.array([False]),
        "severity": pa.array([SEVERITIES[0]]),
        "status": pa.array([status]),
        "reason": pa.array([reason]),
    }
    return _with_words(columns, 1, entry, inputs, period, version)


def _write_not_computable(
    store: SignalStore, inputs: Inputs, entry: Entry, run: MemberRun, lack: str
) -> None:
    """Put one row on record that says what is missing: an indicator is never silently absent."""
    reason = f"not computable: needs {lack}"
    version = code_version(entry)
    key = fingerprint.of_json([version, reason])
    if store.is_current(_NOWHERE, key):
        run.looks_unchanged += 1
    else:
        store.write(_NOWHERE, key, _one_row(entry, inputs, None, version, NOT_COMPUTABLE, reason))
        run.looks_computed += 1
    store.keep_only([_NOWHERE])
    run.rows += store.rows
    run.not_computable[entry.id] = lack
