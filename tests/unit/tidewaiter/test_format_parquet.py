"""Parquet: typed values become the text that a contract maps, and names of columns are data."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidewaiter.errors import TidewaiterError

PARQUET = {"kind": "parquet"}


def table(rows: int = 1, **columns: pa.Array) -> pa.Table:
    plain = {
        "id": pa.array([f"A{number}" for number in range(rows)]),
        "item": pa.array([1.0] * rows),
        "registered": pa.array([date(2024, 3, 1)] * rows),
        "office": pa.array(["S01"] * rows).dictionary_encode(),
        "hs": pa.array(["010121"] * rows),
        "importer": pa.array([7001] * rows),
        "value": pa.array([Decimal("1.50")] * rows),
    }
    return pa.table(plain | columns)


def as_bytes(made: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(made, buffer, **options)
    return buffer.getvalue()


def test_typed_values_are_read_as_text(bench, contract_of):
    made = table(
        2,
        flag=pa.array([True, None]),
        seen=pa.array([datetime(2024, 3, 1, 4, 5, 6), None]),
        zoned=pa.array([datetime(2024, 3, 1, 4, 5, tzinfo=UTC)] * 2),
        codes=pa.array([["a"], []]),
        ratio=pa.array([0.1, 12.0]),
    )
    contract = contract_of(
        {
            "is_irregular": {"column": "flag"},
            "label_at": {"column": "zoned", "formats": ["%Y-%m-%d %H:%M:%S%z"]},
            "label_source_code": {"constant": "ALL"},
            "lane_at": {"column": "seen"},
            "procedure_code": {"column": "codes"},
            "net_kg": {"column": "ratio"},
        },
        format=PARQUET,
    )
    first, second = bench.land(as_bytes(made), contract).rows
    assert first["item_no"] == 1
    assert first["registered_date"] == date(2024, 3, 1)
    assert first["is_irregular"] is True
    assert first["lane_at"] == datetime(2024, 3, 1, 4, 5, 6)
    assert first["label_at"] == datetime(2024, 3, 1, 4, 5)
    assert (first["procedure_code"], second["procedure_code"]) == ('["a"]', "[]")
    assert (float(first["net_kg"]), float(second["net_kg"])) == (0.1, 12.0)
    assert first["declared_value"] == Decimal("1.5000")


@pytest.mark.parametrize("name", ["file_row_number", "'\"; drop table x; --", "ID", "source_line", "raw_0"])
def test_names_of_columns_are_data(bench, contract_of, name):
    contract = contract_of({"procedure_code": {"column": name}}, format=PARQUET)
    landed = bench.land(as_bytes(table(**{name: pa.array(["=cmd|'/c'!A1"])})), contract)
    assert landed.column("procedure_code") == ["=cmd|'/c'!A1"]


def test_a_nul_a_long_value_and_a_faulty_row_are_kept(bench, contract_of):
    made = table(3, office=pa.array(["a\0b", "x" * 10_000_000, None]))
    landed = bench.land(as_bytes(made), contract_of(format=PARQUET))
    assert landed.column("office_code") == ["a\0b", "x" * 10_000_000]
    assert landed.reasons == {3: ["office_code: required, and empty"]}


@pytest.mark.parametrize("part", [b"", b"PAR1", slice(0, -20), slice(30, None)])
def test_what_is_no_parquet_is_told(bench, contract_of, part):
    content = as_bytes(table())
    with pytest.raises(TidewaiterError, match=r"Parquet|cannot be read"):
        bench.land(content[part] if isinstance(part, slice) else part, contract_of(format=PARQUET))


def test_a_broken_page_lands_nothing(bench, contract_of):
    content = bytearray(as_bytes(table(50_000), compression="zstd", use_dictionary=False))
    content[2000:6000] = b"\xa5" * 4000
    with pytest.raises(TidewaiterError, match="cannot be read"):
        bench.land(bytes(content), contract_of(format=PARQUET))
    assert not list(bench.settings.paths.landing.glob("*/member=XT/*"))


def test_all_rows_are_there_in_order(bench, contract_of):
    landed = bench.land(as_bytes(table(100_000), row_group_size=30_000), contract_of(format=PARQUET))
    assert landed.receipt.rows_landed == 100_000
    assert landed.column("declaration_id") == [f"A{number}" for number in range(100_000)]
    assert landed.column("source_line") == list(range(1, 100_001))


def test_a_value_repeated_a_million_times_over_is_no_file_of_records(bench, contract_of):
    rows = 1_000_000
    same = pa.DictionaryArray.from_arrays(
        pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(bytes(rows))]), pa.array(["1"])
    )
    made = pa.table(dict.fromkeys(("id", "item", "registered", "office", "hs", "importer", "value"), same))
    content = io.BytesIO()
    with pq.ParquetWriter(content, made.schema) as writer:
        for _ in range(6):
            writer.write_table(made, row_group_size=rows)
    assert len(content.getvalue()) < rows / 5
    with pytest.raises(TidewaiterError, match=r"6,000,000 rows in [0-9,]+ bytes"):
        bench.land(content.getvalue(), contract_of(format=PARQUET))
