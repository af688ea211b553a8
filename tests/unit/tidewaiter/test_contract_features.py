"""The synthetic members use what a contract can say: a feature that none uses is one that no world tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from tidewaiter.canonical import DATASETS
from tidewaiter.contracts import FORMATS, Extract, FieldMapping, SequenceBy, load_contract
from tidewaiter.contracts.code_maps import CODE_LISTS
from tidewaiter.contracts.formats import Unpivot
from tidewaiter.settings import PROJECT_ROOT
from tidewaiter.synthetic.profiles import PROFILES

# What the bytes of a generated world cannot show, and why.
ELSEWHERE = {
    "location": "folders, here; servers, stores and databases are tried by peers on loopback",
    "escape": "a quote within a quoted value, which no invented name has",
    "quote": "the usual one",
    "sheet": "XB names it",
    "short_lines": "a torn record is a planted fault, not a habit",
    "header_lines": "XF's records begin at once",
    "largest_document_mb": "a limit",
    "largest_unpacked_mb": "a limit",
    "skip_rows": "the same as skip_lines, in a workbook",
    "nothing": "XF leaves months out as blanks",
    "row_if": "one column decides in XF's rates",
}
# Customs systems write codes of countries; names come from elsewhere, and test_code_maps lands them.
LISTS_ELSEWHERE = {"country_names"}
# Names of columns: XB's workbook has a header, and XE's document says its own.
NOT_IN = {"ExcelFormat": {"header", "columns"}, "JsonFormat": {"columns"}}


@pytest.fixture(scope="module")
def extracts() -> list[Extract]:
    folder = PROJECT_ROOT / "members"
    return [extract for member in PROFILES for extract in load_contract(folder, member).extracts]


def keys_used(model: BaseModel) -> set[str]:
    """The keys of a part of a contract that are not at their default."""
    return {
        name
        for name, field in type(model).model_fields.items()
        if getattr(model, name) != field.get_default(call_default_factory=True)
    }


def parts(extracts: list[Extract]) -> Iterator[tuple[type[BaseModel], BaseModel]]:
    for extract in extracts:
        yield Extract, extract
        yield type(extract.format), extract.format
        yield from ((FieldMapping, mapping) for mapping in extract.fields.values())
        yield from ((SequenceBy, one) for one in (extract.sequence_by,) if one)
        yield from ((Unpivot, one) for one in (extract.format.unpivot,) if one)


@pytest.mark.parametrize("model", [Extract, FieldMapping, *FORMATS, Unpivot], ids=lambda one: one.__name__)
def test_every_key_is_used_by_a_member(extracts: list[Extract], model: type[BaseModel]) -> None:
    used = set().union(*(keys_used(part) for kind, part in parts(extracts) if kind is model))
    # Numbers and encodings are written alike in every form: one that uses the key will do.
    shared = {"decimal_mark", "thousands_mark", "unpivot", "encoding"}
    used |= {name for kind, part in parts(extracts) if kind in FORMATS for name in keys_used(part)} & shared
    left_out = {"kind", "dataset", *ELSEWHERE, *NOT_IN.get(model.__name__, ())}
    assert set(model.model_fields) - used - left_out == set()


SPOKEN: dict[str, Callable[[Extract], Any]] = {
    "every form": lambda one: one.format.kind,
    "every layout of JSON": lambda one: getattr(one.format, "layout", None),
    "headers apart and on items": lambda one: one.header,
    "every dataset": lambda one: one.dataset,
}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("every form", {"csv", "fixed_width", "json", "xml", "parquet", "excel"}),
        ("every layout of JSON", {"array", "lines", "document"}),
        ("headers apart and on items", {"apart", "on_items"}),
        ("every dataset", set(DATASETS)),
    ],
)
def test_every_alternative_is_used(extracts: list[Extract], what: str, expected: set[str]) -> None:
    assert {SPOKEN[what](extract) for extract in extracts} >= expected


def mappings(extracts: list[Extract]) -> Iterator[tuple[str, FieldMapping]]:
    yield from ((name, mapping) for extract in extracts for name, mapping in extract.fields.items())


def test_values_come_from_every_source_and_list(extracts: list[Extract]) -> None:
    found = list(mappings(extracts))
    assert {mapping.codes_list for _, mapping in found} - {None} == set(CODE_LISTS) - LISTS_ELSEWHERE
    assert any(len(mapping.candidates) > 1 for _, mapping in found)
    assert any(len(mapping.formats) > 1 for _, mapping in found)
    assert any("%z" in form for _, mapping in found for form in mapping.formats)
    assert {mapping.unit for _, mapping in found} - {None} == {"g", "t"}
    names = {name for name, _ in found}
    assert names >= {"item_version", "incoterm_code", "sequence_no", "cancelled_at", "queue_code"}
    one_row = [extract for extract in extracts if extract.one_row_per]
    assert {extract.dataset for extract in one_row} == {"declarations"}
