"""How source text becomes canonical values, and what a row that cannot be mapped says of itself."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from tidewaiter.canonical import load_dataset
from tidewaiter.errors import ExitCode, TidewaiterError
from tidewaiter.landing import write
from tidewaiter.landing.drift import SchemaDrift
from tidewaiter.pseudonyms import Pseudonymiser

GOOD = "A1,1,2024-03-01,S01,010121,Acme,12.50"


def lines(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


def test_a_sound_row_lands_typed_with_its_lineage(bench, landing_header):
    landed = bench.land(lines(landing_header, GOOD))
    (row,) = landed.rows
    assert row["member_iso2"] == "XT"
    assert (row["declaration_id"], row["item_no"], row["item_version"]) == ("A1", 1, 1)
    assert row["registered_at"] == datetime(2024, 3, 1)
    assert row["registered_date"] == date(2024, 3, 1)
    assert row["hs6"] == "010121"
    assert row["declared_value"] == Decimal("12.5000")
    assert row["importer_id"] == Pseudonymiser(b"k" * 32).pseudonymise("XT", "importer", ["acme"])[0]
    assert (row["extract_id"], row["source_file"], row["source_line"]) == (
        landed.receipt.extract_id,
        "file.csv",
        2,
    )
    assert list(row) == list(load_dataset("declaration_items").landed_columns)


def test_every_reason_of_a_row_is_listed_in_words(bench, landing_header):
    landed = bench.land(lines(landing_header, GOOD, ",0,31/12/2024,S01,1O121,Acme,abc"))
    assert landed.receipt.rows_landed == 1
    assert landed.reasons == {
        3: [
            "declaration_id: required, and empty",
            "item_no: '0' is below the minimum 1",
            "registered_at: '31/12/2024' is not a time in ISO 8601",
            "hs6: '1O121' is not of the form [0-9]{6}",
            "declared_value: 'abc' is not a decimal number",
        ]
    }
    assert landed.receipt.reasons["declared_value: not a decimal number"] == 1


def test_the_receipt_counts_reasons_without_values(bench, landing_header):
    bad = [f"B{n},1,2024-03-01,S01,010121,Acme,x{n}" for n in range(3)]
    landed = bench.land(lines(landing_header, *bad))
    assert landed.receipt.reasons == {"declared_value: not a decimal number": 3}


@pytest.mark.parametrize(
    ("text", "marks", "expected"),
    [
        ("1234.5", {}, Decimal("1234.5")),
        (" 7 ", {}, Decimal(7)),
        ("1e3", {}, Decimal(1000)),
        ("0.00004", {}, Decimal(0)),
        ("1.234.567,89", {"decimal_mark": ",", "thousands_mark": "."}, Decimal("1234567.89")),
        ("12,5", {"decimal_mark": ",", "thousands_mark": "."}, Decimal("12.5")),
        ("1 234 567,5", {"decimal_mark": ",", "thousands_mark": " "}, Decimal("1234567.5")),
        ("1\u00a0234,5", {"decimal_mark": ",", "thousands_mark": " "}, Decimal("1234.5")),
        ("1'234.5", {"thousands_mark": "'"}, Decimal("1234.5")),
        ("1,234", {"thousands_mark": ","}, Decimal(1234)),
    ],
)
def test_amounts_are_read_in_the_marks_of_the_contract(
    bench, contract_of, landing_header, text, marks, expected
):
    contract = contract_of(format={"delimiter": ";"} | marks)
    header = landing_header.replace(",", ";")
    landed = bench.land(lines(header, f"A1;1;2024-03-01;S01;010121;Acme;{text}"), contract)
    assert landed.column("declared_value") == [expected]


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("12,5", {}),
        ("1_000", {}),
        ("0x1F", {}),
        ("nan", {}),
        ("inf", {}),
        ("123456789012345", {}),
        ("1.5", {"decimal_mark": ",", "thousands_mark": "."}),
        ("12.5", {"decimal_mark": ","}),
        ("1,23", {"thousands_mark": ","}),
        ("1..2", {"decimal_mark": ",", "thousands_mark": "."}),
    ],
)
def test_an_amount_in_other_marks_is_a_fault_and_not_another_amount(
    bench, contract_of, landing_header, text, marks
):
    contract = contract_of(format={"delimiter": ";"} | marks)
    header = landing_header.replace(",", ";")
    landed = bench.land(lines(header, f"A1;1;2024-03-01;S01;010121;Acme;{text}"), contract)
    assert landed.reasons == {2: [f"declared_value: '{text}' is not a decimal number"]}


@pytest.mark.parametrize("text", ["1.5", "one", "1_0", "99999999999"])
def test_a_number_that_is_not_whole_is_a_fault(bench, landing_header, text):
    landed = bench.land(lines(landing_header, f"A1,{text},2024-03-01,S01,010121,Acme,1"))
    assert landed.reasons == {2: [f"item_no: '{text}' is not a whole number"]}


def test_a_whole_number_may_be_written_as_a_decimal(bench, landing_header):
    landed = bench.land(lines(landing_header, "A1,3.0,2024-03-01,S01,010121,Acme,1"))
    assert landed.column("item_no") == [3]


def test_times_are_local_and_land_in_utc_with_their_local_day(bench, contract_of, landing_header):
    contract = contract_of(
        {"registered_at": {"column": "registered", "formats": ["%d/%m/%Y %H:%M", "%Y%m%d"]}},
        time_zone="Asia/Seoul",
    )
    landed = bench.land(
        lines(
            landing_header,
            "A1,1,01/03/2024 08:30,S01,010121,Acme,1",
            "A2,1,20240301,S01,010121,Acme,1",
            "A3,1,2024-03-01,S01,010121,Acme,1",
        ),
        contract,
    )
    assert landed.column("registered_at") == [datetime(2024, 2, 29, 23, 30), datetime(2024, 2, 29, 15)]
    assert landed.column("registered_date") == [date(2024, 3, 1), date(2024, 3, 1)]
    assert landed.reasons == {
        4: ["registered_at: '2024-03-01' is not a time written as %d/%m/%Y %H:%M or %Y%m%d"]
    }


def test_a_written_offset_wins_over_the_zone_of_the_member(bench, contract_of, landing_header):
    contract = contract_of(
        {"registered_at": {"column": "registered", "formats": ["%Y-%m-%dT%H:%M:%S%z"]}},
        time_zone="Asia/Seoul",
    )
    landed = bench.land(lines(landing_header, "A1,1,2024-03-01T20:00:00+0100,S01,010121,Acme,1"), contract)
    assert landed.column("registered_at") == [datetime(2024, 3, 1, 19)]
    assert landed.column("registered_date") == [date(2024, 3, 2)]


def test_codes_constants_optional_columns_and_expressions(bench, contract_of, landing_header):
    contract = contract_of(
        {
            "lane_initial_code": {"column": "lane", "codes": {"R": "RED", "G": "GREEN"}},
            "is_irregular": {"column": "fraud", "codes": {"0": False, "1": True}, "optional": True},
            "label_at": {
                "expression": """case when "fraud" is not null
                    then "registered"::date + interval ({days}) day end""",
                "optional": True,
            },
            "value_basis_code": {"constant": "CIF"},
            "net_kg": {"expression": '"tonnes"::double * 1000'},
        },
        parameters={"days": 3},
        null_values=["", "-"],
    )
    header = landing_header + ",lane,tonnes"
    rows = [f"{GOOD},R,0.5", f"A2{GOOD[2:]},X,1", f"A3{GOOD[2:]},-,-", f"A4{GOOD[2:]},G,heavy"]
    without = bench.land(lines(header, *rows), contract)
    assert without.column("lane_initial_code") == ["RED", None]
    assert without.column("net_kg") == [Decimal(500), None]
    assert without.column("is_irregular") == [None, None]
    assert without.column("value_basis_code") == ["CIF", "CIF"]
    assert without.reasons == {
        3: ["lane_initial_code: 'X' is not in the contract's code map"],
        5: ["net_kg: the contract's expression fails on this row"],
    }
    labelled = bench.land(lines(header + ",fraud", f"{GOOD},R,1,1", f"A2{GOOD[2:]},G,1,0"), contract)
    assert labelled.column("is_irregular") == [True, False]
    assert labelled.column("label_at") == [datetime(2024, 3, 4)] * 2


def test_values_between_columns_are_checked_by_the_rules(bench, contract_of, landing_header):
    contract = contract_of({"net_kg": {"column": "net"}, "gross_kg": {"column": "gross"}})
    landed = bench.land(lines(landing_header + ",net,gross", f"{GOOD},5,4", f"A2{GOOD[2:]},5,"), contract)
    assert landed.reasons == {2: ["net_not_above_gross: broken, net mass at most gross mass"]}
    assert landed.column("declaration_id") == ["A2"]


def test_a_value_outside_a_code_list_is_a_fault(bench, contract_of, landing_header):
    contract = contract_of({"lane_initial_code": {"column": "lane"}})
    landed = bench.land(lines(landing_header + ",lane", f"{GOOD},MAUVE"), contract)
    assert landed.reasons == {2: ["lane_initial_code: 'MAUVE' is not one of RED, YELLOW, BLUE, GREEN"]}


def test_a_later_row_with_the_same_key_goes_to_quarantine_and_names_the_first(bench, landing_header):
    other = GOOD.replace("12.50", "99")
    faulty = GOOD.replace("12.50", "x")
    landed = bench.land(lines(landing_header, faulty, GOOD, "A2,1,2024-03-01,S01,010121,Acme,1", other))
    assert landed.column("source_line") == [3, 4]
    assert landed.reasons[5] == ["same declaration_id, item_no, item_version as line 3"]
    assert landed.records[5]["value"] == "99"
    assert landed.records[2]["value"] == "x"
    assert landed.receipt.reasons["same key as an earlier row of the file"] == 1


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_repeated_keys_are_found_however_many_are_sorted_at_once(bench, landing_header, monkeypatch, at_once):
    monkeypatch.setattr(write, "_SORTED_AT_ONCE", at_once)
    rows = [f"K{number},1,2024-03-01,S01,010121,Acme,1" for number in (1, 2, 3, 1, 4, 2, 1, 5, 6, 7)]
    landed = bench.land(lines(landing_header, *rows))
    first_line = {line: reasons[0].split()[-1] for line, reasons in landed.reasons.items()}
    assert first_line == {5: "2", 7: "3", 8: "2"}


def test_na_is_namibia_unless_the_contract_says_otherwise(bench, contract_of, landing_header):
    fields = {"origin_iso2": {"column": "origin"}}
    text = lines(landing_header + ",origin", f"{GOOD},NA")
    assert bench.land(text, contract_of(fields)).column("origin_iso2") == ["NA"]
    assert bench.land(text, contract_of(fields, null_values=["NA"])).column("origin_iso2") == [None]


def test_persons_are_pseudonyms_in_rows_and_in_quarantine(bench, contract_of, landing_header):
    contract = contract_of(
        {
            "inspector_initial_id": {"column": "first"},
            "inspector_final_id": {"column": "last"},
            "seller_id": {"expression": "'S' || \"seller\""},
        }
    )
    header = landing_header + ",first,last,seller,note"
    landed = bench.land(
        lines(
            header,
            f"{GOOD},Kim, KIM ,Zed,Mrs Kim was ill",
            f"A2{GOOD[2:-5]}x,Kim,,Zed,Mrs Kim was ill",
            f"{GOOD},Lee,Kim,,again",
            "A4,Acme,too,short",
        ),
        contract,
    )
    (row,) = landed.rows
    assert row["inspector_initial_id"] == row["inspector_final_id"]
    assert len(row["importer_id"]) == 32
    assert landed.records[3]["first"] == row["inspector_initial_id"]
    assert landed.records[3]["importer"] == row["importer_id"]
    assert landed.records[3]["last"] is None
    assert "note" not in landed.records[3]
    assert landed.records[5] == {
        "text_kept_in": f"raw/XT/{landed.receipt.source_sha256}/file.csv",
        "line": 5,
    }
    for file in landed.folder.iterdir():
        content = file.read_bytes().lower()
        assert not any(name in content for name in (b"kim", b"lee", b"acme", b"zed")), file.name


def test_a_fault_in_a_persons_column_does_not_quote_the_value(bench, contract_of, landing_header):
    contract = contract_of({"importer_id": {"column": "importer", "codes": {"Acme": "A"}}})
    landed = bench.land(lines(landing_header, GOOD.replace("Acme", "Mr Secret")), contract)
    assert landed.reasons == {2: ["importer_id: the value is not in the contract's code map"]}


def test_a_share_of_faults_above_the_limit_refuses_the_whole_extract(bench, contract_of, landing_header):
    text = lines(landing_header, GOOD, "A2,1,2024-03-01,S01,010121,Acme,x", "A3,1,2024-03-01")
    landed = bench.land(text, contract_of(refuse_above_quarantined_share=0.5))
    receipt = landed.receipt
    assert receipt.refused
    assert (receipt.rows_in, receipt.rows_landed, receipt.rows_quarantined) == (3, 0, 3)
    assert not (landed.folder / "rows.parquet").exists()
    assert landed.reasons[2] == ["sound, but held back with the refused extract"]
    assert landed.records[2]["id"] == "A1"
    at_limit = bench.elsewhere().land(text, contract_of(refuse_above_quarantined_share=0.67))
    assert (at_limit.receipt.refused, at_limit.receipt.rows_landed) == (False, 1)


def test_a_refusal_is_told_again_without_landing_again(bench, contract_of, landing_header):
    contract = contract_of(refuse_above_quarantined_share=0)
    text = lines(landing_header, "A2,1,2024-03-01,S01,010121,Acme,x")
    first = bench.land(text, contract)
    written = (first.folder / "quarantine.parquet").stat().st_mtime_ns
    assert bench.land(text, contract).receipt == first.receipt
    assert (first.folder / "quarantine.parquet").stat().st_mtime_ns == written


def test_a_mended_contract_lands_the_same_bytes_again(bench, contract_of, landing_header):
    text = lines(landing_header, GOOD.replace("12.50", "12,50").replace("Acme,", 'Acme,"') + '"')
    assert bench.land(text).receipt.rows_landed == 0
    mended = bench.land(text, contract_of(format={"decimal_mark": ","}))
    assert mended.column("declared_value") == [Decimal("12.5")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"net_kg": {"column": "valu"}},
            "column 'valu' is missing; the contract maps it to net_kg (did you mean 'value'?)",
        ),
        ({"net_kg": {"expression": '"valu" || 1'}}, "(did you mean 'value'?)"),
        ({"net_kg": {"expression": 'no_such_function("value")'}}, "no_such_function"),
        ({"net_kg": {"expression": 'sum("value"::double)'}}, "works on many rows"),
        ({"net_kg": {"expression": "random()"}}, "another value each time"),
        ({"net_kg": {"expression": "(select 1)"}}, "a subquery"),
        ({"net_kg": {"expression": "(select max(content) from read_text('/etc/hostname'))"}}, "a subquery"),
        ({"net_kg": {"expression": "row_number() over ()"}}, "a window function"),
        ({"net_kg": {"expression": '"value" from other'}}, "one expression"),
        ({"net_kg": {"expression": '"value", "id"'}}, "one expression"),
        ({"net_kg": {"expression": '"value"; drop table x'}}, "not SQL"),
        ({"net_kg": {"expression": '"value'}}, "not SQL"),
        ({"net_kg": {"constant": "heavy"}}, "the constant 'heavy' does not fit"),
        ({"net_kg": {"constant": -1}}, "the constant '-1' does not fit"),
        ({"lane_initial_code": {"constant": "MAUVE"}}, "the constant 'MAUVE' does not fit"),
        ({"lane_at": {"column": "registered", "formats": ["%Q"]}}, "field lane_at"),
    ],
)
def test_a_contract_that_does_not_fit_the_file_says_where(
    bench, contract_of, landing_header, fields, message
):
    with pytest.raises(TidewaiterError) as raised:
        bench.land(lines(landing_header, GOOD), contract_of(fields))
    assert message in str(raised.value)
    assert "XT" in str(raised.value)
    assert not bench.settings.paths.landing.joinpath("declaration_items/member=XT").exists() or not list(
        bench.settings.paths.landing.glob("declaration_items/member=XT/*")
    )


def test_every_missing_column_is_named_at_once(bench, landing_header):
    with pytest.raises(SchemaDrift) as raised:
        bench.land(lines(landing_header.replace("office", "bureau").replace("hs", "tariff"), GOOD))
    assert raised.value.exit_code is ExitCode.GATE_REFUSED
    assert len(raised.value.problems) == 2
    assert all("file.csv" in problem.where for problem in raised.value.problems)


def test_a_mapped_column_that_appears_twice_is_refused(bench, landing_header):
    with pytest.raises(SchemaDrift, match="appears 2 times"):
        bench.land(lines(landing_header + ",value", GOOD + ",1"))


@pytest.mark.parametrize(
    "name", ['a"b', "a'); drop table staged; --", "raw_0", "cleaned_6", "SELECT", "=cmd|' /C calc'!A0", "é ü"]
)
def test_hostile_column_names_are_data(bench, contract_of, landing_header, name):
    quoted = '"' + name.replace('"', '""') + '"'
    contract = contract_of(
        {"office_code": {"column": name}, "procedure_code": {"expression": f"upper({quoted})"}}
    )
    landed = bench.land(
        lines(landing_header.replace("office", quoted), GOOD, GOOD.replace("12.50", "x")), contract
    )
    assert landed.column("office_code") == ["S01"]
    assert landed.column("procedure_code") == ["S01"]
    assert landed.records[3][name] == "S01"


def test_a_file_that_two_entries_claim_stays_with_the_first(bench, contract_of, landing_header):
    first = contract_of()
    second = contract_of({"office_code": {"constant": "X"}}).extracts[0]
    contract = first.model_copy(update={"extracts": (*first.extracts, second)})
    text = f"{landing_header}\nD1,1,2024-03-01,K,010121,Acme,10\n"
    landed = bench.land(text, contract)
    other = contract.model_copy(update={"extracts": contract.extracts[::-1]})
    with pytest.raises(TidewaiterError, match="two entries of the contract land this file"):
        bench.land(text, other)
    assert landed.column("office_code") == ["K"]
    assert bench.land(text, contract).receipt == landed.receipt


def test_a_quarantined_row_is_found_by_every_kind_of_party_that_it_names(bench, contract_of, landing_header):
    fields = {
        "declarant_id": {"column": "importer"},
        "seller_id": {"expression": "replace(\"importer\", '-', '')"},
    }
    contract = contract_of(fields)
    text = f"{landing_header}\nD1,1,2024-03-01,K,010121,ac-me,x\nD2,1,2024-03-01,K,010121,ac-me,1\n"
    landed = bench.land(text + "D2,1,2024-03-01,K,010121,ac-me,2\n", contract)
    (row,) = landed.rows
    pseudonyms = {row[name] for name in ("importer_id", "declarant_id", "seller_id")}
    assert len(pseudonyms) == 3
    assert list(landed.records) == [2, 4]
    for record in landed.records.values():
        assert pseudonyms <= set(record.values())
        assert "ac-me" not in str(record)
