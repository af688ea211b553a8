"""The contract: how one member's source becomes canonical rows. Read from `members/<code>/contract.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from tidewaiter.canonical import DatasetName, load_dataset
from tidewaiter.canonical import Field as CanonicalField
from tidewaiter.contracts.formats import Archive, CsvFormat, Format
from tidewaiter.contracts.location import FolderLocation, Location
from tidewaiter.contracts.remote import S3Location, SftpLocation
from tidewaiter.contracts.strict import Strict, inside
from tidewaiter.errors import closest

_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def fill_parameters(expression: str, parameters: Mapping[str, int | float]) -> str:
    """Return the expression with each `{name}` replaced by the contract's parameter of that name.

    Raises:
        KeyError: There is no such parameter; a checked contract has them all.
    """
    return _PARAMETER.sub(lambda found: repr(parameters[found[1]]), expression)


class FieldMapping(Strict):
    """How one canonical field is filled: exactly one of column, constant, expression.

    Attributes:
        column: Name of the source column, or several that it may have: the one that the file has is used.
        constant: The same value on every row.
        expression: DuckDB SQL over source columns (quoted names, all text) that yields text or the
            canonical type. `{name}` is replaced by the contract's parameter of that name.
        formats: strptime formats of dates and timestamps, tried in order.
        codes: Source spelling to canonical value; a spelling not listed goes to quarantine.
        optional: The source column may be missing from a file; the field is then null.
    """

    column: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
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

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names that the source column may have, the usual one first; none without a column."""
        return (self.column,) if isinstance(self.column, str) else self.column or ()


class Extract(Strict):
    """One kind of file that the member sends.

    Attributes:
        dataset: Canonical table that the rows land in.
        files: Glob patterns within the location; every matching file is one extract. A web server or a
            database needs none: what it sends is one file each.
        format: How they read; CSV by default.
        archive: Limits of compressed files, and which files of an archive belong here.
        null_values: Spellings of "no value", compared after trimming.
        refuse_above_quarantined_share: Share of quarantined rows above which the whole extract is
            refused and only the evidence kept.
        fields: Canonical field to its mapping.
    """

    dataset: DatasetName
    location: Location
    files: tuple[str, ...] = ()
    format: Format = CsvFormat()
    archive: Archive = Archive()
    null_values: tuple[str, ...] = ("",)
    refuse_above_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    fields: dict[str, FieldMapping]

    @field_validator("files")
    @classmethod
    def _patterns_stayinside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(inside(pattern) for pattern in value)

    @model_validator(mode="after")
    def _files_are_named(self) -> Self:
        has_folder = isinstance(self.location, FolderLocation | S3Location | SftpLocation)
        if has_folder and not self.files:
            raise ValueError("files: give at least one pattern")
        if self.files and not has_folder:
            raise ValueError(f"files: a location of kind {self.location.kind} takes none")
        return self

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


class Contract(Strict):
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
    parameters: dict[str, int | float] = Field(default_factory=dict)
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
