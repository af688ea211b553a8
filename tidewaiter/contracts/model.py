"""The contract: how one member's source becomes canonical rows. Read from `members/<code>/contract.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationError, field_validator, model_validator

from tidewaiter.canonical import DatasetName, load_dataset
from tidewaiter.canonical import Field as CanonicalField
from tidewaiter.contracts.fields import SEQUENCE_FIELD, FieldMapping, SequenceBy
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
        header: `on_items` where each row has the values of its declaration's header, `apart` where they
            come in an extract of dataset `declarations`: what an item leaves empty is then the header's.
        one_row_per: Key of the dataset, where the file has several rows for one, such as header values
            repeated on each item: they become one row, and a row that contradicts an earlier one goes to
            quarantine.
        sequence_by: What orders several sendings of one key; without it the order of arrival does.
        fields: Canonical field to its mapping.
    """

    dataset: DatasetName
    location: Location
    files: tuple[str, ...] = ()
    format: Format = CsvFormat()
    archive: Archive = Archive()
    null_values: tuple[str, ...] = ("",)
    refuse_above_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    header: Literal["on_items", "apart"] = "on_items"
    one_row_per: tuple[str, ...] = ()
    sequence_by: SequenceBy | None = None
    fields: dict[str, FieldMapping]

    @model_validator(mode="before")
    @classmethod
    def _sequence_is_a_field(cls, data: Any) -> Any:
        """Map `sequence_no` as `sequence_by` says."""
        fields = data.get("fields") if isinstance(data, dict) else None
        if not isinstance(fields, dict) or data.get("sequence_by") is None:
            return data
        try:
            mapping = SequenceBy.model_validate(data["sequence_by"]).as_mapping
        except ValidationError:
            return data  # reported under its own name
        given = fields.get(SEQUENCE_FIELD)
        if given is not None and FieldMapping.model_validate(given) != FieldMapping.model_validate(mapping):
            raise ValueError(f"give sequence_by or map '{SEQUENCE_FIELD}', not both")
        return data | {"fields": fields | {SEQUENCE_FIELD: mapping}}

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
            if self.requires(known[name])
        ]
        for name, mapping in self.fields.items():
            if name in mappable:
                problems += mapping.problems(known[name], is_required=self.requires(known[name]))
        problems += self._key_problems()
        if self.header == "apart" and self.dataset != "declaration_items":
            problems.append("header: only declaration_items can have their header apart")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _key_problems(self) -> Iterator[str]:
        if not self.one_row_per:
            return
        key = [name for name in load_dataset(self.dataset).primary_key if name != "member_iso2"]
        varying = [name for name in key if name in self.fields and not self.fields[name].is_fixed]
        if not set(varying) <= set(self.one_row_per) <= set(key):
            yield f"one_row_per: expected the key of {self.dataset} as it is mapped: {', '.join(varying)}"

    def requires(self, field: CanonicalField) -> bool:
        """Whether each row of these files must have a value of the field."""
        comes_later = self.header == "apart" and field.may_come_with_header
        return not field.nullable and field.default is None and not comes_later

    def for_file(self, file_name: str) -> Extract:
        """Return the extract with the values that the name of one of its files holds.

        Raises:
            ValueError: Everything that the name should hold and does not.
        """
        if all(mapping.file_name is None for mapping in self.fields.values()):
            return self
        known = load_dataset(self.dataset).by_name
        fields, problems = {}, []
        for name, mapping in self.fields.items():
            try:
                if (found := mapping.for_file(known[name], file_name)) is not None:
                    fields[name] = found
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return self.model_copy(update={"fields": fields})


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

    @model_validator(mode="after")
    def _headers_are_there(self) -> Self:
        datasets = {extract.dataset for extract in self.extracts}
        if "declarations" not in datasets and any(extract.header == "apart" for extract in self.extracts):
            raise ValueError(
                "header: apart needs an entry of dataset declarations, which the headers come in"
            )
        return self
