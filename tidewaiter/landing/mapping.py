"""The mapping: from a contract and a header to the SQL that turns source text into canonical columns.

Layers of common table expressions, so that no expression is written twice: `raw` the text of the
file; `cleaned` without outer white space, null where it spells "no value"; `tried` expressions, null
where they fail; `given` their values; `coded` values after code maps; `typed` canonical columns.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidewaiter import fingerprint
from tidewaiter.canonical import Dataset, Field, load_dataset
from tidewaiter.canonical.units import Unit
from tidewaiter.contracts import Contract, CsvFormat, Extract, FieldMapping
from tidewaiter.errors import Problems, UsageProblem
from tidewaiter.landing import parse
from tidewaiter.landing.checks import value_checks
from tidewaiter.landing.drift import SchemaDrift
from tidewaiter.landing.expressions import ParsedExpression, parse_expression
from tidewaiter.landing.marks import ANY_MARKS, Marks
from tidewaiter.landing.source import (
    SourceColumn,
    cleaned_sql,
    is_padded_sql,
    resolve_columns,
    trimmed_sql,
)
from tidewaiter.pseudonyms import purpose_of
from tidewaiter.warehouse import quote_identifier, quote_literal

if TYPE_CHECKING:
    import duckdb

_TEXT = "VARCHAR"
_LONGEST_LOOKUP = 24


@dataclass(frozen=True)
class MappedField:
    """One canonical field that source columns fill row by row.

    Attributes:
        field: The canonical field.
        mapping: What the contract says of it.
        columns: Source columns that feed it.
        typed: SQL of the canonical value over the layer `coded`.
        is_hidden: Its values may name a person and must not appear in a reason.
        is_required: A row without a value goes to quarantine.
        local: SQL of a time in the member's zone, over the same layer; None where `typed` needs none.
        cleaned: SQL of the cleaned text over raw columns, where it is only computed if the text as it
            stands is no value of the type; None where the layer `cleaned` has it.
        expression: SQL over the layer `cleaned`; None where a column is mapped as it is.
        expression_type: The expression's DuckDB type.
    """

    field: Field
    mapping: FieldMapping
    columns: tuple[SourceColumn, ...]
    typed: str
    is_hidden: bool
    is_required: bool = False
    expression: str | None = None
    expression_type: str = _TEXT
    local: str | None = None
    cleaned: str | None = None

    @property
    def local_name(self) -> str:
        """Column that holds the time in the member's zone: one, where fields are the same time."""
        return f"local_{fingerprint.of_json(self.local)[:16]}"

    @property
    def tried(self) -> str:
        """Column that holds the expression's value in a list, and is null where it failed."""
        return f"tried_{self.field.name}"

    @property
    def given(self) -> str:
        """Column that holds the value before the code map."""
        if self.expression:
            return f"given_{self.field.name}"
        return self.cleaned or self.columns[0].cleaned

    @property
    def coded(self) -> str:
        """Column that holds the value after the code map."""
        return f"coded_{self.field.name}" if self.mapping.codes is not None else self.given


