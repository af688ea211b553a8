"""Suites: which checks a table of a member must pass at a gate.

The landing suite is derived from the canonical model, so that a field declared there is checked here
without another line. Limits in YAML add what the model cannot know. Plain data only; how a check is
run is `expectations.translation`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from expectations.checks import Check, Kind
from expectations.limits import TableLimits
from tidewaiter.canonical import LINEAGE_COLUMNS, Dataset, load_dataset

_FLOATING = frozenset({"DOUBLE", "FLOAT"})
_HEADER_IS_APART = "is_header_apart"
_GLOB_CHARACTERS = frozenset("*?[")


def build_checks(
    member_iso2: str,
    columns: Mapping[str, str],
    limits: TableLimits,
    expected_rows: int | None = None,
    not_sent: Collection[str] = (),
) -> tuple[Check, ...]:
    """Return the checks of one table, in a fixed order.

    A check whose columns are missing or of another type than declared is left out: the schema check
    fails for them by name, and the others would only repeat it.

    Args:
        member_iso2: Member whose rows the table holds.
        columns: The table's actual columns with their DuckDB types.
        limits: The table's limits, the member's own ones first.
        expected_rows: Exact number of rows, where the caller knows it.
        not_sent: Fields that the member need not send: no limit on how many of their values are null, nor on
            those of columns that are made of them.
    """
    dataset = load_dataset(limits.canonical) if limits.canonical else None
    declared = dataset.landed_columns if dataset else limits.columns
    sound = {name: kind for name, kind in columns.items() if declared.get(name, kind) == kind}
    is_whole = not schema_faults(columns, limits)
    checks = [_schema(declared, limits.other_columns), *_row_count(limits, expected_rows)]
    if not limits.holds_all_members and "member_iso2" in sound:
        checks.append(
            Check(
                kind="values",
                columns=("member_iso2",),
                arguments={"values": [member_iso2]},
                reason="Rows of another member would be published under this one's name.",
            )
        )
    if dataset:
        checks += _from_canonical(dataset)
    checks += _from_limits(limits, sound, not_sent)
    if is_whole:
        checks += _rules(dataset, limits)
    checks += _finite(sound, checks)
    return tuple(
        check
        for check in checks
        if _is_runnable(check, sound) and not (check.kind == "null_share" and check.column in not_sent)
    )


def schema_faults(columns: Mapping[str, str], limits: TableLimits) -> dict[str, str]:
    """Return the columns that are missing, mistyped or too many, each with what is wrong."""
    declared = load_dataset(limits.canonical).landed_columns if limits.canonical else limits.columns
    faults = {name: f"missing, expected {kind}" for name, kind in declared.items() if name not in columns}
    faults |= {
        name: f"is {columns[name]}, expected {kind}"
        for name, kind in declared.items()
        if name in columns and columns[name] != kind
    }
    if not limits.other_columns:
        faults |= {name: "not declared" for name in columns if name not in declared}
    return faults


def _is_runnable(check: Check, sound: Mapping[str, str]) -> bool:
    return check.kind in ("schema", "present", "rule") or all(name in sound for name in check.columns)


def _schema(declared: Mapping[str, str], other_columns: bool) -> Check:
    return Check(
        kind="schema",
        arguments={"columns": dict(declared), "other_columns": other_columns},
        reason="The next room reads these columns by name and type.",
    )


def _row_count(limits: TableLimits, expected_rows: int | None) -> Iterator[Check]:
    if expected_rows is not None:
        yield Check(
            kind="row_count",
            arguments={"minimum": expected_rows, "maximum": expected_rows},
            reason="As many rows as the step before handed over: none lost, none twice.",
        )
    elif limits.row_count is not None:
        yield Check(
            kind="row_count",
            arguments={"minimum": limits.row_count.minimum, "maximum": None},
            reason=limits.row_count.reason,
            severity=limits.row_count.severity,
        )


def _from_canonical(dataset: Dataset) -> Iterator[Check]:
    for field in dataset.fields:
        column = (field.name,)
        if field.may_come_with_header:
            yield Check(
                kind="rule",
                columns=(f"{field.name}_where_header_is_not_apart",),
                arguments={
                    "name": f"{field.name}_where_header_is_not_apart",
                    "when": f"not {_HEADER_IS_APART}",
                    "check": f"{field.name} is not null",
                },
                reason=f"Required where the header does not come apart: {field.description}",
            )
        elif not field.nullable:
            yield Check(kind="not_null", columns=column, reason=f"Required: {field.description}")
        if field.minimum is not None or field.maximum is not None:
            bounds = {"minimum": field.minimum, "maximum": field.maximum}
            yield Check(kind="range", columns=column, arguments=bounds, reason=field.description)
        if field.code_list is not None:
            values = {"values": list(field.code_list)}
            yield Check(kind="values", columns=column, arguments=values, reason=field.description)
        if field.pattern is not None:
            pattern = {"pattern": field.pattern}
            yield Check(kind="pattern", columns=column, arguments=pattern, reason=field.description)
    for name in LINEAGE_COLUMNS:
        yield Check(kind="not_null", columns=(name,), reason="Every landed row can be traced to its source.")
    yield Check(
        kind="unique",
        columns=(*dataset.primary_key, "extract_id"),
        reason=f"{dataset.grain} A later extract may bring an item again; one extract may not.",
    )


def _rules(dataset: Dataset | None, limits: TableLimits) -> Iterator[Check]:
    for rule in dataset.rules if dataset else ():
        yield Check(
            kind="rule",
            columns=(rule.name,),
            arguments={"name": rule.name, "when": rule.when, "check": rule.check},
            reason=rule.description,
        )
    for own in limits.rules:
        yield Check(
            kind="rule",
            columns=own.columns,
            arguments={"name": own.name, "when": own.when, "check": own.check},
            reason=own.reason,
            severity=own.severity,
        )


def _from_limits(limits: TableLimits, sound: Mapping[str, str], not_sent: Collection[str]) -> Iterator[Check]:
    for group in limits.unique:
        yield Check(kind="unique", columns=group.columns, reason=group.reason, severity=group.severity)
    listed = (
        *_spread("not_null", limits.not_null, sound, lambda _: {}),
        *_spread("one_value", limits.one_value, sound, lambda _: {}),
        *map(
            _unless_header_is_apart(sound),
            _spread(
                "null_share",
                limits.max_null_share,
                sound,
                lambda limit: {"share": limit.share},
                lambda limit: limit.is_asked(not_sent),
            ),
        ),
        *_spread("zero_share", limits.max_zero_share, sound, lambda limit: {"share": limit.share}),
        *_spread(
            "range", limits.ranges, sound, lambda limit: limit.model_dump(include={"minimum", "maximum"})
        ),
        *_spread("values", limits.values, sound, lambda limit: {"values": list(limit.values)}),
        *_spread("pattern", limits.patterns, sound, lambda limit: {"pattern": limit.pattern}),
        *_spread("newest", limits.newest, sound, lambda limit: {"not_before": limit.not_before}),
    )
    yield from listed


def _unless_header_is_apart(sound: Mapping[str, str]) -> Callable[[Check], Check]:
    """Return what keeps an item's check from columns that it has from a header still to come."""
    if _HEADER_IS_APART not in sound:
        return lambda check: check
    with_header = load_dataset("declarations").by_name

    def narrowed(check: Check) -> Check:
        if check.columns[0] not in with_header:
            return check
        return check.model_copy(update={"arguments": check.arguments | {"unless": _HEADER_IS_APART}})

    return narrowed


