"""Limits of the suites, as people write them: `suites/*.yaml` and a member's `expectations.yaml`.

Reading and checking only. What a limit turns into is `expectations.suites`' business. For each kind of
limit and each column the first entry that matches applies, and a member's own entries come first.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidewaiter.canonical import DatasetName
from tidewaiter.errors import Problem, UsageProblem, closest

Stage = Literal["landing", "features", "scores"]
Severity = Literal["error", "warn"]

SUITES_DIR = Path(__file__).resolve().parent / "suites"
MEMBER_FILE = "expectations.yaml"

_Reason = Annotated[str, Field(min_length=10)]
_Columns = Annotated[tuple[str, ...], Field(min_length=1)]
_Model = TypeVar("_Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Limit(_Strict):
    columns: _Columns
    reason: _Reason
    severity: Severity = "error"


class ColumnsLimit(_Limit):
    """Columns that must be filled, be unique together, or hold one value.

    Attributes:
        columns: Names; globs such as `profile__*_rate` where each column stands for itself.
        reason: Why the limit is what it is.
        severity: `error` refuses, `warn` is reported only.
    """


class RangeLimit(_Limit):
    """Inclusive bounds in the column's unit; null passes."""

    minimum: date | float | None = None
    maximum: date | float | None = None


class ShareLimit(_Limit):
    """Largest share of rows, 0 to 1, that may be as the list's name says.

    Attributes:
        needs: Canonical fields that the columns are made of: groups, of each of which one is enough. Where
            a member sends none of a group, the columns are empty for everybody to know, and the limit is off.
    """

    share: float = Field(ge=0, le=1)
    needs: tuple[tuple[str, ...], ...] = ()

    def is_asked(self, not_sent: Collection[str]) -> bool:
        """Whether the limit holds for a member that does not send these fields."""
        return not any(set(group) <= set(not_sent) for group in self.needs)


class ValuesLimit(_Limit):
    """Closed list of values; null passes."""

    values: Annotated[tuple[str | int, ...], Field(min_length=1)]


class PatternLimit(_Limit):
    """Regular expression that the whole value must match; null passes."""

    pattern: str


class RuleLimit(_Strict):
    """A condition within one row.

    Attributes:
        columns: Columns to name when it is broken.
        when: SQL; the rule applies where this is true.
        check: SQL that must then be true.
    """

    name: str
    columns: _Columns
    when: str = "true"
    check: str
    reason: _Reason
    severity: Severity = "error"


class RowCountLimit(_Strict):
    """Fewest rows of the table."""

    minimum: int = Field(ge=0)
    reason: _Reason
    severity: Severity = "error"


class NewestLimit(_Limit):
    """Freshness: the column's largest value is this day or later.

    A day, not an age: the same rows get the same verdict whenever they are asked about.
    """

    not_before: date


class TableLimits(_Strict):
    """Limits of one table.

    Attributes:
        canonical: Dataset whose declaration the suite is derived from.
        holds_all_members: Rows of all members share the file; the gate looks at one member's.
        columns: Columns that must be there, with their DuckDB types; from `canonical` where that is set.
        other_columns: Whether there may be more columns than those.
    """

    canonical: DatasetName | None = None
    holds_all_members: bool = False
    columns: dict[str, str] = {}
    other_columns: bool = False
    row_count: RowCountLimit | None = None
    not_null: tuple[ColumnsLimit, ...] = ()
    unique: tuple[ColumnsLimit, ...] = ()
    one_value: tuple[ColumnsLimit, ...] = ()
    max_null_share: tuple[ShareLimit, ...] = ()
    max_zero_share: tuple[ShareLimit, ...] = ()
    ranges: tuple[RangeLimit, ...] = ()
    values: tuple[ValuesLimit, ...] = ()
    patterns: tuple[PatternLimit, ...] = ()
    newest: tuple[NewestLimit, ...] = ()
    rules: tuple[RuleLimit, ...] = ()


class StageLimits(_Strict):
    """Limits of all tables of one gate.

    Attributes:
        main_table: Table that a path without a name and the expected number of rows refer to.
    """

    stage: Stage
    main_table: str
    tables: dict[str, TableLimits]


class MemberTableLimits(_Strict):
    """What one member may limit differently."""

    row_count: RowCountLimit | None = None
    max_null_share: tuple[ShareLimit, ...] = ()
    max_zero_share: tuple[ShareLimit, ...] = ()
    ranges: tuple[RangeLimit, ...] = ()
    newest: tuple[NewestLimit, ...] = ()


class MemberLimits(_Strict):
    """One member's `expectations.yaml`: its own limits per gate and table."""

    landing: dict[str, MemberTableLimits] = {}
    features: dict[str, MemberTableLimits] = {}
    scores: dict[str, MemberTableLimits] = {}


_MODELS: tuple[type[BaseModel], ...] = (
    StageLimits, TableLimits, MemberLimits, MemberTableLimits, ColumnsLimit, RangeLimit, ShareLimit,
    ValuesLimit, PatternLimit, RuleLimit, RowCountLimit, NewestLimit,
)  # fmt: skip


@cache
def load_stage_limits(stage: Stage) -> StageLimits:
    """Return the limits of one gate.

    Raises:
        UsageProblem: The YAML is written wrongly; every problem at once.
    """
    return _read(SUITES_DIR / f"{stage}.yaml", StageLimits)


def load_limits(stage: Stage, member_iso2: str, members_dir: Path) -> StageLimits:
    """Return the limits of one gate with the member's own `expectations.yaml` put before them.

    Raises:
        UsageProblem: One of the files is written wrongly, or names a table the gate does not have.
    """
    limits = load_stage_limits(stage)
    path = members_dir / member_iso2.lower() / MEMBER_FILE
    if not path.is_file():
        return limits
    own: dict[str, MemberTableLimits] = getattr(_read(path, MemberLimits), stage)
    unknown = [table for table in own if table not in limits.tables]
    if unknown:
        raise UsageProblem(
            Problem(f"unknown table '{table}'{closest(table, limits.tables)}", where=f"{path}: {stage}")
            for table in unknown
        )
    tables = {
        name: _with_own(table, own[name]) if name in own else table for name, table in limits.tables.items()
    }
    return limits.model_copy(update={"tables": tables})


def _with_own(table: TableLimits, own: MemberTableLimits) -> TableLimits:
    lists = {
        name: (*getattr(own, name), *getattr(table, name))
        for name in MemberTableLimits.model_fields
        if name != "row_count"
    }
    return table.model_copy(update=lists | {"row_count": own.row_count or table.row_count})


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageProblem(Problem(f"not YAML: {error}", where=str(path))) from None
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise UsageProblem(
            Problem(
                detail["msg"] + _suggestion(detail),
                where=f"{path}: {'.'.join(str(part) for part in detail['loc']) or 'file'}",
                next_step=f"correct {path.name}",
            )
            for detail in error.errors()
        ) from None


def _suggestion(detail: Any) -> str:
    if detail["type"] != "extra_forbidden":
        return ""
    name = str(detail["loc"][-1])
    return f": '{name}'{closest(name, {field for model in _MODELS for field in model.model_fields})}"
