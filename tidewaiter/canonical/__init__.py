"""The canonical model, declared once in the YAML files of this folder.

Landing's casts and quarantine reasons, the landing suites, the dbt source and the reference pages
are derived from it or tested against it. Member and dataset rules belong in contracts, not here.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict

from tidewaiter import fingerprint

Type = Literal["text", "integer", "decimal", "boolean", "date", "timestamp"]
Sensitivity = Literal["key", "public", "commercial", "party", "officer", "outcome"]
DatasetName = Literal[
    "declaration_items",
    "declarations",
    "exchange_rates",
    "declaration_events",
    "inspector_roster",
    "tariff_rates",
    "aggregate_flows",
]

DATASETS: tuple[DatasetName, ...] = get_args(DatasetName)

# DECIMAL(18,4) is the widest that DuckDB and Parquet keep in 64 bits: exact to a hundredth of a
# cent and a tenth of a gram, up to 10^14 units.
DUCKDB_TYPES: dict[Type, str] = {
    "text": "VARCHAR",
    "integer": "INTEGER",
    "decimal": "DECIMAL(18,4)",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}

PSEUDONYMISED: frozenset[Sensitivity] = frozenset({"party", "officer"})

# What landing adds to every row of every dataset.
LINEAGE_COLUMNS: dict[str, str] = {
    "extract_id": "VARCHAR",  # first 12 hex digits of the source bytes' SHA-256
    "source_file": "VARCHAR",  # name of the file as it arrived, without folders
    "source_line": "BIGINT",  # line in that file, from 1, header included
}


class Field(BaseModel):
    """One canonical column.

    Attributes:
        set_by_landing: Filled by landing itself; a contract cannot map it.
        may_come_with_header: Required, unless the contract says that the header comes apart.
        default: Value where a contract does not map the field.
        minimum, maximum: Inclusive bounds in the field's unit.
        pattern: Regular expression that the whole value must match.
        code_list: Closed list of values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: Type
    description: str
    nullable: bool
    sensitivity: Sensitivity
    unit: str | None = None
    box: str | None = None
    minimum: float | str | None = None
    maximum: float | str | None = None
    pattern: str | None = None
    code_list: tuple[str, ...] | None = None
    default: str | int | float | None = None
    set_by_landing: bool = False
    may_come_with_header: bool = False

    @property
    def duckdb_type(self) -> str:
        """The column's type in DuckDB and Parquet."""
        return DUCKDB_TYPES[self.type]

    @property
    def is_pseudonymised(self) -> bool:
        """Whether landing replaces the value by a keyed pseudonym."""
        return self.sensitivity in PSEUDONYMISED


class Rule(BaseModel):
    """A condition between the columns of one row, as SQL over canonical columns.

    Attributes:
        when: The rule applies only where this holds.
        check: What must then hold; a row that breaks it goes to quarantine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    when: str
    check: str
    description: str


class Dataset(BaseModel):
    """One canonical table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: DatasetName
    grain: str
    primary_key: tuple[str, ...]
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()

    def field(self, name: str) -> Field:
        """Return the field of that name. Raises KeyError where there is none."""
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Field]:
        """Fields by name, in declared order."""
        return {field.name: field for field in self.fields}

    @property
    def landed_columns(self) -> dict[str, str]:
        """Columns of landed Parquet in order, with their DuckDB types, lineage last."""
        return {field.name: field.duckdb_type for field in self.fields} | LINEAGE_COLUMNS

    @property
    def fingerprint(self) -> str:
        """Changes when the declaration changes, so that extracts are landed again."""
        return fingerprint.of_json(self.model_dump(mode="json"))


@cache
def load_dataset(name: DatasetName) -> Dataset:
    """Return the declaration of one canonical table."""
    text = files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return Dataset.model_validate(yaml.safe_load(text))
