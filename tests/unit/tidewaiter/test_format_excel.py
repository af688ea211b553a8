"""Excel: the values of a sheet, row by row; nothing is computed, and a workbook is no way in."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest

from tidewaiter.errors import TidewaiterError

EXCEL = {"kind": "excel"}


def row(key: object, office: object = "S01", value: object = 1, *more: object) -> list[object]:
    return [key, 1, date(2024, 3, 1), office, "010121", "Acme", value, *more]


def workbook(*rows: list[Any], sheet: str = "Data") -> bytes:
    book = openpyxl.Workbook()
    book.active.title = sheet
    for values in rows:
        book.active.append(values)
    book.create_sheet("Other").append(["nothing"])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def with_part(content: bytes, name: str, change: Any) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.infolist():
            part = old.read(member)
            new.writestr(member.filename, change(part) if member.filename == name else part)
    return buffer.getvalue()


@pytest.fixture
def names(landing_header) -> list[str]:
    return landing_header.split(",")


def test_values_blank_rows_and_faults(bench, contract_of, names):
    content = workbook(
        names,
        row("A1", value=1.5),
        [None] * 7,
        row(17, datetime(2024, 1, 2, 3, 4), 12.0),
        row("A3", value="#N/A"),
        row("A4", "S01", 1, "beyond"),
        row("A5", "=1+1"),
    )
    landed = bench.land(content, contract_of(format=EXCEL))
    assert landed.column("source_line") == [2, 4]
    assert landed.column("declaration_id") == ["A1", "17"]
    assert landed.column("office_code") == ["S01", "2024-01-02 03:04:00"]
    assert [str(value) for value in landed.column("declared_value")] == ["1.5000", "12.0000"]
    assert landed.reasons == {
        5: ["declared_value: '#N/A' is not a decimal number"],
        6: ["the row has more values than the header has columns"],
        7: ["a formula of the row has no value: the workbook was written without computing it"],
    }
    assert landed.receipt.rows_in == 5


def test_the_value_kept_with_a_formula_is_the_value(bench, contract_of, names):
    def computed(part: bytes) -> bytes:
        assert b"<f>1+1</f><v></v>" in part or b"<f>1+1</f><v />" in part or b"<f>1+1</f><v/>" in part
        for empty in (b"<v></v>", b"<v />", b"<v/>"):
            part = part.replace(b"<f>1+1</f>" + empty, b"<f>1+1</f><v>2</v>")
        return part

    content = with_part(workbook(names, row("A1", value="=1+1")), "xl/worksheets/sheet1.xml", computed)
    landed = bench.land(content, contract_of(format=EXCEL))
    assert [str(value) for value in landed.column("declared_value")] == ["2.0000"]


def test_sheets_and_rows_above_the_header(bench, contract_of, names):
    content = workbook(["Report"], [], names, row("A1"), sheet="Items")
    landed = bench.land(content, contract_of(format=EXCEL | {"sheet": "Items", "skip_rows": 2}))
    assert landed.column("source_line") == [4]
    with pytest.raises(TidewaiterError, match=r"no sheet 'Itens' \(did you mean 'Items'\?\)"):
        bench.land(content, contract_of(format=EXCEL | {"sheet": "Itens"}))


def test_a_sheet_without_a_header_is_named_by_the_contract(bench, contract_of, names):
    contract = contract_of(format=EXCEL | {"header": False, "columns": names})
    assert bench.land(workbook(row("A1"), row("A2")), contract).column("source_line") == [1, 2]


def test_a_wrong_size_in_the_file_loses_no_row(bench, contract_of, names):
    content = workbook(names, *(row(f"A{number}") for number in range(50)))
    lying = with_part(
        content, "xl/worksheets/sheet1.xml", lambda part: part.replace(b'ref="A1:G51"', b'ref="A1:B2"')
    )
    assert lying != content
    assert bench.land(lying, contract_of(format=EXCEL)).receipt.rows_landed == 50


def test_entities_are_refused(bench, contract_of, names):
    bomb = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    content = with_part(
        workbook(names, row("A1")),
        "xl/worksheets/sheet1.xml",
        lambda part: part.replace(b"<worksheet", bomb + b"<worksheet", 1),
    )
    with pytest.raises(TidewaiterError, match="declares a document type"):
        bench.land(content, contract_of(format=EXCEL))


def test_a_workbook_that_unpacks_to_too_much_is_refused(bench, contract_of, names):
    content = with_part(workbook(names, row("A1")), "xl/styles.xml", lambda part: part + b" " * (3 << 20))
    with pytest.raises(TidewaiterError, match="unpacks to more than 2 MB"):
        bench.land(content, contract_of(format=EXCEL | {"largest_unpacked_mb": 2}))


@pytest.mark.parametrize("content", [b"", b"no workbook", b"PK\x03\x04 and nothing"])
def test_what_is_no_workbook_is_told(bench, contract_of, content):
    with pytest.raises(TidewaiterError, match=r"workbook|archive cannot be read"):
        bench.land(content, contract_of(format=EXCEL))


def test_a_workbook_with_a_part_missing_is_told(bench, contract_of, names):
    content = with_part(workbook(names), "xl/workbook.xml", lambda part: b"<nothing/>")
    with pytest.raises(TidewaiterError, match="workbook"):
        bench.land(content, contract_of(format=EXCEL))
