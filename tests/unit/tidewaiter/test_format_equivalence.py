"""The same table in every format lands as the same rows, and no format loses a record."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import escape

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidewaiter.errors import TidewaiterError

FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WIDTH = 40

# What all formats can say: no control characters (XML and Excel have none), no outer blanks (fixed
# width pads with them).
letters = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"), exclude_characters="\ufeff_")
texts = st.text(letters, min_size=1, max_size=12).map(str.strip).filter(bool)
values = st.one_of(st.integers(0, 999).map(str), st.sampled_from(["x", "-1", "=1+1", "1e3", "1.50"]))


@st.composite
def tables(draw: Any) -> list[list[str]]:
    ids = draw(st.lists(texts, min_size=1, max_size=6))
    return [
        [
            key,
            "1",
            "2024-03-01",
            draw(texts),
            draw(st.sampled_from(["010121", "1x"])),
            draw(texts),
            draw(values),
        ]
        for key in ids
    ]


def as_csv(header: list[str], rows: list[list[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header, *rows])
    return buffer.getvalue().encode()


def as_csv_in_utf16(header: list[str], rows: list[list[str]]) -> bytes:
    return as_csv(header, rows).decode().encode("utf-16")


def as_semicolons_without_header(header: list[str], rows: list[list[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=";", quoting=csv.QUOTE_ALL).writerows(rows)
    return ("above; the table\n" + buffer.getvalue()).encode("gb18030")


def as_fixed_width(header: list[str], rows: list[list[str]]) -> bytes:
    return "".join("".join(value.ljust(WIDTH) for value in row) + "\r\n" for row in rows).encode()


def as_json_array(header: list[str], rows: list[list[str]]) -> bytes:
    return json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=1).encode()


def as_json_lines(header: list[str], rows: list[list[str]]) -> bytes:
    lines = (json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) for row in rows)
    return "\n".join(lines).encode()


def as_json_arrays(header: list[str], rows: list[list[str]]) -> bytes:
    return json.dumps([header, *rows]).encode()


def as_json_document(header: list[str], rows: list[list[str]]) -> bytes:
    return json.dumps({"sent": {"rows": [dict(zip(header, row, strict=True)) for row in rows]}}).encode()


def as_xml(header: list[str], rows: list[list[str]]) -> bytes:
    records = (
        "<Row>" + "".join(f"<{n}>{escape(v)}</{n}>" for n, v in zip(header, row, strict=True)) + "</Row>"
        for row in rows
    )
    return f"<Rows>{''.join(records)}</Rows>".encode()


def as_parquet(header: list[str], rows: list[list[str]]) -> bytes:
    buffer = io.BytesIO()
    columns = zip(*rows, strict=True)
    pq.write_table(
        pa.table({name: pa.array(list(c)) for name, c in zip(header, columns, strict=True)}), buffer
    )
    return buffer.getvalue()


def as_excel(header: list[str], rows: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    for row in [header, *rows]:
        book.active.append(row)
    for cells in book.active.iter_rows():
        for cell in cells:
            cell.data_type = "s"  # what begins with = is a text here, as in the other formats
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def zipped(write: Callable[..., bytes]) -> Callable[..., bytes]:
    def packed(header: list[str], rows: list[list[str]]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("inner/file", write(header, rows))
        return buffer.getvalue()

    return packed


def gzipped(header: list[str], rows: list[list[str]]) -> bytes:
    return gzip.compress(as_json_lines(header, rows))


def formats(header: list[str]) -> dict[str, tuple[Callable[..., bytes], dict[str, Any]]]:
    fixed = [{"name": name, "width": WIDTH} for name in header]
    plain = {"header": False, "columns": header, "delimiter": ";", "skip_lines": 1, "encoding": "gb18030"}
    lines = {"kind": "json", "layout": "lines"}
    xml = {"kind": "xml", "record": "Row"}
    return {
        "csv": (as_csv, {}),
        "utf-16": (as_csv_in_utf16, {"encoding": "utf-16"}),
        "plain": (as_semicolons_without_header, plain),
        "fixed_width": (as_fixed_width, {"kind": "fixed_width", "columns": fixed}),
        "array": (as_json_array, {"kind": "json"}),
        "lines": (as_json_lines, lines),
        "arrays": (as_json_arrays, {"kind": "json", "record": "array"}),
        "document": (as_json_document, {"kind": "json", "layout": "document", "items": "sent.rows"}),
        "xml": (as_xml, xml),
        "parquet": (as_parquet, {"kind": "parquet"}),
        "excel": (as_excel, {"kind": "excel"}),
        "zip": (zipped(as_xml), xml),
        "gz": (gzipped, lines),
    }


NAMES = [*formats([])]


def without_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    place = {"source_line", "extract_id", "source_file"}
    return [{name: value for name, value in row.items() if name not in place} for row in rows]


def told_apart(landed: Any) -> list[Any]:
    """Return reasons without the lines in them, and records, of the quarantine in order."""
    found = []
    for row in landed.quarantine:
        reasons = ["same key" if "as line" in reason else reason for reason in row["reasons"]]
        record = {name: value.strip() for name, value in json.loads(row["record"]).items()}
        found.append((reasons, record))
    return found


@FEW
@given(table=tables())
def test_the_same_table_lands_as_the_same_rows(session_bench, contract_of, landing_header, table):
    header = landing_header.split(",")
    expected = None
    for name, (write, file_format) in formats(header).items():
        landed = session_bench.elsewhere().land_all(
            write(header, table), contract_of(format=file_format), name="file"
        )[0]
        receipt = landed.receipt
        assert receipt.rows_in == receipt.rows_landed + receipt.rows_quarantined == len(table), name
        found = (without_place(landed.rows), told_apart(landed), receipt.reasons)
        expected = expected or found
        assert found == expected, name


@FEW
@given(table=tables(), where=st.data())
@pytest.mark.parametrize("name", ["lines", "array", "fixed_width", "xml", "parquet", "excel"])
def test_damaged_bytes_are_accounted_for_or_a_clear_error(
    session_bench, contract_of, landing_header, name, table, where
):
    header = landing_header.split(",")
    write, file_format = formats(header)[name]
    content = bytearray(write(header, table))
    for _ in range(3):
        # By share: a workbook has the time in it and is not always as long.
        content[where.draw(st.integers(0, 9999)) * len(content) // 10_000] = where.draw(st.integers(0, 255))
    with suppress(TidewaiterError):  # any other error fails the test
        for landed in session_bench.elsewhere().land_all(
            bytes(content), contract_of(format=file_format), name="file"
        ):
            receipt = landed.receipt
            assert receipt.rows_in == receipt.rows_landed + receipt.rows_quarantined
            lines = [*landed.column("source_line"), *landed.reasons]
            assert len(lines) == len(set(lines)) == receipt.rows_in


@pytest.mark.parametrize("name", NAMES)
def test_landing_twice_changes_no_byte(bench, contract_of, landing_header, name):
    header = landing_header.split(",")
    table = [
        [f"A{n}", "1", "2024-03-01", "S", "010121", "Acme", str(n) if n % 3 else "x"] for n in range(500)
    ]
    write, file_format = formats(header)[name]
    content, contract = write(header, table), contract_of(format=file_format)
    (first,) = bench.land_all(content, contract, name="file")
    ids = Counter(first.column("declaration_id")) + Counter(
        record["id"].strip() for record in first.records.values()
    )
    assert ids == Counter(row[0] for row in table)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    (again,) = bench.land_all(content, contract, name="file")
    assert again.receipt == first.receipt
    for path in first.folder.iterdir():
        path.unlink()
    bench.land_all(content, contract, name="file")
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