@dataclass(frozen=True)
class Mapping:
    """How the rows of one file become canonical rows.

    Attributes:
        dataset: The canonical table.
        mapped: Fields filled row by row.
        fixed: Fields that are the same on every row, as SQL.
        null_values: Spellings of "no value".
        zone: Time zone of the member.
        marks: What the source's text may hold.
        one_row_per_key: Rows of one key are repeats of one another and become one.
    """

    dataset: Dataset
    mapped: tuple[MappedField, ...]
    fixed: dict[str, str]
    null_values: tuple[str, ...]
    zone: str
    marks: Marks
    one_row_per_key: bool = False

    @property
    def columns(self) -> list[SourceColumn]:
        """Source columns that are used, in the order of the file."""
        return sorted({column for one in self.mapped for column in one.columns})

    @property
    def varying(self) -> list[str]:
        """Names of the fields that may differ from row to row, in canonical order."""
        names = {one.field.name for one in self.mapped} | set(self._derived())
        return [field.name for field in self.dataset.fields if field.name in names]

    @property
    def party_fields(self) -> dict[SourceColumn, str]:
        """Source columns that feed a pseudonymised field, with the name of the first such field."""
        parties = [one for one in self.mapped if one.field.is_pseudonymised]
        return {column: one.field.name for one in reversed(parties) for column in one.columns}

    @property
    def other_parties(self) -> list[str]:
        """Pseudonymised fields whose pseudonym is not that of a raw column under `party_fields`.

        A column may feed two kinds of party, and an expression may make another identifier of it.
        """
        first = self.party_fields
        return [
            one.field.name
            for one in self.mapped
            if one.field.is_pseudonymised
            and (
                one.expression is not None
                or one.mapping.codes is not None
                or any(purpose_of(first[column]) != purpose_of(one.field.name) for column in one.columns)
            )
        ]

    def of_columns(self, columns: Collection[SourceColumn]) -> Mapping:
        """Return the part that some source columns fill, each field of it from one of them alone."""
        mapped = tuple(one for one in self.mapped if len(one.columns) == 1 and one.columns[0] in columns)
        return replace(self, mapped=mapped, fixed={})

    def typed_layers(self, source: str, *kept: str) -> str:
        """Return common table expressions over the source relation; the last one is `typed`.

        Args:
            source: SQL of the relation, which has the raw columns.
            kept: Other columns of it that are passed on.
        """
        raws = ", ".join([*kept, *(column.raw for column in self.columns)]) or "true as is_row"
        expressed = [one for one in self.mapped if one.expression]
        cleaned = sorted({column for one in self.mapped if not one.cleaned for column in one.columns})
        layers = {
            "raw": f"select {raws} from {source}",
            "cleaned": _more(
                {column.cleaned: cleaned_sql(column.raw, self.null_values, self.marks) for column in cleaned},
                "raw",
            ),
            "tried": _more({one.tried: f"try([{one.expression}])" for one in expressed}, "cleaned"),
            "given": _more({one.given: self._given(one) for one in expressed}, "tried"),
            "coded": _more(
                {one.coded: _coded(one) for one in self.mapped if one.mapping.codes is not None}, "given"
            ),
            "local": _more({one.local_name: one.local for one in self.mapped if one.local}, "coded"),
            "mapped": _more({one.field.name: one.typed for one in self.mapped} | self.fixed, "local"),
            "typed": _more(self._derived(), "mapped"),
        }
        return "with " + ",\n".join(f"{name} as ({query})" for name, query in layers.items())

    def _given(self, one: MappedField) -> str:
        value = f"{one.tried}[1]"
        return cleaned_sql(value, self.null_values) if one.expression_type == _TEXT else value

    def _derived(self) -> dict[str, str]:
        if "registered_date" not in self.dataset.by_name:
            return {}
        if "registered_at" not in {one.field.name for one in self.mapped} | self.fixed.keys():
            return {}
        return {"registered_date": parse.utc_to_local_date("registered_at", self.zone)}


def build_mapping(
    connection: duckdb.DuckDBPyConnection,
    extract: Extract,
    contract: Contract,
    header: tuple[str, ...],
    where: str,
    marks: Marks = ANY_MARKS,
) -> Mapping:
    """Match a contract with the header of a file.

    Args:
        connection: Binds the SQL; nothing is read.
        extract: An entry of the contract.
        contract: The member's contract.
        header: Column names of the file.
        where: Member and file, for messages.
        marks: What the file's text may hold.

    Raises:
        UsageProblem: Every expression, format and constant that does not work; all at once.
        SchemaDrift: Every mapped column that is missing or ambiguous; all at once.
    """
    problems = Problems(UsageProblem)
    dataset = load_dataset(extract.dataset)
    expressions = {
        name: parse_expression(connection, mapping.expression, contract.parameters)
        for name, mapping in extract.fields.items()
        if mapping.expression is not None
    }
    for name, parsed in expressions.items():
        for fault in parsed.faults:
            problems.add(f"the expression cannot be used: {fault}", where=_at(contract, name))
    drifted = Problems(SchemaDrift)
    resolved = resolve_columns(extract, expressions, header, drifted, where)
    problems.raise_if_any()
    drifted.raise_if_any()
    builder = _Builder(connection, extract, contract, problems, _person_columns(dataset, resolved), marks)
    mapped, fixed = [], _fixed_by_landing(dataset, extract, contract)
    for field in dataset.fields:
        columns = resolved.get(field.name)
        if columns is not None and not extract.fields[field.name].is_fixed:
            mapped.append(builder.map_field(field, columns, expressions.get(field.name)))
        elif not field.set_by_landing:
            fixed[field.name] = builder.fix_field(field)
    problems.raise_if_any()
    return Mapping(
        dataset,
        tuple(mapped),
        fixed,
        extract.null_values,
        contract.time_zone,
        marks,
        one_row_per_key=bool(extract.one_row_per),
    )


