"""Contracts: what they may say, and that whatever else they say is named."""

from __future__ import annotations

import pytest
import yaml
from pydantic import create_model

from tidewaiter.contracts import Contract, list_members, load_contract
from tidewaiter.contracts.capabilities import unsupported
from tidewaiter.contracts.formats import CsvFormat
from tidewaiter.contracts.load import contract_fingerprint
from tidewaiter.errors import UsageProblem
from tidewaiter.landing.receipts import extract_fingerprint
from tidewaiter.settings import PROJECT_ROOT

MEMBERS = PROJECT_ROOT / "members"


def write(folder, contract, code="xt"):
    (folder / code).mkdir(exist_ok=True)
    (folder / code / "contract.yaml").write_text(yaml.safe_dump(contract))
    return folder


@pytest.fixture
def plain(contract_of):
    return contract_of().model_dump(mode="json", exclude_none=True, exclude_defaults=True) | {"member": "XT"}


@pytest.mark.parametrize("code", list_members(MEMBERS))
def test_every_contract_of_the_project_loads(code):
    contract = load_contract(MEMBERS, code)
    assert contract.member == code
    sends = {extract.dataset for extract in contract.extracts}
    # Some administrations publish sums only.
    assert sends & {"declaration_items", "aggregate_flows"}


def test_korea_maps_its_columns_and_never_feeds_a_label_into_a_feature():
    items = load_contract(MEMBERS, "kr").extracts[0]
    labels = {"is_irregular", "is_serious", "label_at", "label_source_code", "recovered_tax"}
    used = {
        name
        for name, mapping in items.fields.items()
        if "Fraud" in (mapping.column or "") or "Fraud" in (mapping.expression or "")
    }
    assert used == labels
    assert all(items.fields[name].optional for name in labels)
    assert items.null_values == ("",)


def test_a_contract_survives_writing_and_reading(tmp_path, plain):
    assert (
        load_contract(write(tmp_path, plain), "XT").model_dump(
            mode="json", exclude_none=True, exclude_defaults=True
        )
        == plain
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_zone": "Asia/Soul"}, "did you mean 'Asia/Seoul'?"),
        ({"memberr": "XT"}, "did you mean 'member'?"),
        ({"member": "XU"}, "expected 'XT', the folder's name"),
        ({"member": "xt"}, "member"),
        ({"extracts": []}, "extracts"),
    ],
)
def test_a_wrong_contract_is_named(tmp_path, plain, change, message):
    with pytest.raises(UsageProblem) as raised:
        load_contract(write(tmp_path, plain | change), "xt")
    assert message in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hs_6": {"column": "hs"}}, "did you mean 'hs6'?"),
        ({"hs6": None}, "'hs6' is required and not mapped"),
        ({"member_iso2": {"constant": "XT"}}, "not a field"),
        ({"hs6": {"column": "hs", "constant": "010121"}}, "exactly one of"),
        ({"hs6": {}}, "exactly one of"),
        ({"hs6": {"column": "hs", "optional": True}}, "required and cannot be optional"),
        ({"net_kg": {"constant": 1, "optional": True}}, "constant and cannot be optional"),
        ({"net_kg": {"column": "net", "formats": ["%Y"]}}, "takes no formats"),
        ({"lane_at": {"column": "l", "formats": ["%Y%z", "%Y"]}}, "must all have an offset"),
        ({"net_kg": {"expression": '"net" * {facter}'}}, "did you mean 'factor'?"),
    ],
)
def test_a_wrong_mapping_is_named(contract_of, fields, message):
    with pytest.raises(ValueError, match="validation error") as raised:
        contract_of(fields, parameters={"factor": 2})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "extract",
    [
        {"location": {"home": "../elsewhere"}},
        {"location": {"member": "/etc"}},
        {"location": {"home": "a", "member": "b"}},
        {"location": {}},
        {"location": {"env": "lower case"}},
        {"files": ["../*.csv"]},
        {"files": ["/etc/*"]},
        {"format": {"decimal_mark": ",", "thousands_mark": ","}},
        {"refuse_above_quarantined_share": 1.5},
    ],
)
def test_a_contract_stays_inside_its_folders_and_bounds(contract_of, extract):
    with pytest.raises(ValueError, match="validation error"):
        contract_of(**extract)


