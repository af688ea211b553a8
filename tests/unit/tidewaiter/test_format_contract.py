"""What a contract may say of a format, and that whatever else it says is named."""

from __future__ import annotations

import pytest

from tidewaiter.contracts import CsvFormat, FieldMapping
from tidewaiter.contracts.formats import FORMATS, FixedWidthFormat, join_path, split_path

XML = {"kind": "xml", "record": "Item"}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "csv"),
        ({"delimiter": ";"}, "csv"),
        ({"kind": "fixed_width", "columns": [{"name": "a", "width": 3}]}, "fixed_width"),
        ({"kind": "json", "layout": "lines"}, "json"),
        (XML, "xml"),
        ({"kind": "parquet"}, "parquet"),
        ({"kind": "excel", "sheet": "Data"}, "excel"),
    ],
)
def test_the_kind_chooses_the_format_and_csv_needs_none(contract_of, given, kind):
    file_format = contract_of(format=given).extracts[0].format
    assert file_format.kind == kind
    assert isinstance(file_format, FORMATS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "csvv"}, "csvv"),
        ({"kind": "parquet", "delimiter": ";"}, "delimiter"),
        ({"encoding": "latin-one"}, "unknown encoding 'latin-one'"),
        ({"encoding": "hex"}, "unknown encoding"),
        ({"encoding": "unicode_escape"}, "no encoding of files"),
        ({"header": False}, "needs the names of its columns"),
        ({"columns": ["a"]}, "add 'header: false'"),
        ({"header": False, "columns": ["a", "a"]}, "named twice: a"),
        ({"quote": "", "escape": "\\"}, "escape needs a quote"),
        ({"kind": "fixed_width", "columns": []}, "columns"),
        ({"kind": "fixed_width", "columns": [{"name": "a"}]}, "exactly one of end, width"),
        ({"kind": "fixed_width", "columns": [{"name": "a", "start": 3, "end": 2}]}, "ends before it starts"),
        (
            {"kind": "fixed_width", "columns": [{"name": "a", "width": 5}, {"name": "b", "end": 3}]},
            "'b' ends before it starts",
        ),
        (
            {"kind": "fixed_width", "record_length": 4, "columns": [{"name": "a", "width": 5}]},
            "the columns end at 5, the record at 4",
        ),
        ({"kind": "json", "header_fields": ["a.b"]}, "give the path of the items"),
        ({"kind": "json", "items": "a.l", "header_fields": ["a.l.x"]}, "stands in the items"),
        ({"kind": "json", "items": "a..b", "header_fields": ["c"]}, "no path"),
        ({"kind": "json", "columns": ["a"]}, "records that are arrays"),
        ({"kind": "json", "record": "array", "columns_path": "a"}, "is for a document"),
        ({"kind": "xml"}, "record"),
        (XML | {"header_fields": {"office": "Office"}}, "header_fields"),
        (XML | {"encoding": "utf-ate"}, "unknown encoding"),
    ],
)
def test_a_wrong_format_is_named(contract_of, given, message):
    with pytest.raises(ValueError, match="validation error") as raised:
        contract_of(format=given)
    assert message in str(raised.value)


@pytest.mark.parametrize("spelling", ["utf8", "UTF-8", "utf_8_sig", "U8"])
def test_usual_encodings_have_one_spelling(spelling):
    assert CsvFormat(encoding=spelling).encoding == "utf-8"


def test_places_follow_each_other_unless_they_say_where_they_start():
    columns = [
        {"name": "a", "width": 2},
        {"name": "b", "start": 5, "end": 9},
        {"name": "c", "width": 1},
        {"name": "again", "start": 1, "width": 3},
    ]
    made = FixedWidthFormat.model_validate({"kind": "fixed_width", "columns": columns})
    assert made.places == (("a", 1, 2), ("b", 5, 5), ("c", 10, 1), ("again", 1, 3))
    assert made.last_character == 10


@pytest.mark.parametrize("keys", [("a",), ("a", "b"), ("a.b", "c"), ('q"', "", "x y"), ("$", "*", "0")])
def test_a_path_says_any_keys(keys):
    assert split_path(join_path(keys)) == keys


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", 'a"b', '"a', 'a."b'])
def test_a_path_that_is_none_is_named(path):
    with pytest.raises(ValueError, match="no path"):
        split_path(path)


def test_a_column_may_have_several_names():
    assert FieldMapping(column="a").candidates == ("a",)
    assert FieldMapping(column=("a", "b")).candidates == ("a", "b")
    assert FieldMapping(constant=1).candidates == ()
    with pytest.raises(ValueError, match="validation error"):
        FieldMapping(column=())
