"""Proposing contracts for samples that say little: headers apart, no names of columns, sums of trade."""

from __future__ import annotations

import json

import pytest
import yaml

from tidewaiter.contracts import Contract
from tidewaiter.contracts.propose import contract_text, propose
from tidewaiter.landing.trial import try_landing
from tidewaiter.settings import Settings

LANES = ("VERMELHO", "AMARELO", "VERDE", "VERDE")
GOODS = ("84713000", "87032310", "62034200", "08051000", "02071400", "30049000")
COUNTRIES = ("CN", "DE", "PT", "BR", "ES", "IN")
HEADER = "Nr_DU;Data_registo;Estância;NIF_importador;Moeda;Frete;Canal"
ITEM = "Nr_DU;Adição;Pauta;País_origem;Peso_bruto;Peso_líquido;Valor_aduaneiro;Taxa"


def comma(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


def headers() -> list[list[str]]:
    return [
        [
            f"DU{2024000 + n}",
            f"{n % 28 + 1:02d}/{n % 12 + 1:02d}/2024 {8 + n % 9:02d}:{n % 60:02d}",
            ("LUA", "LOB", "CAB")[n % 3],
            str(5000000019 + n * 7919 % 1000003 * 997),
            ("USD", "EUR", "AOA")[n % 3],
            comma(100 + n * 17.31),
            LANES[n % 4],
        ]
        for n in range(120)
    ]


def items() -> list[list[str]]:
    return [
        [
            header[0],
            str(item + 1),
            GOODS[(n + item) % 6],
            COUNTRIES[(n * 5 + item) % 6],
            comma(11.55 * (n + 3) * (item + 1)),
            comma(10.25 * (n + 3) * (item + 1)),
            comma(1234.55 * (n + 1) / (item + 1)),
            ("0", "5", "10", "20")[(n + item) % 4],
        ]
        for n, header in enumerate(headers())
        for item in range(1 + n % 4)
    ]


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", members_dir=tmp_path / "members", threads=2, memory_limit="1GB")


def write(path, rows, head=None, encoding="latin-1"):
    lines = [head] * (head is not None) + [";".join(row) for row in rows]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
    return path


def test_items_are_joined_to_their_headers(settings, tmp_path):
    samples = [
        write(tmp_path / "cabecalhos_2024.csv", headers(), HEADER),
        write(tmp_path / "adicoes_2024.csv", items(), ITEM),
    ]
    proposal = propose("XK", samples, settings)
    apart, lines = proposal.extracts
    assert (apart.dataset, apart.header, lines.dataset, lines.header) == (
        *("declarations", "on_items"),
        *("declaration_items", "apart"),
    )
    assert [entry.guesses["declaration_id"].columns for entry in proposal.extracts] == [("Nr_DU",)] * 2
    assert apart.to_fill_in == lines.to_fill_in == []
    assert "header: apart" in contract_text(proposal)
    # The contract loads as it was written, and every row of both samples is sound under it.
    contract = Contract.model_validate(yaml.safe_load(contract_text(proposal)))
    for sample, entry in zip(samples, contract.extracts, strict=True):
        trial = try_landing(sample, entry, contract, settings)
        assert (trial.rows_in, trial.findings) == (trial.rows_sound, ())


def test_without_a_sample_of_headers_items_stand_alone(settings, tmp_path):
    (lines,) = propose("XK", [write(tmp_path / "adicoes.csv", items(), ITEM)], settings).extracts
    assert lines.header == "on_items"
    assert {"registered_at", "office_code", "currency_code"} <= set(lines.to_fill_in)


def test_columns_without_names_are_told_by_what_they_hold(settings, tmp_path):
    by_number = {header[0]: header for header in headers()}
    # number, item, day, importer, goods, origin, gross, net, value, currency, lane, office
    rows = [
        [
            *(row[0], row[1], by_number[row[0]][1][:10], by_number[row[0]][3], *row[2:7]),
            *(by_number[row[0]][4], by_number[row[0]][6], by_number[row[0]][2]),
        ]
        for row in items()
    ]
    (entry,) = propose("XK", [write(tmp_path / "semcab.csv", rows)], settings).extracts
    assert entry.format["header"] is False
    found = {name: guess.columns for name, guess in entry.guesses.items()}
    assert found == {
        "declaration_id": ("column_1",),
        "item_no": ("column_2",),
        "registered_at": ("column_3",),
        "hs6": ("column_5",),  # and not the importers' numbers of ten digits
        "hs_national_code": ("column_5",),
        "origin_iso2": ("column_6",),
        "gross_kg": ("column_7",),
        "net_kg": ("column_8",),
        "declared_value": ("column_9",),
        "currency_code": ("column_10",),
        "lane_initial_code": ("column_11",),
    }
    assert entry.to_fill_in == ["office_code"]
    assert all("guessed from content" in guess.basis for guess in entry.guesses.values())
    lanes = entry.guesses["lane_initial_code"].mapping["codes"]
    assert lanes == {"VERMELHO": "RED", "AMARELO": "YELLOW", "VERDE": "GREEN"}


def test_numbers_with_decimals_are_one_column_of_fixed_width(settings, tmp_path):
    lines = [
        f"{row[0]:<10}{row[2]} {row[6].replace(',', '.'):>14} {LANES[n % 4]:<8}"
        for n, row in enumerate(items())
    ]
    (tmp_path / "fixo.txt").write_text("\n".join(lines) + "\n")
    (entry,) = propose("XK", [tmp_path / "fixo.txt"], settings).extracts
    ends = [column["end"] for column in entry.format["columns"]]
    assert (entry.format["kind"], entry.format["record_length"]) == ("fixed_width", 42)
    assert 33 in ends  # the value ends here, and is not cut at its point
    assert len([column for column in entry.format["columns"] if 19 < column["start"] < 34]) == 1


COMTRADE = (
    "freqCode,refYear,refMonth,period,reporterCode,flowCode,partnerCode,partner2Code,classificationCode,"
    "cmdCode,customsCode,motCode,qty,netWgt,cifvalue,fobvalue,primaryValue,isReported,isAggregate\n"
)


def test_sums_in_the_shape_of_comtrade_are_mapped_whole(settings, tmp_path):
    sample = tmp_path / "flows_2023.csv"
    sample.write_text(
        COMTRADE
        + "".join(
            f"M,{2020 + n // 12 % 4},{n % 12 + 1},{2020 + n // 12 % 4}{n % 12 + 1:02d},24,M,"
            f"{(156, 276, 620, 0)[n // 48]},0,H6,{GOODS[n % 6][:6]},C00,0,{n},"
            f"{n * 2.5},{n * 10.5},{n * 9.5},{n * 10.5},true,false\n"
            for n in range(192)
        )
    )
    proposal = propose("XK", [sample], settings)
    (entry,) = proposal.extracts
    assert (entry.dataset, entry.to_fill_in) == ("aggregate_flows", [])
    assert entry.guesses["period_from_date"].mapping == {"column": "period", "formats": ["%Y%m"]}
    assert entry.guesses["partner_code"].mapping == {
        "column": "partnerCode",
        "codes_list": "iso3166_numeric",
        "codes": {"0": "0"},
    }
    contract = Contract.model_validate(yaml.safe_load(contract_text(proposal)))
    trial = try_landing(sample, contract.extracts[0], contract, settings, rows=1)
    assert (trial.rows_in, trial.rows_sound, trial.findings) == (192, 192, ())
    assert trial.rows[0]["partner_code"] == "CN"


def test_year_and_month_make_a_period(settings, tmp_path):
    head = "CO_ANO;CO_MES;CO_NCM;CO_PAIS;KG_LIQUIDO;VL_FOB;VL_FRETE"
    rows = [
        ["2024", f"{n % 12 + 1:02d}", GOODS[n % 6], "160", str(n), str(n * 700), str(n * 9)]
        for n in range(90)
    ]
    (entry,) = propose("XK", [write(tmp_path / "imp_2024.csv", rows, head)], settings).extracts
    assert entry.dataset == "aggregate_flows"
    expected = 'make_date(cast("CO_ANO" as integer), cast("CO_MES" as integer), 1)'
    assert entry.guesses["period_from_date"].mapping == {"expression": expected}
    assert entry.guesses["frequency_code"].mapping == {"constant": "M"}
    assert entry.guesses["primary_value_usd"].columns == ("VL_FOB",)
    assert entry.guesses["partner_code"].columns == ("CO_PAIS",)
    assert {"flow_code", "classification_code"} <= set(entry.to_fill_in)


def test_a_month_that_is_none_makes_no_period(settings, tmp_path):
    """Comtrade's answer for a year says month 52."""
    rows = [
        {
            **{"freqCode": "A", "refYear": 2023, "refMonth": 52, "period": "2023", "flowCode": "M"},
            **{"partnerCode": 156 + n % 2, "classificationCode": "H6", "cmdCode": goods[:6]},
            **{"netWgt": n / 8, "primaryValue": n * 7.5, "isNetWgtEstimated": False},
        }
        for n, goods in enumerate(GOODS * 4)
    ]
    sample = tmp_path / "comtrade.json"
    sample.write_text(json.dumps({"count": len(rows), "data": rows, "error": ""}))
    (entry,) = propose("XK", [sample], settings).extracts
    assert (entry.dataset, entry.to_fill_in) == ("aggregate_flows", [])
    mapped = {name: guess.mapping for name, guess in entry.guesses.items()}
    assert mapped["period_from_date"] == {"expression": 'make_date(cast("refYear" as integer), 1, 1)'}
    assert mapped["net_kg"] == {"column": "netWgt"}
    assert mapped["is_net_kg_estimated"]["column"] == "isNetWgtEstimated"


def test_euros_are_no_dollars(settings, tmp_path):
    head = "PARTNER;PRODUCT_NC;FLOW;PERIOD;VALUE_IN_EUROS;QUANTITY_IN_KG"
    rows = [
        ["0720", GOODS[n % 6], "12"[n % 2], f"2023{n % 12 + 1:02d}", str(n * 100), str(n * 3)]
        for n in range(90)
    ]
    (entry,) = propose("XK", [write(tmp_path / "comext.dat", rows, head)], settings).extracts
    assert entry.guesses["primary_value_usd"].open_question.startswith("euros")
    assert entry.guesses["net_kg"].columns == ("QUANTITY_IN_KG",)


def test_items_of_a_pedimento(settings, tmp_path):
    head = (
        "Patente;Pedimento;SeccionAduanera;Fraccion;SecuenciaFraccion;ValorAduana;PaisOrigenDestino;FechaPago"
    )
    rows = [
        [
            *("3001", str(4000000 + n), "240", GOODS[(n + item) % 6], str(item), str(n * 90)),
            *(("USA", "CHN", "DEU")[n % 3], f"2023-0{n % 9 + 1}-{n % 28 + 1:02d} 00:00:00"),
        ]
        for n in range(90)
        for item in (1, 2)
    ]
    (entry,) = propose("XK", [write(tmp_path / "m551.asc", rows, head)], settings).extracts
    found = {name: guess.columns[0] for name, guess in entry.guesses.items() if guess.columns}
    assert found == {
        "declaration_id": "Pedimento",
        "item_no": "SecuenciaFraccion",
        "registered_at": "FechaPago",
        "office_code": "SeccionAduanera",
        "hs6": "Fraccion",
        "hs_national_code": "Fraccion",
        "origin_iso2": "PaisOrigenDestino",
        "declared_value": "ValorAduana",
    }


def test_a_key_of_several_columns_joins_items_to_headers(settings, tmp_path):
    """The layout of a declaration in two files: office, year and number come first in both."""

    def key(n):
        return ["118", ("2023", "2024")[n % 2], f"{n // 2 + 1:06d}"]

    samples = [
        write(
            tmp_path / "DUA_CAB.txt",
            [
                [
                    *(*key(n), f"202401{n % 28 + 1:02d}", f"{8 + n % 9:02d}{n % 60:02d}"),
                    *(f"0{9 * n + 10**9}", f"{10 + n / 4:.2f}", "USD"),
                ]
                for n in range(120)
            ],
            "CADU;ANO_PRESE;NUME_CORRE;FECH_NUMERA;HORA_NUMERA;LIBR_TRIBU;FLETE;MONEDA",
        ),
        write(
            tmp_path / "DUA_DET.txt",
            [
                [
                    *(*key(n), f"{item:04d}", GOODS[n % 6] + "00", COUNTRIES[n % 6]),
                    *(f"{n * 3.5 + item:.2f}", f"{n * 90 + item / 4:.2f}", f"{n / 8:.3f}"),
                ]
                for n in range(120)
                for item in (1, 2, 3)
            ],
            "CADU;ANO_PRESE;NUME_CORRE;NUME_SERIE;PART_NANDI;PAIS_ORIGE;PESO_NETO;FOB_DOLPOL;ADV",
        ),
    ]
    proposal = propose("XK", samples, settings)
    heads, lines = proposal.extracts
    assert (heads.dataset, lines.dataset, lines.header) == ("declarations", "declaration_items", "apart")
    expression = """concat_ws('-', "CADU", "ANO_PRESE", "NUME_CORRE")"""
    assert [entry.guesses["declaration_id"].mapping for entry in proposal.extracts] == [
        {"expression": expression}
    ] * 2
    found = {name: guess.columns for name, guess in (heads.guesses | lines.guesses).items()}
    assert found["office_code"] == ("CADU",)
    assert found["importer_id"] == ("LIBR_TRIBU",)  # and not an amount: it begins with a zero
    assert found["item_no"] == ("NUME_SERIE",)
    assert lines.guesses["declared_value"].columns == ("FOB_DOLPOL",)
    contract = Contract.model_validate(yaml.safe_load(contract_text(proposal)))
    for sample, entry in zip(samples, contract.extracts, strict=True):
        trial = try_landing(sample, entry, contract, settings)
        assert (trial.rows_in, trial.findings) == (trial.rows_sound, ())


ASYCUDA = """<a:SAD xmlns:a="urn:sad" status="Assessed"><a:Identification>
<a:Office_segment><a:Customs_clearance_office_code>KG01</a:Customs_clearance_office_code></a:Office_segment>
<a:Registration><a:Number>C {n}</a:Number><a:Date>{month}/{day}/24</a:Date></a:Registration>
<a:Assessment><a:Date/></a:Assessment></a:Identification>
<a:Traders><a:Consignee><a:Consignee_code>T{trader}</a:Consignee_code></a:Consignee></a:Traders>{items}
</a:SAD>"""
ASYCUDA_ITEM = """<a:Item no="{item}"><a:Tarification><a:HScode><a:Commodity_code>{goods}</a:Commodity_code>
</a:HScode></a:Tarification><a:Goods_description><a:Country_of_origin_code>{country}
</a:Country_of_origin_code></a:Goods_description><a:Valuation_item>
<a:Weight_itm><a:Gross_weight_itm>{gross}</a:Gross_weight_itm><a:Net_weight_itm>{net}</a:Net_weight_itm>
</a:Weight_itm><a:Item_Invoice ccy="USD"><a:Amount_foreign_currency>{value}</a:Amount_foreign_currency>
</a:Item_Invoice></a:Valuation_item><a:Taxation><a:Item_taxes_amount>{tax}</a:Item_taxes_amount>
</a:Taxation></a:Item>"""


def test_a_document_in_the_style_of_asycuda_is_mapped_whole(settings, tmp_path):
    declarations = [
        ASYCUDA.format(
            n=n,
            month=n % 12 + 1,
            day=n % 28 + 1,
            trader=n % 7,
            items="".join(
                ASYCUDA_ITEM.format(
                    item=item,
                    goods=GOODS[(n + item) % 6],
                    country=COUNTRIES[n % 6],
                    gross=n + 2.5,
                    net=n + 1.25,
                    value=n * 70 + item / 4,
                    tax=n * 7 + 0.5,
                )
                for item in range(1, 2 + n % 4)
            ),
        )
        for n in range(1, 80)
    ]
    sample = tmp_path / "sad.xml"
    sample.write_text(f"<Batch>{''.join(declarations)}</Batch>")
    proposal = propose("XK", [sample], settings)
    (entry,) = proposal.extracts
    assert entry.to_fill_in == []
    found = {name: guess.columns[0].rpartition("/")[2] for name, guess in entry.guesses.items()}
    assert found == {
        "declaration_id": "Number",
        "item_no": "@no",
        "registered_at": "Date",
        "office_code": "Customs_clearance_office_code",
        "importer_id": "Consignee_code",
        "hs6": "Commodity_code",
        "hs_national_code": "Commodity_code",
        "origin_iso2": "Country_of_origin_code",
        "gross_kg": "Gross_weight_itm",
        "net_kg": "Net_weight_itm",
        "currency_code": "@ccy",
        "declared_value": "Amount_foreign_currency",
        "declared_tax": "Item_taxes_amount",
    }
    contract = Contract.model_validate(yaml.safe_load(contract_text(proposal)))
    trial = try_landing(sample, contract.extracts[0], contract, settings)
    assert (trial.rows_in, trial.findings) == (trial.rows_sound, ())


@pytest.mark.parametrize(
    ("countries", "listed"),
    [
        (("Alemania", "Japón", "Estados Unidos", "Corea del Sur"), "country_names"),
        (("ALLEMAGNE", "JAPON", "ETATS-UNIS", "VIET NAM"), "country_names"),
        (("DEU", "JPN", "USA", "KOR"), "iso3166_alpha3"),
        (("276", "392", "840", "8"), "iso3166_numeric"),
    ],
)
def test_however_countries_are_written(settings, tmp_path, countries, listed):
    rows = [
        [f"D{n // 2}", str(n % 2 + 1), "01.02.2024", f"'{GOODS[n % 6][:6]}", countries[n % 4], f"{n / 8:.3f}"]
        for n in range(160)
    ]
    sample = write(tmp_path / "items.csv", rows, "Declaration;Item;Date;HSCode;Origin;NetMass(t)")
    (entry,) = propose("XK", [sample], settings).extracts
    assert entry.dataset == "declaration_items"
    assert entry.guesses["origin_iso2"].mapping == {"column": "Origin", "codes_list": listed}
    assert entry.guesses["hs6"].mapping == {"expression": """ltrim("HSCode", '''')"""}
    assert entry.guesses["net_kg"].mapping == {"column": "NetMass(t)", "unit": "t"}
