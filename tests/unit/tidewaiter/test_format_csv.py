"""CSV beyond the plain case: no header, lines above it, other encodings, escapes, renamed columns."""

from __future__ import annotations

import pytest

from tidewaiter.errors import TidewaiterError

ROW = "{},1,2024-03-01,{},010121,Acme,{}"


def row(key: str, office: str = "S01", value: str = "1") -> str:
    return ROW.format(key, office, value)


def landed_lines(landed) -> dict[str, int]:
    return dict(zip(landed.column("declaration_id"), landed.column("source_line"), strict=True))


def without_header(landing_header, **more):
    return {"header": False, "columns": landing_header.split(",")} | more


def test_a_file_without_a_header_is_named_by_the_contract(bench, contract_of, landing_header):
    contract = contract_of(format=without_header(landing_header))
    landed = bench.land("\n".join([row("A1"), "ragged", row("A2", '"x\ny"'), row("A3", value="x")]), contract)
    assert landed_lines(landed) == {"A1": 1, "A2": 3}
    assert sorted(landed.reasons) == [2, 5]
    assert landed.receipt.rows_in == 4


def test_an_empty_file_without_a_header_is_an_error(bench, contract_of, landing_header):
    with pytest.raises(TidewaiterError, match="the file is empty"):
        bench.land("", contract_of(format=without_header(landing_header)))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lines_above_the_header_are_left_out_and_counted(bench, contract_of, landing_header, line_end):
    text = line_end.join(['Report "of, the', "", "day,", landing_header, row("A1"), row("A2")])
    landed = bench.land(text, contract_of(format={"skip_lines": 3}))
    assert landed_lines(landed) == {"A1": 5, "A2": 6}
    assert landed.receipt.rows_in == 2


def test_lines_above_the_first_record_are_left_out(bench, contract_of, landing_header):
    text = "\n".join(["one", 'two "', row("A1"), row("A2")])
    landed = bench.land(text, contract_of(format=without_header(landing_header, skip_lines=2)))
    assert landed_lines(landed) == {"A1": 3, "A2": 4}


@pytest.mark.parametrize(
    ("encoding", "office"),
    [
        ("cp1252", "\u20ac5"),
        ("cp437", "Évora"),
        ("iso8859-15", "\u20ac"),
        ("cp1251", "Минск"),
        ("shift_jis", "東京"),
        ("gb18030", "上海𠀀"),
        ("euc_kr", "부산"),
        ("utf-16-le", "Évora"),
        ("utf-32", "Évora"),
    ],
)
def test_any_encoding_that_python_decodes(bench, contract_of, landing_header, encoding, office):
    text = "\n".join([landing_header, row("A1", office), row("A2", f'"{office}\n{office}"'), row("A3")])
    landed = bench.land(text.encode(encoding), contract_of(format={"encoding": encoding}))
    assert landed.column("office_code")[0] == office
    assert landed_lines(landed) == {"A1": 2, "A2": 3, "A3": 5}


def test_a_byte_that_the_encoding_lacks_costs_its_line(bench, contract_of, landing_header):
    content = f"{landing_header}\n{row('A1')}\n".encode() + row("A2", "?").encode().replace(b"?", b"\x81\x8d")
    landed = bench.land(content + f"\n{row('A3')}\n".encode(), contract_of(format={"encoding": "cp1252"}))
    assert landed_lines(landed) == {"A1": 2, "A3": 4}
    assert landed.reasons == {3: ["the line has bytes that are not of the file's encoding"]}


def test_a_long_file_in_another_encoding_keeps_its_lines(bench, contract_of, landing_header):
    many = [row(f"A{number}", "東京") for number in range(120_000)]  # more than one chunk of bytes
    text = "\n".join([landing_header, *many])
    landed = bench.land(text.encode("shift_jis"), contract_of(format={"encoding": "shift_jis"}))
    assert landed.receipt.rows_landed == len(many)
    assert landed_lines(landed)["A119999"] == 120_001


def test_a_quote_may_be_escaped_by_a_backslash(bench, contract_of, landing_header):
    text = "\n".join([landing_header, row("A1", r'"a \"b\", c"'), row("A2")])
    landed = bench.land(text, contract_of(format={"escape": "\\"}))
    assert landed.column("office_code") == ['a "b", c', "S01"]
    assert landed_lines(landed) == {"A1": 2, "A2": 3}


def test_a_column_that_was_renamed_is_found_under_either_name(bench, contract_of, landing_header):
    contract = contract_of({"office_code": {"column": ["office", "office_code"]}})
    first = bench.land(f"{landing_header}\n{row('A1')}\n", contract)
    renamed = landing_header.replace("office", "office_code")
    second = bench.land(f"{renamed}\n{row('A2', 'S02')}\n", contract)
    assert (first.column("office_code"), second.column("office_code")) == (["S01"], ["S02"])


def test_a_column_under_no_name_or_two_is_told_with_all_names(bench, contract_of, landing_header):
    contract = contract_of({"office_code": {"column": ["ofice", "buro"]}})
    with pytest.raises(TidewaiterError, match=r"column 'ofice' or 'buro' is missing.*did you mean 'office'"):
        bench.land(f"{landing_header}\n{row('A1')}\n", contract)
    contract = contract_of({"office_code": {"column": ["office", "hs"]}})
    with pytest.raises(TidewaiterError, match="2 of the columns that may be office_code: office, hs"):
        bench.land(f"{landing_header}\n{row('A1')}\n", contract)


def test_an_optional_column_under_no_name_is_null(bench, contract_of, landing_header):
    contract = contract_of({"net_kg": {"column": ["net", "net_mass"], "optional": True}})
    assert bench.land(f"{landing_header}\n{row('A1')}\n", contract).column("net_kg") == [None]


def test_a_header_of_sql_a_formula_and_a_nul_are_data(bench, contract_of, landing_header):
    name = '"; drop table rows; --'
    header = landing_header + ',"' + name.replace('"', '""') + '"'
    contract = contract_of({"procedure_code": {"column": name}})
    text = "\n".join([header, row("A1") + ",=cmd|'/c calc'!A1", row("A2", "a\0b") + ",x"])
    landed = bench.land(text, contract)
    assert landed.column("procedure_code") == ["=cmd|'/c calc'!A1", "x"]
    assert landed.column("office_code") == ["S01", "a\0b"]
