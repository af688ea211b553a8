"""XML: records streamed, values around them shared, entities and document types refused."""

from __future__ import annotations

import json
import time

import pytest

from tidewaiter.errors import TidewaiterError

XML = {"kind": "xml", "record": "Row"}


def record(key: str, office: str = "S01", value: str = "1", more: str = "") -> str:
    values = {"id": key, "item": "1", "registered": "2024-03-01", "office": office, "hs": "010121"}
    values |= {"importer": "Acme", "value": value}
    return "<Row>" + "".join(f"<{name}>{text}</{name}>" for name, text in values.items()) + more + "</Row>"


def document(*records: str) -> str:
    return f"<Rows>{''.join(records)}</Rows>"


def test_records_are_numbered_and_faulty_ones_kept_apart(bench, contract_of):
    text = document(
        record("A1"), "<!-- no record -->", record("A2", value="x"), "<Row/>", record("A3", "a&amp;b")
    )
    landed = bench.land(text, contract_of(format=XML))
    assert landed.column("source_line") == [1, 4]
    assert landed.column("office_code") == ["S01", "a&b"]
    assert sorted(landed.reasons) == [2, 3]
    assert landed.receipt.rows_in == 4


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_the_file_says_its_encoding(bench, contract_of, encoding):
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?>' + document(record("A1", "Évora"))
    assert bench.land(text.encode(encoding), contract_of(format=XML)).column("office_code") == ["Évora"]


def test_the_contract_mends_a_wrong_declaration(bench, contract_of):
    content = document(record("A1", "Évora")).encode("latin-1")
    with pytest.raises(TidewaiterError, match="not well-formed"):
        bench.land(content, contract_of(format=XML))
    landed = bench.land(content, contract_of(format=XML | {"encoding": "latin-1"}))
    assert landed.column("office_code") == ["Évora"]


def test_paths_attributes_namespaces_and_repeated_elements(bench, contract_of):
    more = '<g:Goods g:unit="KGM"><g:Net>5</g:Net></g:Goods><Doc>1</Doc><Doc>2</Doc><Row><x>inner</x></Row>'
    text = f'<Rows xmlns="urn:a" xmlns:g="urn:b">{record("A1", more=more)}{record("A2")}</Rows>'
    contract = contract_of(
        {
            "net_kg": {"column": "Goods/Net"},
            "procedure_code": {"column": "Goods/@unit"},
            "declaration_type_code": {"column": "Doc"},
            "goods_use_code": {"column": "Row/x"},
        },
        format=XML,
    )
    first, second = bench.land(text, contract).rows
    assert (float(first["net_kg"]), first["procedure_code"]) == (5.0, "KGM")
    assert json.loads(first["declaration_type_code"]) == ["1", "2"]
    assert first["goods_use_code"] == "inner"
    assert (second["net_kg"], second["procedure_code"]) == (None, None)


def test_values_around_records_are_shared_wherever_they_stand(bench, contract_of):
    def item(number: int) -> str:
        return f"<Row><item>{number}</item><hs>010121</hs><importer>Acme</importer><value>1</value></Row>"

    text = (
        '<Batch sender="X">'
        f'<Dec no="A1"><Office><Code>S01</Code></Office>{item(1)}{item(2)}<Date>2024-03-01</Date></Dec>'
        f'<Dec no="A2">{item(1)}<Office><Code>S02</Code></Office><Date>2024-03-02</Date></Dec>'
        f'<Dec no="A3"><Date>2024-03-03</Date>{item(1)}</Dec>'
        "</Batch>"
    )
    above = {
        "id": "Dec/@no",
        "office": "Dec/Office/Code",
        "registered": "Dec/Date",
        "sender": "Batch/@sender",
    }
    contract = contract_of({"procedure_code": {"column": "sender"}}, format=XML | {"header_fields": above})
    landed = bench.land(text, contract)
    rows = [(row["declaration_id"], row["item_no"], row["office_code"]) for row in landed.rows]
    assert rows == [("A1", 1, "S01"), ("A1", 2, "S01"), ("A2", 1, "S02")]
    assert landed.column("procedure_code") == ["X"] * 3
    assert landed.reasons == {4: ["office_code: required, and empty"]}


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))


@pytest.mark.parametrize(
    ("prolog", "office"),
    [
        (f"<!DOCTYPE Rows [{BOMB}]>", "&e11;"),
        ('<!DOCTYPE Rows [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "&x;"),
        ('<!DOCTYPE Rows SYSTEM "http://127.0.0.1:9/none.dtd">', "S01"),
        ('<!DOCTYPE Rows [<!ATTLIST Rows kind CDATA "given">]>', "S01"),
        ("", "&x;"),
    ],
)
def test_entities_and_document_types_are_refused_at_once(bench, contract_of, prolog, office):
    started = time.monotonic()
    with pytest.raises(TidewaiterError, match=r"document type|not well-formed"):
        bench.land(prolog + document(record("A1", office)), contract_of(format=XML))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no xml",
        document(record("A1")).encode()[:-10],
        document(record("A1"), "<Row><office>" + "<a>" * 1000 + "</a>" * 1000 + "</office></Row>").encode(),
        document(record("A1", "x" * 10_100_000)).encode(),
        document(record("A1", "a\0b")).encode(),
        document(record("A1", "a&#0;b")).encode(),
        document(record("A1")).encode() + b"<Rows/>",
    ],
)
def test_what_is_not_well_formed_is_told_and_nothing_landed(bench, contract_of, content):
    with pytest.raises(TidewaiterError, match=r"file\.csv"):
        bench.land(content, contract_of(format=XML))
    assert not list(bench.settings.paths.landing.glob("*/member=XT/*"))


def test_hostile_values_are_text(bench, contract_of):
    values = ["=cmd|'/c calc'!A1", "'; drop table x; --", "x" * 9_000_000]
    landed = bench.land(
        document(*(record(f"A{n}", text) for n, text in enumerate(values))), contract_of(format=XML)
    )
    assert landed.column("office_code") == values


def test_an_undefined_entity_late_in_a_long_file_is_told(bench, contract_of):
    many = [record(f"A{number}") for number in range(3000)]
    with pytest.raises(TidewaiterError, match="not well-formed"):
        bench.land(document(*many, record("B", "&x;"), *many), contract_of(format=XML))


def test_a_file_without_a_record_lands_nothing(bench, contract_of):
    assert bench.land("<Rows/>", contract_of(format=XML)).receipt.rows_in == 0


def test_many_records_are_all_there_in_order(bench, contract_of):
    numbers = range(40_000)  # several batches
    landed = bench.land(document(*(record(f"A{number}") for number in numbers)), contract_of(format=XML))
    assert landed.column("declaration_id") == [f"A{number}" for number in numbers]
    assert landed.column("source_line") == [number + 1 for number in numbers]