def _fixed_by_landing(dataset: Dataset, extract: Extract, contract: Contract) -> dict[str, str]:
    """Return the fields that landing itself sets, the same on every row, as SQL."""
    known = {
        "member_iso2": quote_literal(contract.member),
        "is_header_apart": str(extract.header == "apart").lower(),
        "source_rows_n": "cast(1 as INTEGER)",
    }
    return {name: sql for name, sql in known.items() if name in dataset.by_name}


@dataclass(frozen=True)
class _Builder:
    """Builds the fields of one mapping and has DuckDB bind each, so that faults name their field."""

    connection: duckdb.DuckDBPyConnection
    extract: Extract
    contract: Contract
    problems: Problems
    person_columns: frozenset[SourceColumn]
    marks: Marks

    def map_field(
        self, field: Field, columns: tuple[SourceColumn, ...], parsed: ParsedExpression | None
    ) -> MappedField:
        """Return a field that a column or an expression fills row by row."""
        mapping = self.extract.fields[field.name]
        expression, kind = None, _TEXT
        if parsed is not None:
            expression = parsed.sql_over(self.connection, {column.name: column.cleaned for column in columns})
            kind = self._bind(field, f"try([{expression}])[1]", dict.fromkeys(_cleaned(columns), _TEXT))
        draft = MappedField(
            field=field,
            mapping=mapping,
            columns=columns,
            typed="",
            is_hidden=field.is_pseudonymised or not self.person_columns.isdisjoint(columns),
            is_required=not field.nullable
            and (self.extract.header != "apart" or not field.may_come_with_header),
            expression=expression,
            expression_type=kind,
        )
        kind = _TEXT if mapping.codes is not None else kind
        if kind == _TEXT and expression is None and mapping.codes is None and self._reads_as_it_stands(field):
            raw = columns[0].raw
            draft = replace(draft, cleaned=cleaned_sql(raw, self.extract.null_values, self.marks))
            typed = self._parse_either(field, raw)
            self._bind(field, typed, {raw: _TEXT})
        else:
            typed = self._typed(field, draft.coded, kind)
            self._bind(field, typed, {draft.coded: kind})
        if self._is_local_time(field, kind):
            draft = replace(draft, local=typed)
            typed = parse.local_to_utc(draft.local_name, self.contract.time_zone)
        if field.type == "timestamp" and kind == _TEXT and not mapping.formats:
            typed = f"coalesce({typed}, {parse.iso_instant(draft.coded)})"
        return replace(draft, typed=typed)

    def _parse_either(self, field: Field, raw: str) -> str:
        """Return SQL that reads the text as it stands, and where that fails without its padding."""
        parsed = self._parse(field, raw, self.marks)
        if not self.marks.white_space:
            return parsed
        # The trimmed text is named once, and inside a case: else DuckDB would trim every value beforehand.
        trimmed = f"[{trimmed_sql(raw, self.marks)}]"
        again = f"list_transform({trimmed}, lambda padded: {self._parse(field, 'padded', self.marks)})[1]"
        return f"coalesce({parsed}, case when {is_padded_sql(raw, self.marks)} then {again} end)"

    def _reads_as_it_stands(self, field: Field) -> bool:
        """Whether a text that has the type as it stands needs no cleaning: it spells no "no value"."""
        spelt = "".join(self.extract.null_values)
        return field.type not in ("text", "boolean") and not any(mark.isdigit() for mark in spelt)

    def _is_local_time(self, field: Field, kind: str) -> bool:
        formats = self.extract.fields[field.name].formats
        return (
            field.type == "timestamp"
            and self.contract.time_zone != "UTC"
            and kind != "TIMESTAMP WITH TIME ZONE"
            and not any("%z" in form for form in formats)
        )

    def _typed(self, field: Field, value: str, kind: str) -> str:
        if kind == _TEXT:
            return self._parse(field, value)
        # A local time is made UTC in a layer of its own.
        return parse.cast_sql(field, value, kind, "UTC", self._unit(field))

    def _unit(self, field: Field) -> Unit | None:
        return self.extract.fields[field.name].source_unit(field)

    def _parse(self, field: Field, text: str, marks: Marks = ANY_MARKS) -> str:
        formats = self.extract.fields[field.name].formats
        return parse.parse_sql(field, text, formats, self.extract.format, "UTC", self._unit(field), marks)

    def fix_field(self, field: Field) -> str:
        """Return SQL of a constant, of the field's default, or of null."""
        mapping = self.extract.fields.get(field.name)
        constant = field.default if mapping is None or mapping.constant is None else mapping.constant
        if constant is None:
            return f"cast(null as {field.duckdb_type})"
        text = str(constant).lower() if isinstance(constant, bool) else str(constant)
        formats = mapping.formats if mapping else ()
        # A constant is written in the contract's own notation, not in the marks of the source.
        typed = parse.parse_sql(field, quote_literal(text), formats, CsvFormat(), self.contract.time_zone)
        fits = " and ".join(f"not ({check.condition})" for check in value_checks(field, typed, "''"))
        row = self.connection.execute(f"select {typed} is not null and {fits or 'true'}").fetchone()
        if row != (True,):
            self.problems.add(
                f"the constant '{text}' does not fit the field: {field.description}",
                where=_at(self.contract, field.name),
            )
        return typed

    def _bind(self, field: Field, sql: str, columns: dict[str, str]) -> str:
        """Return the DuckDB type of an SQL over columns of the given types; note what does not bind."""
        import duckdb

        nulls = ", ".join(f"cast(null as {kind}) as {name}" for name, kind in columns.items())
        try:
            described = self.connection.execute(f"describe select {sql} from (select {nulls or 'true'})")
        except duckdb.Error as error:
            first_line = str(error).splitlines()[0]
            self.problems.add(f"cannot be computed: {first_line}", where=_at(self.contract, field.name))
            return _TEXT
        row = described.fetchone()
        return str(row[1]) if row else _TEXT


