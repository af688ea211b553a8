"""Proposing contracts: how much is guessed right, that guesses are marked, and that any file is survived."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tidewaiter.contracts import Contract, load_contract
from tidewaiter.contracts.propose import contract_text, propose, similarity
from tidewaiter.contracts.propose.encoding import guess_encoding
from tidewaiter.contracts.propose.names import field_scores
from tidewaiter.errors import UsageProblem
from tidewaiter.settings import PROJECT_ROOT, Settings
from tidewaiter.synthetic import generate_members

KOREAN_HEADER = (
    "Declaration ID,Date,Office ID,Process Type,Import Type,Import Use,Payment Type,Mode of Transport,"
    "Declarant ID,Importer ID,Seller ID,Courier ID,HS6 Code,Country of Departure,Country of Origin,Tax Rate,"
    "Tax Type,Country of Origin Indicator,Net Mass,Item Price,Fraud,Critical Fraud"
)
KOREAN_ROWS = (
    "97061800,2020-01-01,30,B,11,21,11,10,ZZR1LT6,QLRUBN9,0VKY2BR,,440890,BE,BE,0.0,FEU1,G,108.0,372254.4,0,0",
    "85945189,2020-01-01,40,B,11,21,11,40,SWF9S4X,7JD1S2X,8WDKMC6,,690722,CN,CN,8.0,A,Y,11352.0,375751.2,0,0",
    "77854751,2020-01-02,20,B,11,21,11,40,X4XT6P8,WI9O3I5,4DT3246,,620822,CN,CN,5.2,FCN1,B,20.7,5353.02,1,2",
)
# Shares of the fields of the hand-written contracts that must be found without a question left open;
# and of those found with one. Below what is measured, so that a new field does not break the build.
LEAST_RIGHT = {"XA": (0.95, 0.95), "XB": (0.9, 0.9), "XC": (0.78, 0.92), "KR": (0.7, 0.8)}
# Files of each member that are shown to the proposer: items and exchange rates.
SAMPLED = {
    "XA": ("import_items_*.csv", "exchange_rates.csv"),
    "XB": ("declarations_*.csv", "taux_de_change.csv"),
    "XC": ("dua_*.txt", "tipo_cambio.txt"),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(
        home=tmp_path_factory.mktemp("home"),
        members_dir=PROJECT_ROOT / "members",
        threads=2,
        memory_limit="1GB",
    )


@pytest.fixture(scope="module")
def samples(settings):
    generate_members(settings.paths, ["XA", "XB", "XC"], items_per_member=3000, months=6)
    korean = settings.home / "korean.csv"
    korean.write_text("\n".join((KOREAN_HEADER, *KOREAN_ROWS)) + "\n")
    folder = settings.paths.synthetic
    found = {
        code: sorted(
            path for pattern in patterns for path in (folder / code.lower() / "extracts").glob(pattern)
        )
        for code, patterns in SAMPLED.items()
    }
    return found | {"KR": [korean]}


def is_right(guess, mapping):
    if guess is None:
        return False
    if mapping.candidates:
        return guess.columns == mapping.candidates
    if mapping.constant is not None:
        return guess.mapping.get("constant") == mapping.constant
    return guess.mapping.get("expression", "").replace(" ", "") == mapping.expression.replace(" ", "")


def shares(proposal, by_hand):
    right = half = fields = 0
    for extract in by_hand.extracts:
        guesses = next((one.guesses for one in proposal.extracts if one.dataset == extract.dataset), None)
        if guesses is None:
            continue  # no sample of that kind was given
        for name, mapping in extract.fields.items():
            fields += 1
            if is_right(guesses.get(name), mapping):
                half += 1
                right += not guesses[name].open_question
    return right / fields, half / fields


@pytest.mark.parametrize("code", ["XA", "XB", "XC", "KR"])
def test_most_fields_are_guessed_as_a_person_mapped_them(settings, samples, code):
    proposal = propose(code, samples[code], settings)
    right, with_questions = shares(proposal, load_contract(settings.members_dir, code))
    least_right, least_with_questions = LEAST_RIGHT[code]
    assert right >= least_right, f"{right:.0%} of the fields"
    assert with_questions >= least_with_questions, f"{with_questions:.0%} of the fields"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("XA", {"delimiter": ",", "encoding": "utf-8"}),
        (
            "XB",
            {"delimiter": ";", "encoding": "latin-1", "decimal_mark": ",", "thousands_mark": " "},
        ),
        ("XC", {"delimiter": "|", "encoding": "utf-8"}),
    ],
)
def test_the_dialect_is_seen(settings, samples, code, expected):
    (items,) = [
        one for one in propose(code, samples[code], settings).extracts if one.dataset != "exchange_rates"
    ]
    assert items.format == {"kind": "csv"} | expected


def test_what_was_guessed_loads_once_the_required_fields_are_filled_in(settings, samples):
    text = contract_text(propose("XA", samples["XA"], settings))
    assert Contract.model_validate(yaml.safe_load(text)).member == "XA"
    missing = contract_text(propose("XB", samples["XB"], settings))
    with pytest.raises(ValueError, match="'currency_code' is required and not mapped"):
        Contract.model_validate(yaml.safe_load(missing))
    filled = missing.replace("# currency_code: {column: }", "currency_code: {constant: XOF}")
    assert (
        Contract.model_validate(yaml.safe_load(filled)).extracts[0].fields["currency_code"].constant == "XOF"
    )


def test_every_guess_is_marked_and_every_gap_is_listed(settings, samples):
    proposal = propose("XC", samples["XC"], settings)
    lines = contract_text(proposal).splitlines()
    for entry in proposal.extracts:
        for name in entry.mapped:
            assert any(line.strip().startswith(f"{name}: ") and "  # " in line for line in lines), name
        for name in entry.unmapped:
            assert any(line.strip().startswith(f"# {name}: ") for line in lines), name


def test_codes_that_say_nothing_are_a_question(settings, samples):
    (items, _) = propose("XC", samples["XC"], settings).extracts
    guess = items.guesses["lane_initial_code"]
    assert guess.columns == ("SELECTIVO",)
    assert "say what these mean" in guess.open_question
    assert "lane_initial_code" in items.unmapped


def test_content_speaks_where_names_do_not(settings, tmp_path):
    sample = tmp_path / "x.csv"
    rows = [
        f"R{n};{20240101 + n % 28};{('KE', 'CN')[n % 2]};{(84713000, 87032320)[n % 2] + n % 9};USD;{n},5"
        for n in range(200)
    ]
    sample.write_text("a1;b1;c1;d1;e1;f1\n" + "\n".join(rows) + "\n")
    (entry,) = propose("XT", [sample], settings).extracts
    assert entry.guesses["registered_at"].mapping == {"column": "b1", "formats": ["%Y%m%d"]}
    assert entry.guesses["origin_iso2"].columns == ("c1",)
    assert entry.guesses["hs6"].mapping == {"expression": 'left("d1", 6)'}
    assert entry.guesses["currency_code"].columns == ("e1",)
    assert all("guessed from content" in guess.basis for guess in entry.guesses.values())
    assert entry.format["decimal_mark"] == ","


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Fecha de Numeración de la DAM", "registered_at"),
        ("RUC_IMPORTADOR", "importer_id"),
        ("Peso Neto (Kg)", "net_kg"),
        ("País de Origen", "origin_iso2"),
        ("SUBPARTIDA NACIONAL", "hs6"),
        ("Data do Registro", "registered_at"),
        ("Peso Líquido", "net_kg"),
        ("País de Procedência", "dispatch_iso2"),
        ("Despachante", "declarant_id"),
        ("Canal", "lane_initial_code"),
        ("importateurCode", "importer_id"),
        ("Pays de provenance", "dispatch_iso2"),
    ],
)
def test_names_nobody_wrote_down_here(name, field):
    scores = field_scores(name, "declaration_items")
    assert max(scores, key=lambda one: scores[one]) == field
    assert scores[field] >= 0.6


def test_a_renamed_column_is_recognised():
    assert similarity("PAIS_ORIGEN", "País de origen") > 0.9
    assert similarity("NIT_IMPORTADOR", "PESO_NETO_TM") < 0.5


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("Déclaration;Préférence;Espèce\n" * 40, "latin-1", "latin-1"),
        ("Déclaration;Coût en €;Espèce\n" * 40, "cp1252", "cp1252"),
        ("Déclaration;Préférence\n", "utf-8", "utf-8"),
        ("Déclaration;Préférence\n", "utf-16", "utf-16"),
        ("Номер декларации;Страна происхождения;Таможенный орган\n" * 40, "cp1251", "cp1251"),
    ],
)
def test_encodings(text, encoding, expected):
    assert guess_encoding(text.encode(encoding))[0] == expected


@pytest.mark.parametrize(
    ("member", "text", "encoding"),
    [
        ("PL", "Kod towaru;Kraj wysyłki;Wartość celna;Urząd celny\n" * 40, "cp1250"),
        ("PL", "Kod towaru;Kraj wysyłki;Wartość celna;Urząd celny\n" * 40, "iso8859-2"),
        ("CZ", "Číslo prohlášení;Země původu;Hodnota v Kč\n" * 40, "cp1250"),
        ("TR", "Beyanname;Menşe ülkesi;Gümrük idaresi;Değer\n" * 40, "cp1254"),
        ("LT", "Deklaracijos numeris;Kilmės šalis;Muitinės įstaiga\n" * 40, "cp1257"),
        ("PL", "Номер декларации;Страна происхождения;Таможенный орган\n" * 40, "cp1251"),
    ],
)
def test_within_one_script_the_member_decides(member, text, encoding):
    assert guess_encoding(text.encode(encoding), member)[0] == encoding


def test_a_sample_is_read_from_wherever_one_stands(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = [{"id": f"A{number}", "poids_net": number, "pays_origine": "FR"} for number in range(9)]
    (tmp_path / "d.json").write_text(json.dumps({"lignes": records}))
    (entry,) = propose("XT", [Path("d.json")], settings).extracts
    assert entry.guesses["net_kg"].columns == ("poids_net",)


@pytest.mark.parametrize("offset", ["Z", "+01:00", "-0500"])
def test_items_in_a_language_of_no_vocabulary_are_known_by_what_they_hold(settings, tmp_path, offset):
    items = [
        {"kod_zbozi": code, "puvod": "CN", "cena": number}
        for number, code in enumerate(
            ("87032319", "22042179", "84713000", "01022910", "61091000", "30049000", "09011100", "72193310")
        )
    ]
    declared = [
        {"mrn": f"24CZ{number:09d}", "prijato": f"2024-03-{number:02d}T08:00:00{offset}", "mena": "CZK"}
        for number in range(1, 20)
    ]
    documents = [one | {"polozky": items} for one in declared]
    sample = tmp_path / "cz.json"
    sample.write_text(json.dumps({"verze": "1.2", "prohlaseni": documents}))
    (entry,) = propose("CZ", [sample], settings).extracts
    assert entry.dataset == "declaration_items"
    assert {"hs6", "hs_national_code", "origin_iso2", "currency_code"} <= set(entry.guesses)
    registered = entry.guesses["registered_at"]
    assert registered.mapping == {"column": "prohlaseni.prijato"}  # ISO 8601 takes no format


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty"),
        ("sheet.xlsx", b"PK", "does not read as xlsx"),
        ("sheet.xls", b"\xd0\xcf", "cannot be sniffed"),
        ("broken.xlsx", b"PK\x03\x04", "cannot be read|not a readable workbook"),
        ("cut.csv.gz", b"\x1f\x8b", "cannot be read"),
        ("x.parquet", b"no", "parquet"),
    ],
)
def test_what_cannot_be_read_says_so(settings, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageProblem, match=message):
        propose("XT", [tmp_path / name], settings)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    header=st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6),
    rows=st.lists(st.lists(st.text(max_size=8), min_size=6, max_size=6), min_size=3, max_size=8),
)
def test_any_file_gives_yaml_or_a_problem_in_words(settings, header, rows):
    """Names and values from a file are data: they neither break the YAML nor leave their comment."""
    sample = settings.home / "any.csv"
    text = io.StringIO()
    csv.writer(text).writerows([header, *(row[: len(header)] for row in rows)])
    sample.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    try:
        proposal = propose("XT", [sample], settings)
    except UsageProblem:
        return
    loaded = yaml.safe_load(contract_text(proposal))
    (entry,) = proposal.extracts
    assert set(loaded) == {"member", "name", "owner", "source", "time_zone", "extracts"}
    assert loaded["extracts"][0]["fields"] == {name: guess.mapping for name, guess in entry.mapped.items()}


NESTED = {
    "sent": {
        "at": "x",
        "declarations": [
            {"no": "D1", "office": "K", "items": [{"line": n, "hs": "010121", "value": 5} for n in (1, 2)]}
        ]
        * 2,
    }
}


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.csv.gz", gzip.compress),
        ("x.csv.zst", lambda content: pa.compress(content, codec="zstd", asbytes=True)),
    ],
)
def test_packed_samples_are_read_as_landing_reads_them(settings, tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(f"{KOREAN_HEADER}\n{KOREAN_ROWS[0]}\n".encode()))
    (entry,) = propose("XT", [tmp_path / name], settings).extracts
    assert (entry.files, entry.format["kind"]) == ((name,), "csv")
    assert entry.guesses["hs6"].columns == ("HS6 Code",)


def test_each_kind_of_file_in_an_archive_is_an_entry(settings, tmp_path):
    rates = "Currency,Date,Rate per USD\nEUR,2024-01-01,0.9\n"
    with zipfile.ZipFile(tmp_path / "sent_2024.zip", "w") as archive:
        for name in ("items_01.csv", "items_02.csv"):
            archive.writestr(name, f"{KOREAN_HEADER}\n{KOREAN_ROWS[0]}\n")
        archive.writestr("rates_01.csv", rates)
    entries = propose("XT", [tmp_path / "sent_2024.zip"], settings).extracts
    assert [(entry.dataset, entry.files, entry.members) for entry in entries] == [
        ("declaration_items", ("sent_*.zip",), ("items_*.csv",)),
        ("exchange_rates", ("sent_*.zip",), ("rates_*.csv",)),
    ]


@pytest.mark.parametrize(
    ("content", "items", "above"),
    [
        (NESTED, "sent.declarations.items", {"sent.at", "sent.declarations.no", "sent.declarations.office"}),
        (NESTED["sent"]["declarations"], "items", {"no", "office"}),
    ],
)
def test_items_below_a_header_are_the_records(settings, tmp_path, content, items, above):
    (tmp_path / "x.json").write_text(json.dumps(content))
    (entry,) = propose("XT", [tmp_path / "x.json"], settings).extracts
    assert (entry.format["items"], set(entry.format["header_fields"])) == (items, above)
    assert {"line", "hs", "value"} <= set(entry.columns)
