"""Hostile input is data: each costs its record or its file, with words, and never a row beside it.

Every file here has a sound record K2 beside what is wrong. `kinds` are the reasons that the receipt
counts; a file that cannot be read as a whole has a `message` instead.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import zipfile
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidewaiter.errors import TidewaiterError

SOUND = {
    "id": "K",
    "item": "1",
    "registered": "2024-03-01",
    "office": "S",
    "hs": "010121",
    "importer": "A",
    "value": "1",
}
UNREADABLE = "the line has bytes that are not of the file's encoding"
NO_NUMBER = "declared_value: not a decimal number"
NO_TIME = "registered_at: not a time in ISO 8601"


def line(**changed: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow((SOUND | changed).values())
    return text.getvalue().removesuffix("\n")


def delimited(*lines: str, end: str = "\n") -> str:
    return end.join([",".join(SOUND), *lines, line(id="K2")]) + end


def record(**changed: Any) -> str:
    return json.dumps(SOUND | changed)


def element(**changed: str) -> str:
    return "<r>" + "".join(f"<{name}>{text}</{name}>" for name, text in (SOUND | changed).items()) + "</r>"


def assert_costs_itself(landed: Any, *kinds: str) -> None:
    receipt = landed.receipt
    assert (receipt.rows_in, receipt.rows_landed, tuple(receipt.reasons)) == (2, 1, kinds)
    assert landed.column("declaration_id") == ["K2"]


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("value", "1e400", NO_NUMBER),
        ("value", "NaN", NO_NUMBER),
        ("value", "Infinity", NO_NUMBER),
        ("value", "-inf", NO_NUMBER),
        ("value", "0x1F", NO_NUMBER),
        ("value", "١٢", NO_NUMBER),
        ("value", "1_000", NO_NUMBER),
        ("value", "99999999999999999999", NO_NUMBER),
        ("value", "=1+1", NO_NUMBER),
        ("value", "-1", "declared_value: below the minimum 0"),
        ("registered", "0000-00-00", NO_TIME),
        ("registered", "2024-02-30", NO_TIME),
        ("registered", "2024-03-01 24:00:00", NO_TIME),
        ("registered", "10000-01-01", NO_TIME),
        ("registered", "today", NO_TIME),
        ("registered", "2024-03-01 10:00:00 America/Lima", NO_TIME),
        ("registered", "0001-01-01", "registered_at: below the minimum 1990-01-01"),
        ("registered", "infinity", "registered_at: below the minimum 1990-01-01"),
        ("hs", "01012\0", "hs6: not of the form [0-9]{6}"),
        ("hs", "010121\n010121", "hs6: not of the form [0-9]{6}"),
    ],
)
def test_awkward_values_are_quarantined(bench, column, value, kind):
    assert_costs_itself(bench.land(delimited(line(**{column: value}))), kind)


@pytest.mark.parametrize(
    ("value", "landed_as"), [("-0", "0"), ("1e-400", "0"), ("+.5", "0.5"), ("1.00005", "1.0001")]
)
def test_unusual_numbers_are_numbers(bench, value, landed_as):
    landed = bench.land(delimited(line(value=value)))
    assert landed.column("declared_value") == [Decimal(landed_as), Decimal(1)]


@pytest.mark.parametrize(
    "value", ["=cmd|'/c calc'!A0", "'; drop table x; --", "a\0b", "x" * 1_900_000, "\u202e"]
)
def test_hostile_texts_land_as_they_are(bench, value):
    assert bench.land(delimited(line(office=value))).column("office_code") == [value, "S"]


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (line(office="x" * 10_000_000), "the line is longer than 2,000,000 bytes"),
        (line() + ",extra", "the line has too many columns"),
        ("K", "the line has too few columns"),
        (line(office="S").replace("S", '"S"x'), "a quote is opened or closed within a value"),
        (line(office="\udcff"), UNREADABLE),
    ],
)
def test_a_broken_line_costs_itself(bench, broken, kind):
    assert_costs_itself(bench.land(delimited(broken).encode("utf-8", "surrogateescape")), kind)


def test_a_quote_that_is_never_closed_costs_each_line_after_it(bench):
    landed = bench.land(delimited(line(), line(id="K1").replace("S", '"S')))
    assert landed.column("declaration_id") == ["K"]
    assert landed.receipt.rows_in == 3
    assert list(landed.reasons) == [3, 4]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\r\r\n"])
def test_every_usual_line_end(bench, end):
    assert bench.land(delimited(line(), end=end)).column("declaration_id") == ["K", "K2"]


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF8 * 2])
def test_marks_of_utf8_are_no_part_of_the_text(bench, mark):
    landed = bench.land(mark + delimited(line()).encode())
    assert landed.column("declaration_id") == ["K", "K2"]


@pytest.mark.parametrize(
    ("mark", "marked", "told"),
    [
        (codecs.BOM_UTF8, "latin-1", "byte-order mark of utf-8"),
        (codecs.BOM_UTF16_LE, "utf-8", "byte-order mark of utf-16-le"),
        (codecs.BOM_UTF16_BE, "cp1252", "byte-order mark of utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-16", "byte-order mark of utf-32-le"),
        (codecs.BOM_UTF16_BE, "utf-16-le", "byte-order mark of utf-16-be"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "fixed_width", "json"])
def test_a_mark_that_contradicts_the_contract_is_told(bench, contract_of, mark, marked, told, kind):
    more = {
        "csv": {},
        "fixed_width": {"columns": [{"name": name, "width": 1} for name in SOUND]},
        "json": {"layout": "lines"},
    }
    contract = contract_of(format={"kind": kind, "encoding": marked} | more[kind])
    with pytest.raises(TidewaiterError, match=told):
        bench.land(mark + b"anything", contract)


@pytest.mark.parametrize("content", ["", "\n", "\r\n\r\n", "\ufeff"])
def test_an_empty_file_is_told(bench, content):
    with pytest.raises(TidewaiterError, match="the file is empty"):
        bench.land(content)


def test_a_header_alone_lands_nothing_and_an_overlong_one_is_told(bench):
    assert bench.land(",".join(SOUND)).receipt.rows_in == 0
    with pytest.raises(TidewaiterError, match="header line cannot be read"):
        bench.land(",".join([*SOUND, "h" * 200_000]) + "\n" + line() + ",1\n")


def test_five_thousand_columns_and_names_that_stand_twice(bench):
    names = [f"c{number}" for number in range(5000)] + ["c1", "ID"]
    text = "\n".join([",".join([*SOUND, *names]), line() + ",1" * len(names)])
    assert bench.land(text).receipt.rows_landed == 1
    with pytest.raises(TidewaiterError, match="column 'id' appears 2 times"):
        bench.land(",".join([*SOUND, "id"]) + "\n" + line() + ",1\n")


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        ("[" * 100_000 + "]" * 100_000, "the record is no object"),
        (record()[:-1] + ',"value":1e400}', "a key stands twice in the record"),
        (record(value=float("nan")), NO_NUMBER),
        (record(value=float("inf")), NO_NUMBER),
        (record().replace('"value": "1"', '"value": 1e400'), NO_NUMBER),
        (record().replace('"value": "1"', f'"value": {"9" * 4000}'), NO_NUMBER),
        (record(office="\ud800"), "the line is not JSON"),
        (record() + "x", "the line is not JSON"),
        (record() + record(), "the line is not JSON"),
        ("null", "the record is no object"),
        (record(value=[1]), NO_NUMBER),
    ],
)
def test_a_hostile_json_line_costs_itself(bench, contract_of, broken, kind):
    contract = contract_of(format={"kind": "json", "layout": "lines"})
    assert_costs_itself(bench.land(f"{broken}\n{record(id='K2')}\n", contract), kind)


@pytest.mark.parametrize("layout", ["lines", "array", "document"])
def test_a_json_number_keeps_all_its_digits(bench, contract_of, layout):
    numbers = ["12345678901234.5678", "99999999999999.9999", "1.5e3", "-0", "123.4"]
    texts = [
        record(id=f"K{place}").replace('"value": "1"', f'"value": {one}') for place, one in enumerate(numbers)
    ]
    texts.append(record(id='12345678901234567890.5 \\ "x'))  # digits and quotes within a text
    content = {
        "lines": "\n".join(texts),
        "array": f"[{','.join(texts)}]",
        "document": f'{{"d":[{",".join(texts)}]}}',
    }
    more = {"items": "d"} if layout == "document" else {}
    landed = bench.land(content[layout], contract_of(format={"kind": "json", "layout": layout} | more))
    assert landed.column("declared_value") == [*map(Decimal, numbers), Decimal(1)]
    assert landed.column("declaration_id")[-1] == '12345678901234567890.5 \\ "x'


@pytest.mark.parametrize(
    ("layout", "content", "message"),
    [
        ("array", f"[{record()},]", "not JSON at byte"),
        ("array", f"[{record()}", "not JSON at byte"),
        ("array", record(), "not one JSON array"),
        ("array", f"[{record(office=chr(0xD800))}]", "no low surrogate"),
        ("document", f'{{"d":[{record(office=chr(0xD800))}]}}', "no low surrogate"),
        ("document", '{"d":[\udcff]}', "bytes that are not of its encoding"),
    ],
)
def test_json_that_cannot_be_split_is_told_with_its_place(bench, contract_of, layout, content, message):
    more = {"items": "d"} if layout == "document" else {}
    contract = contract_of(format={"kind": "json", "layout": layout} | more)
    with pytest.raises(TidewaiterError, match=message) as told:
        bench.land(content.encode("utf-8", "surrogateescape"), contract)
    assert "2024-03-01" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><d>&e;</d>', "document type"),
        ('<!DOCTYPE d [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><d>&b;</d>', "document type"),
        ('<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd"><d/>', "document type"),
        (f"<d>{element(office='&e;')}</d>", "Entity 'e' not defined"),
        (f"<d>{'<a>' * 5000}{'</a>' * 5000}</d>", "elements within elements deeper than 256"),
        (f"<d>{element(office='x' * 10_000_001)}</d>", "a text longer than 10,000,000 characters"),
        (f"<d>{element()}", "not well-formed XML: Premature end .* line 1"),
        (f"<d>{element(office='a&#0;b')}</d>", "line 1, column"),
        ("", "the file is empty"),
    ],
)
def test_hostile_xml_is_told(bench, contract_of, content, message):
    contract = contract_of(format={"kind": "xml", "record": "r"})
    with pytest.raises(TidewaiterError, match=message) as told:
        bench.land(content, contract)
    assert "XML_PARSE_HUGE" not in str(told.value)


def test_an_inclusion_in_xml_is_an_element_like_any_other(bench, contract_of, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    include = f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{secret}" parse="text"/>'
    contract = contract_of(format={"kind": "xml", "record": "r"})
    landed = bench.land(f"<d>{element(office=include)}{element(id='K2')}</d>", contract)
    assert_costs_itself(landed, "office_code: required, and empty")


@pytest.mark.parametrize(
    ("column", "values", "landed_as"),
    [
        (
            "value",
            pa.array([Decimal("12345678901234.5678"), None], pa.decimal128(38, 10)),
            ["12345678901234.5678"],
        ),
        ("value", pa.array([2**64 - 1, 1], pa.uint64()), ["1"]),
        ("value", pa.array([float("nan"), 1.0]), ["1"]),
        ("value", pa.array([-0.0, 1e300]), ["0"]),
        ("value", pa.array([1.5, 2.5], pa.float16()), ["1.5", "2.5"]),
        ("value", pa.array([[1], [2]]), []),
        ("value", pa.array([{"a": 1}, None]), []),
        ("value", pa.nulls(2), []),
        ("value", pa.array(["1", "2"]).dictionary_encode(), ["1", "2"]),
        ("value", pa.array(["1", "2"], pa.large_string()), ["1", "2"]),
        ("value", pa.array([b"1", b"\xff"]), ["1"]),
        ("value", pa.array([True, False]), []),
    ],
)
def test_odd_types_of_parquet_are_read_or_quarantined(bench, contract_of, column, values, landed_as):
    table = pa.table(
        {name: [text, text] for name, text in SOUND.items()} | {"id": ["K", "K2"], column: values}
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    landed = bench.land(content.getvalue(), contract_of(format={"kind": "parquet"}))
    assert landed.receipt.rows_in == 2
    assert landed.column("declared_value") == [Decimal(text) for text in landed_as]


@pytest.mark.parametrize("zone", ["UTC", "America/Lima"])
def test_an_instant_that_says_its_offset_is_that_instant(bench, contract_of, zone):
    texts = ["2024-03-01T10:00:00Z", "2024-03-01 10:00:00+02:00", "2024-03-01T10:00:00.5-0500"]
    lines = [line(id=f"K{place}", registered=text) for place, text in enumerate(texts)]
    landed = bench.land("\n".join([",".join(SOUND), *lines]), contract_of(time_zone=zone))
    assert [f"{one:%H:%M:%S.%f}"[:10] for one in landed.column("registered_at")] == [
        "10:00:00.0",
        "08:00:00.0",
        "15:00:00.5",
    ]


def test_excel_keeps_no_formula_and_no_error(bench, contract_of):
    book = openpyxl.Workbook()
    for row in ([*SOUND], [*SOUND.values()], [*(SOUND | {"id": "K1", "value": "=1+1"}).values()]):
        book.active.append(row)
    book.active.append([*(SOUND | {"id": "K2", "value": "#DIV/0!"}).values()])
    content = io.BytesIO()
    book.save(content)
    landed = bench.land(content.getvalue(), contract_of(format={"kind": "excel"}))
    assert landed.column("declaration_id") == ["K"]
    assert landed.receipt.rows_quarantined == 2


@pytest.mark.parametrize("names", [[], ["__MACOSX/._a.csv"], ["folder/"]])
def test_an_archive_without_a_file_is_told(bench, contract_of, names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    with pytest.raises(TidewaiterError, match="no file in the archive"):
        bench.land_all(content.getvalue(), contract_of(files=["*"]), name="a.zip")


def test_an_archive_of_other_files_is_said(bench, contract_of, caplog):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", delimited())
    contract = contract_of(files=["*"], archive={"members": ["*.csv"]})
    assert bench.land_all(content.getvalue(), contract, name="a.zip") == []
    assert "none of its 1 files matches *.csv" in caplog.text