def _cleaned(columns: tuple[SourceColumn, ...]) -> list[str]:
    return [column.cleaned for column in columns]


def _person_columns(
    dataset: Dataset, resolved: dict[str, tuple[SourceColumn, ...] | None]
) -> frozenset[SourceColumn]:
    by_name = dataset.by_name
    return frozenset(
        column
        for name, columns in resolved.items()
        if by_name[name].is_pseudonymised
        for column in columns or ()
    )


def _coded(one: MappedField) -> str:
    """Return SQL that looks the value up in the contract's code map; null where it is not listed."""
    codes, value = one.mapping.codes or {}, f"cast({one.given} as VARCHAR)"
    if len(codes) <= _LONGEST_LOOKUP:
        return _case(value, codes)
    # Cases are tried one after the other: of a long list only those that end alike are.
    ends = 1 if len(codes) <= _LONGEST_LOOKUP**2 else 2
    groups: dict[str, dict[str, Any]] = {}
    for spelling, canonical in codes.items():
        groups.setdefault(spelling[-ends:], {})[spelling] = canonical
    cases = " ".join(f"when {quote_literal(end)} then {_case(value, some)}" for end, some in groups.items())
    return f"case right({value}, {ends}) {cases} end"


def _case(value: str, codes: dict[str, Any]) -> str:
    cases = " ".join(
        f"when {quote_literal(spelling)} then "
        + (
            "null"
            if code is None
            else quote_literal(str(code).lower() if isinstance(code, bool) else str(code))
        )
        for spelling, code in codes.items()
    )
    return f"cast(case {value} {cases} end as VARCHAR)" if cases else "cast(null as VARCHAR)"


def _more(columns: dict[str, str], layer: str) -> str:
    """Return a layer with more columns; what two of them have in common is computed once."""
    first: dict[str, str] = {}
    for name, sql in columns.items():
        first.setdefault(sql, name)
    added = "".join(f", {sql} as {quote_identifier(name)}" for sql, name in first.items())
    query = f"select *{added} from {layer}"
    twins = {name: first[sql] for name, sql in columns.items() if first[sql] != name}
    if not twins:
        return query
    copied = "".join(f", {quote_identifier(of)} as {quote_identifier(name)}" for name, of in twins.items())
    return f"select *{copied} from ({query})"


def _at(contract: Contract, field: str) -> str:
    return f"contract of {contract.member}, field {field}"
