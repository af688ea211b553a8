"""JSON: every layout, every record accounted for, and nothing of it taken for more than text."""

from __future__ import annotations

import json

import pytest

from tidewaiter.errors import TidewaiterError

LINES = {"kind": "json", "layout": "lines"}
ARRAY = {"kind": "json"}


def record(key: str, office: object = "S01", value: object = "1", **more: object) -> dict[str, object]:
    found = {"id": key, "item": 1, "registered": "2024-03-01", "office": office, "hs": "010121"}
    return found | {"importer": "Acme", "value": value} | more


def keys_by_line(landed) -> dict[int, str]:
    return dict(zip(landed.column("source_line"), landed.column("declaration_id"), strict=True))


def test_a_record_on_each_line_keeps_its_line(bench, contract_of):
    twice = json.dumps(record("A4"))[:-1] + ', "office": "S02"}'
    unused_twice = json.dumps(record("A5"))[:-1] + ', "x": 1, "x": 2}'
    lines = [json.dumps(record("A1")), "", "{bad", "[1]", json.dumps(record("A2", value="x")), "null"]
    lines += [json.dumps(record("A3", office=None)), twice, unused_twice, json.dumps(record("A6"))]
    landed = bench.land("\r\n".join(lines), contract_of(format=LINES))
    assert keys_by_line(landed) == {1: "A1", 9: "A5", 10: "A6"}
    assert landed.reasons == {
        3: ["the line is not JSON"],
        4: ["the record is no object"],
        5: ["declared_value: 'x' is not a decimal number"],
        6: ["the record is no object"],
        7: ["office_code: required, and empty"],
        8: ["a key stands twice in the record"],
    }
    assert landed.receipt.rows_in == 9


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_an_array_of_records(bench, contract_of, encoding):
    text = json.dumps([record("A1", "Évora"), 7, record("A2", value=1.5)], ensure_ascii=False, indent=1)
    landed = bench.land(text.encode(encoding), contract_of(format=ARRAY | {"encoding": encoding}))
    assert keys_by_line(landed) == {1: "A1", 3: "A2"}
    assert landed.column("office_code") == ["Évora", "S01"]
    assert [str(value) for value in landed.column("declared_value")] == ["1.0000", "1.5000"]
    assert landed.reasons == {2: ["the record is no object"]}


def test_nested_values_are_called_by_their_path(bench, contract_of):
    content = [record("A1", goods={"hs": "020130", "a.b": {"k": "Q"}}), record("A2", goods={"hs": "010121"})]
    contract = contract_of(
        {"hs6": {"column": "goods.hs"}, "procedure_code": {"column": 'goods."a.b".k'}}, format=ARRAY
    )
    landed = bench.land(json.dumps(content), contract)
    assert landed.column("hs6") == ["020130", "010121"]
    assert landed.column("procedure_code") == ["Q", None]


def test_items_below_a_header_share_its_values(bench, contract_of):
    def items(*numbers: int) -> list[dict[str, object]]:
        return [{"item": number, "hs": "010121", "value": 1, "importer": "Acme"} for number in numbers]

    content = {
        "sent": {"by": "X"},
        "declarations": [
            {"id": "A1", "registered": "2024-03-01", "at": {"office": "S01"}, "items": items(1, 2)},
            {"id": "A2", "registered": "2024-03-02", "at": {"office": "S02"}, "items": []},
            {"id": "A3", "registered": "2024-03-03", "at": {"office": "S03"}},
            {"id": "A4", "registered": "2024-03-04", "at": {"office": "S04"}, "items": items(1)[0]},
        ],
    }
    above = {"id": "declarations.id", "registered": "declarations.registered"}
    above |= {"office": "declarations.at.office", "sender": "sent.by"}
    file_format = {
        "kind": "json",
        "layout": "document",
        "items": "declarations.items",
        "header_fields": above,
    }
    landed = bench.land(
        json.dumps(content), contract_of({"procedure_code": {"column": "sender"}}, format=file_format)
    )
    rows = [(row["declaration_id"], row["item_no"], row["office_code"]) for row in landed.rows]
    assert rows == [("A1", 1, "S01"), ("A1", 2, "S01"), ("A4", 1, "S04")]
    assert landed.column("procedure_code") == ["X", "X", "X"]
    assert landed.column("source_line") == [1, 2, 4]
    assert landed.reasons == {3: ["nothing stands at the path of the items"]}