def _spread(
    kind: Kind,
    entries: Iterable[Any],
    columns: Mapping[str, str],
    arguments: Callable[[Any], dict[str, Any]],
    is_asked: Callable[[Any], bool] = lambda _: True,
) -> Iterator[Check]:
    """Yield one check per column: the first entry that matches it decides, if only that none is asked.

    A glob that matches nothing yields a check that fails, or a renamed column would go unchecked.
    """
    taken: set[str] = set()
    for entry in entries:
        for pattern in entry.columns:
            matching = [name for name in columns if fnmatchcase(name, pattern)]
            if not matching and _GLOB_CHARACTERS & set(pattern):
                yield Check(kind="present", columns=(pattern,), reason=entry.reason, severity=entry.severity)
            for name in matching:
                if name in taken:
                    continue
                taken.add(name)
                if is_asked(entry):
                    yield Check(
                        kind=kind,
                        columns=(name,),
                        arguments=arguments(entry),
                        reason=entry.reason,
                        severity=entry.severity,
                    )


def _finite(sound: Mapping[str, str], checks: Iterable[Check]) -> Iterator[Check]:
    ranged = {name for check in checks if check.kind == "range" for name in check.columns}
    for name, kind in sound.items():
        if kind in _FLOATING and name not in ranged:
            yield Check(
                kind="finite",
                columns=(name,),
                reason="NaN and infinity come from a division by zero and poison every mean after it.",
            )
