"""Headers apart from their items, headers repeated on each item, and which sending is the last."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tidewaiter.contracts import Contract
from tidewaiter.errors import TidewaiterError
from tidewaiter.landing.erase import drop_rows, find_lines

HEADERS: dict[str, Any] = {
    "dataset": "declarations",
    "location": {"home": "drop"},
    "files": ["*.csv"],
    "refuse_above_quarantined_share": 1,
    "one_row_per": ["declaration_id"],
    "fields": {
        "declaration_id": {"column": "id"},
        "registered_at": {"column": "registered"},
        "office_code": {"column": "office"},
        "importer_id": {"column": "importer"},
        "currency_code": {"constant": "USD"},
        "total_freight": {"column": "freight"},
    },
}
HEADER = "id,registered,office,importer,freight\n"


def headers(**changed: Any) -> Contract:
    return Contract.model_validate(
        {"member": "XT", "name": "T", "owner": "t", "source": "t", "extracts": [HEADERS | changed]}
    )


def repeats(landed: Any) -> list[tuple[int, int]]:
    path = landed.folder / "repeats.parquet"
    return duckdb.sql(f"select source_line, repeats_line from read_parquet('{path}') order by 1").fetchall()


def test_repeated_headers_become_one_and_every_line_is_accounted_for(bench):
    text = HEADER + (
        "A,2024-03-01,S,Acme,10\n"
        "A,2024-03-01,S,Acme,10.0\n"  # the same number
        "B,2024-03-01,S,,\n"
        "A,2024-03-01,T,Other,10\n"  # contradicts twice
        "B,2024-03-01,S,Beta,7\n"  # fills what was blank
        "C,no date,S,,1\n"
    )
    landed = bench.land(text, headers())
    rows = {row["declaration_id"]: row for row in landed.rows}
    assert {
        name: (row["source_line"], row["source_rows_n"], row["total_freight"]) for name, row in rows.items()
    } == {
        "A": (2, 2, Decimal(10)),
        "B": (4, 2, Decimal(7)),
    }
    assert rows["B"]["importer_id"] is not None
    assert landed.reasons == {
        5: [
            "office_code: not as on line 2, of the same declaration_id",
            "importer_id: not as on line 2, of the same declaration_id",
        ],
        7: ["registered_at: 'no date' is not a time in ISO 8601"],
    }
    receipt = landed.receipt
    assert (receipt.rows_in, receipt.rows_landed, receipt.rows_quarantined, receipt.rows_repeated) == (
        6,
        4,
        2,
        2,
    )
    assert repeats(landed) == [(3, 2), (6, 4)]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    table=st.lists(
        st.tuples(st.sampled_from("ABC"), st.sampled_from(["S", "T"]), st.sampled_from(["", "1", "2"])),
        max_size=25,
    )
)
def test_every_row_is_a_header_a_repeat_or_in_quarantine(session_bench, table):
    text = HEADER + "".join(f"{key},2024-03-01,{office},,{freight}\n" for key, office, freight in table)
    landed = session_bench.elsewhere().land(text, headers())
    receipt = landed.receipt
    assert receipt.rows_in == receipt.rows_landed + receipt.rows_quarantined == len(table)
    found = repeats(landed) if landed.rows else []
    lines = [*landed.column("source_line"), *(line for line, _ in found), *landed.reasons]
    assert sorted(lines) == list(range(2, len(table) + 2))
    assert sum(landed.column("source_rows_n")) == receipt.rows_landed
    assert Counter(landed.column("declaration_id")) == Counter({key for key, _, _ in table})
    # A repeat says nothing that its header does not.
    by_line = {number: row for number, row in enumerate(table, start=2)}
    by_key = {row["declaration_id"]: row for row in landed.rows}
    for line, _ in found:
        key, office, freight = by_line[line]
        assert by_key[key]["office_code"] == office
        assert not freight or by_key[key]["total_freight"] == Decimal(freight)


def test_what_repeats_an_erased_header_is_found_too(bench):
    landed = bench.land(
        HEADER + "A,2024-03-01,S,Acme,1\nA,2024-03-01,S,Acme,1\nB,2024-03-01,S,Beta,1\n", headers()
    )
    subject = landed.column("importer_id")[0]
    assert find_lines(landed.folder, "declarations", [subject], bench.settings) == {2, 3}
    dropped = drop_rows(landed.folder, "declarations", [subject], bench.settings)
    assert dropped is not None
    assert dropped.lines == {2, 3}
    counts = dropped.counts
    assert (counts["rows_in"], counts["rows_landed"], counts["rows_repeated"]) == (1, 1, 0)


def test_too_many_contradictions_refuse_the_extract(bench):
    text = HEADER + "A,2024-03-01,S,,1\nA,2024-03-01,T,,1\n"
    landed = bench.land(text, headers(refuse_above_quarantined_share=0.1))
    assert landed.receipt.refused
    assert len(landed.reasons) == landed.receipt.rows_quarantined == 2


def test_one_row_per_must_be_the_key():
    with pytest.raises(
        ValidationError, match="expected the key of declarations as it is mapped: declaration_id"
    ):
        headers(one_row_per=["office_code"])


def apart(**fields: Any) -> dict[str, Any]:
    items = {
        "dataset": "declaration_items",
        "location": {"home": "drop"},
        "files": ["*.csv"],
        "refuse_above_quarantined_share": 1,
        "header": "apart",
        "fields": {
            "declaration_id": {"column": "id"},
            "item_no": {"column": "item"},
            "hs6": {"column": "hs"},
            "declared_value": {"column": "value"},
        }
        | fields,
    }
    return {"member": "XT", "name": "T", "owner": "t", "source": "t", "extracts": [items, HEADERS]}


def test_items_apart_land_without_what_their_header_brings(bench):
    contract = Contract.model_validate(apart(office_code={"column": "office"}))
    text = "id,item,hs,value,office\nA,1,010121,5,\nA,2,010121,6,S\nA,,010121,6,S\n"
    landed = bench.land(text, contract)
    assert landed.column("is_header_apart") == [True, True]
    assert landed.column("office_code") == [None, "S"]
    assert landed.column("registered_date") == [None, None]
    assert list(landed.reasons) == [4]


def test_items_apart_need_an_entry_for_their_headers():
    contract = apart()
    contract["extracts"] = contract["extracts"][:1]
    with pytest.raises(ValidationError, match="needs an entry of dataset declarations"):
        Contract.model_validate(contract)


def sequences(bench: Any, contract: Contract, text: str, name: str = "file.csv") -> list[Any]:
    return bench.elsewhere().land(text, contract, name).column("sequence_no")


ITEMS = "id,item,registered,office,hs,importer,value,changed\n"


def test_a_column_or_the_name_of_the_file_orders_sendings(bench, contract_of):
    row = "K,1,2024-03-01,S,010121,,1,02/03/2024\n"
    day = Decimal(1709337600)  # 2 March 2024, in seconds
    by_column = contract_of(sequence_by={"column": "changed", "formats": ["%d/%m/%Y"]})
    assert sequences(bench, by_column, ITEMS + row) == [day]
    by_name = contract_of(sequence_by={"file_name": r"_(\d{8})\.", "formats": ["%d%m%Y"]})
    assert sequences(bench, by_name, ITEMS + row, "items_02032024.csv") == [day]
    by_number = contract_of(sequence_by={"file_name": r"_v(\d+)"})
    assert sequences(bench, by_number, ITEMS + row, "items_v12.csv") == [Decimal(12)]
    assert sequences(bench, contract_of(), ITEMS + row) == [None]


def test_a_row_without_a_time_is_the_oldest_and_a_wrong_one_is_faulty(bench, contract_of):
    contract = contract_of(sequence_by={"column": "changed", "formats": ["%d/%m/%Y"]})
    text = ITEMS + "K,1,2024-03-01,S,010121,,1,\nL,1,2024-03-01,S,010121,,1,2024\n"
    landed = bench.land(text, contract)
    assert landed.column("sequence_no") == [None]
    assert landed.reasons == {3: ["sequence_no: the contract's expression fails on this row"]}


def test_a_name_without_the_value_stops_the_file(bench, contract_of):
    contract = contract_of(sequence_by={"file_name": r"_v(\d+)"})
    with pytest.raises(TidewaiterError) as raised:
        bench.land(ITEMS, contract, "items.csv")
    assert "the name does not match '_v(\\d+)', from which sequence_no is taken" in str(raised.value)


def test_any_field_can_come_from_the_name(bench, contract_of):
    contract = contract_of(
        {
            "registered_at": {"file_name": r"(\d{6})", "formats": ["%Y%m"]},
            "office_code": {"file_name": r"^([a-z]+)", "codes": {"port": "01"}},
        }
    )
    landed = bench.land("id,item,hs,importer,value\nK,1,010121,,1\n", contract, "port_202403.csv")
    (row,) = landed.rows
    assert (f"{row['registered_at']:%Y-%m-%d}", row["office_code"]) == ("2024-03-01", "01")


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ({"column": "a", "file_name": "(b)"}, "exactly one of column, file_name"),
        ({"file_name": "no group"}, "has 0 groups"),
        ({"file_name": "("}, "not a regular expression"),
    ],
)
def test_a_wrong_sequence_is_named(contract_of, sequence, message):
    with pytest.raises(ValidationError) as raised:
        contract_of(sequence_by=sequence)
    assert message in str(raised.value)