@pytest.mark.parametrize("where", ["first", "declared", "document"])
def test_positional_records_have_their_names_apart(bench, contract_of, where):
    names = list(record(""))
    rows = [list(record("A1").values()), ["A2"], {"id": "A3"}, list(record("A4").values())]
    if where == "document":
        content = {"meta": {"columns": [{"name": name} for name in names]}, "data": rows}
        more = {"layout": "document", "items": "data", "columns_path": "meta.columns.name"}
    else:
        content = [names, *rows] if where == "first" else rows
        more = {"columns": names} if where == "declared" else {}
    landed = bench.land(json.dumps(content), contract_of(format=ARRAY | {"record": "array"} | more))
    first = 2 if where == "first" else 1
    assert keys_by_line(landed) == {first: "A1", first + 3: "A4"}
    assert landed.reasons == {
        first + 1: ["the record has another number of values than the header: 1 where the header has 7"],
        first + 2: ["the record is no array"],
    }


def test_no_records_are_no_error_and_an_empty_file_is(bench, contract_of):
    assert bench.land("[]", contract_of(format=ARRAY)).receipt.rows_in == 0
    for content in (b"", b" \n", b"\xef\xbb\xbf"):
        with pytest.raises(TidewaiterError, match="empty"):
            bench.land(content, contract_of(format=ARRAY))


@pytest.mark.parametrize(
    "content", ['[{"id": "A1"}, {"secret": tru}]', '[{"id": 1}', '{"id": 1}', '[{"id":1}] x', "\xff["]
)
def test_what_is_no_json_is_told_without_its_text(bench, contract_of, content):
    with pytest.raises(TidewaiterError) as raised:
        bench.land(content.encode("latin-1"), contract_of(format=ARRAY))
    assert "tru}" not in str(raised.value)
    assert "file.csv" in str(raised.value)


def test_a_document_that_is_no_json_or_too_large_is_told(bench, contract_of):
    document = {"kind": "json", "layout": "document", "items": "items", "largest_document_mb": 1}
    with pytest.raises(TidewaiterError, match="not JSON"):
        bench.land('{"items": [}', contract_of(format=document))
    with pytest.raises(TidewaiterError, match="larger than 1 MB"):
        bench.land('{"items": [' + " " * 2**20 + "]}", contract_of(format=document))


def test_hostile_records_cost_themselves(bench, contract_of):
    deep = 500_000
    lines = [
        json.dumps(record("A1")),
        "[" * deep + "]" * deep,
        json.dumps(record("A2"))[:-1] + ', "x": ' + '{"a":' * 5000 + "1" + "}" * 5001,
        json.dumps(record("A3", "=cmd|'/c calc'!A1")),
        json.dumps(record("A4", "a\0b")),
        json.dumps(record("A5", "x" * 10_000_000)),
        json.dumps(record("A6", "'; drop table x; --")),
        json.dumps(record("A7")).replace("S01", "\udcff"),
    ]
    content = "\n".join(lines).encode("utf-8", "surrogateescape")
    landed = bench.land(content, contract_of(format=LINES))
    assert keys_by_line(landed) == {1: "A1", 3: "A2", 4: "A3", 5: "A4", 6: "A5", 7: "A6"}
    assert landed.column("office_code")[2:4] == ["=cmd|'/c calc'!A1", "a\0b"]
    assert len(landed.column("office_code")[4]) == 10_000_000
    assert sorted(landed.reasons) == [2, 8]


def test_names_of_columns_are_data(bench, contract_of):
    names = ["'; drop table x; --", "/~01", "$.office", "*", " padded "]
    content = [record("A1", **{name: name for name in names})]
    for name in names:
        column = '"$.office"' if name == "$.office" else name.strip()
        landed = bench.elsewhere().land(
            json.dumps(content), contract_of({"procedure_code": {"column": column}}, format=ARRAY)
        )
        assert landed.column("procedure_code") == [name.strip()]


def test_more_columns_than_a_table_has_are_refused(bench, contract_of):
    content = [record(f"A{number}", **{f"key{number}": 1}) for number in range(4100)]
    with pytest.raises(TidewaiterError, match="more than 4000 different columns"):
        bench.land(json.dumps(content), contract_of(format=ARRAY))


def test_many_records_are_all_there_in_order(bench, contract_of):
    numbers = range(150_000)
    content = "[" + ",".join(json.dumps(record(f"A{number}")) for number in numbers) + "]"
    landed = bench.land(content, contract_of(format=ARRAY))
    assert landed.column("declaration_id") == [f"A{number}" for number in numbers]
    assert landed.column("source_line") == [number + 1 for number in numbers]
