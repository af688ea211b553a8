"""From columns to canonical fields: which column is which field, by its name and by what it holds.

Each column feeds one field and each field has one column, best agreement first; what follows from a
column that was found (a subheading from a national code, the second lane from the first) comes after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidewaiter.canonical import Dataset, DatasetName, Field, load_dataset
from tidewaiter.contracts.propose.commodity import commodity_guesses
from tidewaiter.contracts.propose.content import ColumnProfile
from tidewaiter.contracts.propose.names import field_scores, fold, spelt_concepts
from tidewaiter.contracts.propose.values import code_map

FROM_CONTENT = "guessed from content"
_LEAST_NAME_SCORE = 0.6
_MOST = 0.8
_HALF = 0.5
_SURE = 0.95
_CONFIRMED_BY_CONTENT = 0.05
_FEW_CODES = 15
_FEW_FLAGS = 5
_TONNES = {"t", "tm", "ton", "tons", "tonne", "tonnes", "tonelada", "toneladas"}
_BASES = ("cif", "fob")


@dataclass(frozen=True)
class Guess:
    """How one canonical field may be filled.

    Attributes:
        field: The canonical field.
        mapping: What the contract would say.
        basis: Where the guess comes from, in words.
        columns: Source columns that it uses.
        open_question: Why it cannot stand as it is; empty where it can.
    """

    field: str
    mapping: dict[str, Any]
    basis: str
    columns: tuple[str, ...] = ()
    open_question: str = ""


@dataclass
class _Guesses:
    found: dict[str, Guess] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)

    def add(self, guess: Guess, *columns: ColumnProfile) -> None:
        self.found[guess.field] = guess
        self.taken |= {column.position for column in columns}

    def free(self, columns: Sequence[ColumnProfile]) -> list[ColumnProfile]:
        return [column for column in columns if column.position not in self.taken]


def by_name(score: float) -> str:
    """Return the words for a guess by name."""
    return f"guessed from the name: {score:.2f}"


def guess_fields(dataset: Dataset, columns: Sequence[ColumnProfile]) -> dict[str, Guess]:
    """Return the fields of a dataset that the columns of a sample seem to fill, in canonical order."""
    # A name that occurs twice cannot be mapped; unnamed columns neither.
    names = [column.name for column in columns]
    usable = [column for column in columns if column.name and names.count(column.name) == 1]
    guesses = _Guesses()
    if subheading := next((name for name in ("hs6", "hs_code") if name in dataset.by_name), None):
        scores = {
            column.position: field_scores(column.name, dataset.dataset).get(subheading, 0.0)
            for column in usable
        }
        for found, column in commodity_guesses(usable, scores, _LEAST_NAME_SCORE):
            target = subheading if found["field"] == "hs6" else found["field"]
            if target in dataset.by_name:
                guesses.add(Guess(**found | {"field": target}), column)
    _assign_by_name(dataset, usable, guesses)
    _assign_by_content(dataset, usable, guesses)
    if dataset.dataset == "aggregate_flows":
        from tidewaiter.contracts.propose.flows import flow_guesses

        guesses.found |= flow_guesses(usable, guesses.found)
    _derive(dataset, columns, guesses)
    return {name: guesses.found[name] for name in dataset.by_name if name in guesses.found}


def in_order(dataset: DatasetName, guesses: Mapping[str, Guess]) -> dict[str, Guess]:
    """Return guesses in canonical order."""
    return {name: guesses[name] for name in load_dataset(dataset).by_name if name in guesses}


def _assign_by_name(dataset: Dataset, columns: Sequence[ColumnProfile], guesses: _Guesses) -> None:
    candidates = [
        (score + _CONFIRMED_BY_CONTENT * _is_confirmed(target, column), score, target, column)
        for column in guesses.free(columns)
        for name, score in field_scores(column.name, dataset.dataset).items()
        if score >= _LEAST_NAME_SCORE
        and name not in guesses.found
        and _may_be(target := dataset.field(name), column)
    ]
    order = {name: number for number, name in enumerate(dataset.by_name)}
    candidates.sort(key=lambda one: (-one[0], order[one[2].name], one[3].position))
    for _, score, target, column in candidates:
        if target.name not in guesses.found and column.position not in guesses.taken:
            guesses.add(_guess(target, column, by_name(score)), column)


def _assign_by_content(dataset: Dataset, columns: Sequence[ColumnProfile], guesses: _Guesses) -> None:
    """Fill what no name gave, where the values alone leave little doubt."""
    if "registered_at" in dataset.by_name and "registered_at" not in guesses.found:
        for column in guesses.free(columns):
            if column.is_date and column.values == column.rows:
                guesses.add(_guess(dataset.field("registered_at"), column, FROM_CONTENT), column)
                break
    for name, share in (
        ("origin_iso2", "country"),
        ("dispatch_iso2", "country"),
        ("currency_code", "currency"),
    ):
        if name in dataset.by_name and name not in guesses.found:
            fitting = [one for one in guesses.free(columns) if getattr(one, share) >= _SURE]
            if fitting:
                column = fitting[0]
                guesses.add(Guess(name, {"column": column.name}, FROM_CONTENT, (column.name,)), column)


def _derive(dataset: Dataset, columns: Sequence[ColumnProfile], guesses: _Guesses) -> None:
    """Add what follows from the columns that were found."""
    found = guesses.found
    if "lane_initial_code" in found and "lane_final_code" not in found:
        first = found["lane_initial_code"]
        found["lane_final_code"] = replace(first, field="lane_final_code", basis="the only lane there is")
    declaration = _column_of("declaration_id", columns, found)
    if "item_no" in dataset.by_name and "item_no" not in found and declaration and declaration.is_unique:
        found["item_no"] = Guess(
            "item_no", {"constant": 1}, f"{FROM_CONTENT}: no declaration occurs twice in the sample"
        )
    value = _column_of("declared_value", columns, found)
    if "value_basis_code" not in found and value is not None:
        for basis in _BASES:
            if basis in fold(value.name).split():
                found["value_basis_code"] = Guess(
                    "value_basis_code", {"constant": basis.upper()}, f"named in {value.name!r}"
                )
    if "currency_code" not in found and value is not None and "usd" in spelt_concepts(value.name):
        found["currency_code"] = Guess("currency_code", {"constant": "USD"}, f"named in {value.name!r}")
    if "is_irregular" in found and ("label_at" not in found or found["label_at"].open_question):
        question = "a label says when it was known: map label_at first"
        found["is_irregular"] = replace(found["is_irregular"], open_question=question)


def _column_of(
    name: str, columns: Sequence[ColumnProfile], found: Mapping[str, Guess]
) -> ColumnProfile | None:
    wanted = found[name].columns if name in found else ()
    return next((column for column in columns if column.name in wanted), None)


def _guess(target: Field, column: ColumnProfile, basis: str) -> Guess:
    mapping: dict[str, Any] = {"column": column.name}
    questions: list[str] = []
    if target.type in ("date", "timestamp") and column.date_format:
        mapping["formats"] = [column.date_format]
        if column.is_ambiguous_date:
            basis += "; day before month, though the sample would bear the other order"
    if target.pattern == "[A-Z]{2}" and column.country_list:
        mapping["codes_list"] = column.country_list
    if target.unit == "kg" and _TONNES & set(fold(column.name).split()):
        mapping["unit"] = "t"
        basis += "; in tonnes"
    if target.type == "boolean" or target.code_list:
        basis += _map_codes(target, column, mapping, questions)
    if target.unit == "USD" and "euro" in spelt_concepts(column.name):
        questions.append("euros, and the field is in US dollars: convert them in an expression")
    if column.is_empty:
        basis += "; the sample has no value in it"
    return Guess(target.name, mapping, basis, (column.name,), "; ".join(questions))


def _map_codes(target: Field, column: ColumnProfile, mapping: dict[str, Any], questions: list[str]) -> str:
    """Add the codes of a column to its mapping, and what is open; return words for what is left out."""
    found = code_map(target, column)
    if found.codes:
        mapping["codes"] = found.codes
    if found.unknown:
        questions.append(f"say what these mean: {', '.join(found.unknown)}")
    return f"; rare, and left to quarantine: {', '.join(found.left_out)}" if found.left_out else ""


def _may_be(target: Field, column: ColumnProfile) -> bool:
    """Whether the values of a column can be this field's; an empty column can be anything."""
    return column.is_empty or all(_conditions(target, column))


