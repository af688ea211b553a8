"""The contract: how one member's source becomes canonical rows. Read from `members/<code>/contract.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tidewaiter.canonical import DatasetName, load_dataset
from tidewaiter.canonical import Field as CanonicalField
from tidewaiter.errors import closest

_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def fill_parameters(expression: str, parameters: Mapping[str, int | float]) -> str:
    """Return the expression with each `{name}` replaced by the contract's parameter of that name.

    Raises:
        KeyError: There is no such parameter; a checked contract has them all.
    """
    return _PARAMETER.sub(lambda found: repr(parameters[found[1]]), expression)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _inside(path: str) -> str:
    """Return a relative path that stays below its folder, or raise: contracts are passed around."""
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"'{path}' must be a relative path without '..'")
    return path


class Location(_Strict):
    """Where the bytes are: exactly one of the three.

    Attributes:
        env: Name of an environment variable that holds a folder. Unset means nothing to land.
        home: Folder relative to `TIDEWAITER_HOME`.
        member: Folder relative to the member's own folder.
    """

    env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    home: str | None = None
    member: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.home, self.member)) != 1:
            raise ValueError("give exactly one of env, home, member")
        return self

    @field_validator("home", "member")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        return value if value is None else _inside(value)


class CsvFormat(_Strict):
    """A delimited text file with a header line."""

    kind: Literal["csv"] = "csv"
    delimiter: str = Field(default=",", min_length=1, max_length=4)
    quote: str = Field(default='"', max_length=1)
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    decimal_mark: Literal[".", ","] = "."
    thousands_mark: Literal[".", ",", " ", "'"] | None = None

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal_mark == self.thousands_mark:
            raise ValueError("decimal_mark and thousands_mark must differ")
        return self


class FieldMapping(_Strict):
    """How one canonical field is filled: exactly one of column, constant, expression.

    Attributes:
        column: Name of the source column.
        constant: The same value on every row.
        expression: DuckDB SQL over source columns (quoted names, all text) that yields text or the
            canonical type. `{name}` is replaced by the contract's parameter of that name.
        formats: strptime formats of dates and timestamps, tried in order.
        codes: Source spelling to canonical value; a spelling not listed goes to quarantine.
        optional: The source column may be missing from a file; the field is then null.
    """

    column: str | None = None
    constant: str | int | float | bool | None = None
    expression: str | None = None
    formats: tuple[str, ...] = ()
    codes: dict[str, str | int | float | bool] | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.column, self.constant, self.expression)) != 1:
            raise ValueError("give exactly one of column, constant, expression")
        return self


class Extract(_Strict):
    """One kind of file that the member sends.

    Attributes:
        dataset: Canonical table that the rows land in.
        files: Glob patterns within the location; every matching file is one extract.
        null_values: Spellings of "no value", compared after trimming.
        refuse_above_quarantined_share: Share of quarantined rows above which the whole extract is
            refused and only the evidence kept.
        fields: Canonical field to its mapping.
    """

    dataset: DatasetName
    location: Location
    files: tuple[str, ...] = Field(min_length=1)
    format: CsvFormat = CsvFormat()
    null_values: tuple[str, ...] = ("",)
    refuse_above_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    fields: dict[str, FieldMapping]

    @field_validator("files")
    @classmethod
    def _patterns_stay_inside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_inside(pattern) for pattern in value)

    @model_validator(mode="after")
    def _fields_are_canonical(self) -> Self:
        known = load_dataset(self.dataset).by_name
        mappable = {name for name, field in known.items() if not field.set_by_landing}
        problems = [
            f"'{name}' is not a field of {self.dataset} that a contract can map{closest(name, mappable)}"
            for name in self.fields
            if name not in mappable
        ]
        problems += [
            f"'{name}' is required and not mapped"
            for name in sorted(mappable - set(self.fields))
            if not known[name].nullable and known[name].default is None
        ]
        for name, mapping in self.fields.items():
            if name in mappable:
                problems += _mapping_problems(known[name], mapping)
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _mapping_problems(field: CanonicalField, mapping: FieldMapping) -> list[str]:
    problems = []
    if mapping.optional and not field.nullable and field.default is None:
        problems.append(f"'{field.name}' is required and cannot be optional")
    if mapping.optional and mapping.constant is not None:
        problems.append(f"'{field.name}' is a constant and cannot be optional")
    if mapping.formats and field.type not in ("date", "timestamp"):
        problems.append(f"'{field.name}' is neither a date nor a timestamp and takes no formats")
    with_offset = sum("%z" in form for form in mapping.formats)
    if with_offset not in (0, len(mapping.formats)):
        problems.append(f"the formats of '{field.name}' must all have an offset (%z), or none")
    return problems


class Contract(_Strict):
    """Everything Tidewaiter knows about one member.

    Attributes:
        member: ISO 3166-1 alpha-2 code; XA to XZ are synthetic.
        time_zone: IANA name of the zone in which the source's times are written.
        owner: Whom to ask when an extract is refused.
        parameters: Values that expressions may use as `{name}`.
    """

    member: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    name: str
    owner: str
    source: str
    time_zone: str = "UTC"
    parameters: dict[str, int | float] = {}
    extracts: tuple[Extract, ...] = Field(min_length=1)

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"unknown time zone '{value}'{closest(value, available_timezones())}")
        ZoneInfo(value)
        return value

    @model_validator(mode="after")
    def _parameters_are_known(self) -> Self:
        problems = [
            f"the expression of '{field}' uses the unknown parameter '{name}'{closest(name, self.parameters)}"
            for extract in self.extracts
            for field, mapping in extract.fields.items()
            for name in _PARAMETER.findall(mapping.expression or "")
            if name not in self.parameters
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self