def test_several_faults_are_told_at_once(contract_of):
    with pytest.raises(ValueError, match="validation error") as raised:
        contract_of({"hs6": None, "ofice": {"column": "o"}, "office_code": None})
    assert all(name in str(raised.value) for name in ("'hs6'", "'ofice'", "'office_code'"))


def test_unknown_members_and_broken_yaml_are_named(tmp_path):
    with pytest.raises(UsageProblem, match="did you mean 'KR'"):
        load_contract(MEMBERS, "RK")
    with pytest.raises(UsageProblem, match="no such folder"):
        list_members(tmp_path / "nowhere")
    (tmp_path / "xt").mkdir()
    (tmp_path / "xt" / "contract.yaml").write_text("a: [")
    with pytest.raises(UsageProblem, match="not YAML"):
        load_contract(tmp_path, "xt")


def test_the_fingerprint_follows_the_meaning(contract_of):
    assert contract_fingerprint(contract_of()) == contract_fingerprint(contract_of())
    assert contract_fingerprint(contract_of()) != contract_fingerprint(contract_of(time_zone="Asia/Seoul"))


def fingerprints(contract):
    return contract_fingerprint(contract), extract_fingerprint(contract, contract.extracts[0])


def test_a_default_that_is_written_out_is_not_another_meaning(contract_of):
    written = contract_of(format={"kind": "csv", "delimiter": ","}, null_values=[""], header="on_items")
    assert fingerprints(written) == fingerprints(contract_of())
    assert fingerprints(contract_of(null_values=["", "-"])) != fingerprints(contract_of())


@pytest.mark.parametrize("value", [None, "a"])
def test_a_field_that_a_later_version_adds_counts_only_where_it_says_something(contract_of, value):
    contract = contract_of(format={"delimiter": ";"})
    later = create_model("Later", __base__=CsvFormat, added=(str | None, None))
    extract = contract.extracts[0].model_copy(update={"format": later(delimiter=";", added=value)})
    upgraded = contract.model_copy(update={"extracts": (extract,)})
    assert (fingerprints(upgraded) == fingerprints(contract)) is (value is None)


def test_formats_that_say_nothing_differ_in_their_kind(contract_of):
    kinds = ("csv", "json", "parquet", "excel")
    assert len({fingerprints(contract_of(format={"kind": kind})) for kind in kinds}) == len(kinds)


def lacking(contract):
    return {lack.capability.name for lack in unsupported(contract)}


def test_what_the_value_holds_decides_what_it_lacks(contract_of):
    charges = "freight and insurance added where the basis is not CIF"
    assert {"values on one CIF basis", charges} <= lacking(contract_of())
    cif = contract_of({"value_basis_code": {"constant": "CIF"}})
    assert not {"values on one CIF basis", charges} & lacking(cif)
    assert charges in lacking(contract_of({"value_basis_code": {"constant": "FOB"}}))
    assert "corrections in any order of arrival" not in lacking(
        contract_of(sequence_by={"column": "changed"})
    )


def test_a_header_apart_fills_its_items(contract_of):
    headers = {
        "dataset": "declarations",
        "location": {"home": "drop"},
        "files": ["h.csv"],
        "fields": {name: {"column": name} for name in ("declaration_id", "registered_at", "office_code")}
        | {"currency_code": {"constant": "USD"}, "declarant_id": {"column": "agent"}},
    }
    contract = contract_of().model_dump(mode="json")
    contract["extracts"].append(headers)
    beside = Contract.model_validate(contract)
    contract["extracts"][0]["header"] = "apart"
    assert lacking(beside) - lacking(Contract.model_validate(contract)) >= {"profile of the declarant"}
