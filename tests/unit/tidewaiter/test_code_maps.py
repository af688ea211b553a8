"""Code maps: inline, from a file beside the contract, from a built-in list, and all three at once."""

from __future__ import annotations

import pytest
import yaml

from tidewaiter.contracts import load_contract
from tidewaiter.contracts.code_maps import listed_codes
from tidewaiter.errors import UsageProblem
from tidewaiter.landing.receipts import extract_fingerprint

HEADER = "id,item,registered,office,hs,importer,value,country\n"


@pytest.fixture
def members(tmp_path, contract_of):
    """The function that writes a contract with this mapping of the origin, and files beside it."""

    def write(mapping, **files):
        contract = contract_of().model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        contract["extracts"][0]["fields"]["origin_iso2"] = mapping
        folder = tmp_path / "members" / "xt"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "contract.yaml").write_text(yaml.safe_dump(contract))
        for name, text in files.items():
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
        return folder.parent

    return write


def countries(bench, folder, *spellings):
    rows = "".join(f"K{n},1,2024-03-01,S,010121,,1,{country}\n" for n, country in enumerate(spellings))
    landed = bench.elsewhere().land(HEADER + rows, load_contract(folder, "XT"))
    return landed.column("origin_iso2"), landed.reasons


def test_a_file_beside_the_contract_is_a_code_map(bench, members):
    folder = members(
        {"column": "country", "codes_file": "c.csv"}, c="source,canonical,note\n1,KE,\n2,,none\n"
    )
    assert countries(bench, folder, "1", "2", "3", "") == (
        ["KE", None, None],
        {4: ["origin_iso2: '3' is not in the contract's code map"]},
    )


def test_inline_goes_before_file_and_file_before_list(bench, members):
    mapping = {
        "column": "country",
        "codes_list": "iso3166_numeric",
        "codes_file": "c.csv",
        "codes": {"900": "XK", "999": None},
    }
    folder = members(mapping, c="source,canonical\n900,ZZ\n76,PT\n")
    found, reasons = countries(bench, folder, "404", "076", "76", "900", "999", "997", "4")
    assert (found, list(reasons)) == (["KE", "BR", "PT", "XK", None, "AF"], [7])


def test_the_file_is_part_of_what_decides_the_rows(members):
    folder = members({"column": "country", "codes_file": "c.csv"}, c="source,canonical\n1,KE\n")
    before = load_contract(folder, "XT")
    members({"column": "country", "codes_file": "c.csv"}, c="source,canonical\n1,UG\n")
    after = load_contract(folder, "XT")
    assert extract_fingerprint(before, before.extracts[0]) != extract_fingerprint(after, after.extracts[0])


def test_a_contract_that_was_written_out_reads_again_without_its_file(members):
    contract = load_contract(
        members({"column": "country", "codes_file": "c.csv"}, c="source,canonical\n1,KE\n"), "XT"
    )
    assert type(contract).model_validate(contract.model_dump(mode="json")) == contract


def test_every_code_of_a_long_list_is_found(bench, members):
    listed = {f"{n:03}": chr(65 + n % 26) + chr(65 + n // 26 % 26) for n in range(900)} | {
        "": "ZZ",
        "é": "FR",
    }
    text = "source,canonical\n" + "".join(f"{code},{iso}\n" for code, iso in listed.items() if code)
    folder = members({"column": "country", "codes_file": "c.csv"}, c=text)
    spellings = [code for code in listed if code]
    assert countries(bench, folder, *spellings) == ([listed[code] for code in spellings], {})


@pytest.mark.parametrize(
    ("mapping", "files", "message"),
    [
        ({"codes_file": "none.csv"}, {}, "there is no"),
        ({"codes_file": "../xa/c.csv"}, {}, "relative path without '..'"),
        ({"codes_file": "/etc/passwd"}, {}, "relative path without '..'"),
        ({"codes_file": "c.csv"}, {"c": "from,to\n1,KE\n"}, "needs the columns source and canonical"),
        (
            {"codes_file": "c.csv"},
            {"c": "source,canonical\n1,KE\n1,UG\n"},
            "line 3 says 'UG' of '1', after 'KE'",
        ),
        ({"codes_list": "iso3166_numerc"}, {}, "did you mean 'iso3166_numeric'?"),
        ({"codes_file": "c.csv"}, {"c": 'source,canonical\n"1,KE\n'}, "c.csv, line"),
    ],
)
def test_a_code_map_that_cannot_be_used_is_named(members, mapping, files, message):
    folder = members({"column": "country"} | mapping, **files)
    with pytest.raises(UsageProblem) as raised:
        load_contract(folder, "XT")
    assert message in str(raised.value)
    assert "extracts.0.fields.origin_iso2" in str(raised.value)


def test_a_link_out_of_the_folder_is_not_followed(members, tmp_path):
    (tmp_path / "secret.csv").write_text("source,canonical\n1,KE\n")
    folder = members({"column": "country", "codes_file": "c.csv"})
    (folder / "xt" / "c.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(UsageProblem, match="leads out of the member's folder"):
        load_contract(folder, "XT")


def test_editions_and_terms_are_listed(bench, contract_of):
    fields = {
        "hs_edition_code": {"column": "country", "codes_list": "hs_edition"},
        "incoterm_code": {"column": "office", "codes_list": "incoterms"},
    }
    text = HEADER + "K,1,2024-03-01,C&F,010121,,1,HS2017\nL,1,2024-03-01,DDU,010121,,1,2022\n"
    rows = bench.land(text, contract_of(fields)).rows
    assert [(row["hs_edition_code"], row["incoterm_code"]) for row in rows] == [("H5", "CFR"), ("H6", "DDU")]


def test_names_of_countries_in_four_languages_and_none_that_means_two():
    listed = listed_codes("country_names")
    same = ("Germany", "Alemania", "ALEMANIA", "Allemagne", "Alemanha")
    assert {listed[name] for name in same} == {"DE"}
    assert {listed[name] for name in ("Japón", "JAPON", "Japão")} == {"JP"}
    assert listed["Bolivia"] == listed["Rusia"].replace("RU", "BO") == "BO"
    assert "Corea" not in listed  # there are two


def test_names_of_countries_land_as_codes(bench, contract_of, landing_header):
    names = ("Alemania", "JAPON", "États-Unis", "Brésil", "Atlantis", "Corea del Sur")
    lines = [f"A{n},1,2024-03-01,S,010121,Acme,1,{name}" for n, name in enumerate(names)]
    contract = contract_of({"origin_iso2": {"column": "origin", "codes_list": "country_names"}})
    landed = bench.land("\n".join([f"{landing_header},origin", *lines]), contract)
    assert landed.column("origin_iso2") == ["DE", "JP", "US", "BR", "KR"]
    assert landed.reasons == {6: ["origin_iso2: 'Atlantis' is not in the contract's code map"]}