def _fits_words(target: Field, column: ColumnProfile) -> bool:
    """Whether the name says nothing that the field cannot be, and what it has to say."""
    concepts = spelt_concepts(column.name)
    if target.name == "declaration_id":
        return "date" not in concepts  # the time of registration is no number of it
    if target.name == "primary_value_usd":
        return concepts.isdisjoint({"freight", "insurance"})  # parts of a value, and not the value
    return target.name != "origin_marking_code" or not concepts.isdisjoint({"marking", "indicator"})


def _conditions(target: Field, column: ColumnProfile) -> Iterator[bool]:
    yield _fits_words(target, column)
    if target.name == "hs6":
        yield column.commodity >= _MOST
    elif target.pattern == "[A-Z]{2}":
        yield column.country >= _HALF or column.country_list is not None
    elif target.pattern == "[A-Z]{3}":
        yield column.currency >= _HALF
    if target.type in ("date", "timestamp"):
        yield column.is_date
    elif target.type == "decimal":
        yield column.number >= _MOST and column.padded < _HALF
    elif target.type == "integer":
        yield column.whole >= _MOST
    elif target.type == "boolean":
        yield column.distinct <= _FEW_FLAGS
    elif target.code_list:
        yield column.distinct <= _FEW_CODES
    else:
        # Neither a date between signs nor an amount with decimals is a code or a name.
        yield not column.is_date or column.whole >= _MOST
        yield column.number < _MOST or column.whole >= _HALF or column.commodity >= _MOST


def _is_confirmed(target: Field, column: ColumnProfile) -> bool:
    if column.is_empty:
        return False
    if target.type in ("date", "timestamp"):
        return column.is_date
    if target.pattern in ("[A-Z]{2}", "[A-Z]{3}"):
        return max(column.country, column.currency) >= _SURE
    return target.type == "boolean" and column.flags is not None
