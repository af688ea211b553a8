"""How one canonical field is filled, and what of it can be told to be wrong without a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tidewaiter.canonical import Field as CanonicalField
from tidewaiter.canonical.units import Unit, measure_of
from tidewaiter.contracts.code_maps import merge_codes
from tidewaiter.contracts.strict import Strict
from tidewaiter.errors import closest

SEQUENCE_FIELD = "sequence_no"
# Context of validation: the member's folder, in which the files that a contract names lie.
FOLDER = "folder"

_SOURCES = ("column", "constant", "expression", "file_name")


def checked_file_pattern(pattern: str) -> str:
    """Return a regular expression that finds one value in a file name, or raise ValueError."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"'{pattern}' is not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"'{pattern}' has {groups} groups; put the value into one, as in '_(\\d{{8}})'")
    return pattern


class FieldMapping(Strict):
    """How one canonical field is filled: exactly one of column, constant, expression, file_name.

    Attributes:
        column: Name of the source column, or several that it may have: the one that the file has is used.
        constant: The same value on every row.
        expression: DuckDB SQL over source columns (quoted names, all text) that yields text or the
            canonical type. `{name}` is replaced by the contract's parameter of that name.
        file_name: Regular expression, searched in the file's name; its one group is the value of every row.
        formats: strptime formats of dates and timestamps, tried in order.
        unit: Unit that the source uses, where it is not the field's own; see the units below.
        codes: Source spelling to canonical value, or to `null` for no value; a spelling that is listed
            nowhere goes to quarantine.
        codes_file: CSV file beside the contract with the columns `source` and `canonical`; what `codes`
            says goes before it.
        codes_list: Built-in list of codes, see below; what `codes` and `codes_file` say goes before it.
        optional: The source column may be missing from a file; the field is then null.
    """

    column: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    constant: str | int | float | bool | None = None
    expression: str | None = None
    file_name: str | None = None
    formats: tuple[str, ...] = ()
    unit: str | None = None
    codes: dict[str, str | int | float | bool | None] | None = None
    codes_file: str | None = None
    codes_list: str | None = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _codes_in_one_place(cls, data: Any, info: ValidationInfo) -> Any:
        """Put the codes of file and list under `codes`, so that a change of theirs changes the contract."""
        if not isinstance(data, dict) or not isinstance(data.get("codes"), Mapping | None):
            return data
        listed, file = data.get("codes_list"), data.get("codes_file")
        folder = (info.context or {}).get(FOLDER)
        if not (isinstance(listed, str) or isinstance(file, str)):
            return data
        if folder is None and data.get("codes") is not None:
            file = None  # a contract that was written out has the file's codes already
        return data | {"codes": merge_codes(data.get("codes"), listed, file, folder)}

    @field_validator("file_name")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        return value if value is None else checked_file_pattern(value)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, source) is not None for source in _SOURCES) != 1:
            raise ValueError(f"give exactly one of {', '.join(_SOURCES)}")
        return self

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names that the source column may have, the usual one first; none without a column."""
        return (self.column,) if isinstance(self.column, str) else self.column or ()

    @property
    def is_fixed(self) -> bool:
        """Whether the field is the same on every row of a file."""
        return self.constant is not None or self.file_name is not None

    def for_file(self, field: CanonicalField, file_name: str) -> FieldMapping | None:
        """Return the mapping with the value that the file's name holds; None where it holds none.

        Raises:
            ValueError: The name holds no value, and the field is not optional; or it does not fit.
        """
        if self.file_name is None:
            return self
        found = re.search(self.file_name, file_name)
        text = found[1] if found else None
        if text is None:
            if self.optional:
                return None
            raise ValueError(f"the name does not match '{self.file_name}', from which {field.name} is taken")
        if field.name == SEQUENCE_FIELD and self.formats:
            return FieldMapping(constant=_seconds(text, self.formats))
        if self.codes is not None:
            if text not in self.codes:
                raise ValueError(f"'{text}' in the name is not in the code map of {field.name}")
            value = self.codes[text]
            return None if value is None else FieldMapping(constant=value)
        return FieldMapping(constant=text, formats=self.formats)

    def source_unit(self, field: CanonicalField) -> Unit | None:
        """Return the unit to convert from; None where the source uses the field's own."""
        measure = measure_of(field.unit)
        found = measure.unit(self.unit) if measure and self.unit else None
        return found if found is not None and found.factor != 1 else None

    def problems(self, field: CanonicalField, *, is_required: bool) -> Iterator[str]:
        """Yield what is wrong with this mapping of that field, in words."""
        name = f"'{field.name}'"
        if self.optional and is_required:
            yield f"{name} is required and cannot be optional"
        if self.optional and self.constant is not None:
            yield f"{name} is a constant and cannot be optional"
        takes_formats = field.type in ("date", "timestamp") or (
            field.name == SEQUENCE_FIELD and self.file_name is not None
        )
        if self.formats and not takes_formats:
            yield f"{name} is neither a date nor a timestamp and takes no formats"
        with_offset = sum("%z" in form for form in self.formats)
        if with_offset not in (0, len(self.formats)):
            yield f"the formats of {name} must all have an offset (%z), or none"
        if self.constant is not None and self.codes is not None:
            yield f"{name} is a constant and takes no codes"
        if self.unit is not None:
            yield from self._unit_problems(field)

    def _unit_problems(self, field: CanonicalField) -> Iterator[str]:
        name, measure = f"'{field.name}'", measure_of(field.unit)
        if measure is None:
            kept = f"is in {field.unit} and is" if field.unit else "has no unit and is"
            yield f"{name} {kept} not converted: leave out unit '{self.unit}'"
        elif measure.unit(self.unit or "") is None:
            known = measure.units
            yield (
                f"{name} is in {field.unit} and takes no unit '{self.unit}'{closest(self.unit or '', known)};"
                f" it takes {', '.join(known)}"
            )
        elif self.is_fixed:
            yield f"{name} is the same on every row: write it in {field.unit} and leave out unit"
        elif self.codes is not None:
            yield f"{name} has codes, which give canonical values: leave out unit"


class SequenceBy(Strict):
    """What orders the sendings of one key, whatever the order in which they arrive: the highest is the last.

    Exactly one of column and file_name.

    Attributes:
        column: Source column that holds a number or a time, such as that of the last change.
        file_name: Regular expression, searched in the file's name; its one group is a number or a time.
        formats: strptime formats of a time; without them it is a number, such as 20240131.
    """

    column: str | None = None
    file_name: str | None = None
    formats: tuple[str, ...] = ()

    @field_validator("file_name")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        return value if value is None else checked_file_pattern(value)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.column is None) == (self.file_name is None):
            raise ValueError("give exactly one of column, file_name")
        return self

    @property
    def as_mapping(self) -> dict[str, Any]:
        """The mapping of the canonical field `sequence_no` that does it."""
        if self.column is None:
            return {"file_name": self.file_name, "formats": self.formats}
        if not self.formats:
            return {"column": self.column}
        quoted = '"' + self.column.replace('"', '""') + '"'
        listed = ", ".join("'" + form.replace("'", "''") + "'" for form in self.formats)
        return {"expression": f"epoch(strptime({quoted}, [{listed}]))"}


def _seconds(text: str, formats: tuple[str, ...]) -> float:
    for form in formats:
        try:
            found = datetime.strptime(text, form)
        except ValueError:
            continue
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    raise ValueError(f"'{text}' in the name is not a time written as {' or '.join(formats)}")
