"""Samples in public layouts of trade extracts, by a seeded generator: real layouts, invented values.

Each sample says what its records are worth in canonical terms, so that landing is held to the source
and not to what landing made of it once. Layouts after: Chile DIN, Peru SUNAT, Spain AEAT, Brazil Comex
Stat, Japan's trade statistics, US Census imports API, UN Comtrade API, the DATE paper, ASYCUDA's XML.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl

ROWS = 40
NOTHING_LANDS = "bad"  # key of a record in which something is written wrongly


@dataclass(frozen=True)
class Sample:
    """One file, and what of it must land.

    Attributes:
        file_name: As the administration would call it.
        content: The bytes.
        records: Records of the file, wrong ones included.
        landed: Canonical values of the sound records, in the order of the file.
    """

    file_name: str
    content: bytes
    records: int
    landed: list[dict[str, Any]]


def _money(source: random.Random, most: int = 90_000) -> Decimal:
    return Decimal(source.randrange(100, most * 100)) / 100


def _day(source: random.Random) -> date:
    return date(2024, 1, 1) + timedelta(days=source.randrange(366))


def _comma(value: Decimal) -> str:
    return f"{value:f}".replace(".", ",")


def _hs(source: random.Random, digits: int) -> str:
    chapter = f"{source.choice('0268')}{source.randrange(1, 9)}"
    return f"{chapter}{source.randrange(10 ** (digits - 2)):0{digits - 2}}"


def din(source: random.Random) -> Sample:
    """Chile DIN: 178 columns, no header, semicolons, Latin-1, decimal comma, DDMMYYYY without its zero."""
    lines, landed = [], []
    for number in range(ROWS):
        day, value, cif_item = _day(source), _money(source), _money(source)
        columns = [""] * 178
        columns[0] = f"{4_000_000 + number // 2}"
        columns[1] = str(1 + number % 2)  # item
        columns[2] = f"{day:%d%m%Y}".lstrip("0")
        columns[3] = "34"  # office
        columns[4] = f"{source.randrange(10**8)}"  # importer, anonymous
        columns[5] = 'MU\u00d1OZ Y C\u00cdA; "LTDA"'.replace(";", ",").replace('"', "")
        columns[20] = str(int(_hs(source, 8)))  # stored as a number
        columns[21] = source.choice(["CN", "AR", "DE"])
        columns[30] = _comma(value)  # header: CIF of the declaration, repeated
        columns[31] = _comma(cif_item)
        columns[177] = "fin"
        if number == 7:
            columns[31] = "1.234,5x"
        else:
            hs = columns[20].zfill(8)
            landed.append(
                {
                    "declaration_id": columns[0],
                    "item_no": int(columns[1]),
                    "registered_date": day,
                    "hs6": hs[:6],
                    "declared_value": cif_item,
                    "origin_iso2": columns[21],
                }
            )
        lines.append(";".join(columns))
    return Sample("DIN_202403.txt", "\r\n".join(lines).encode("latin-1"), ROWS, landed)


def sunat(source: random.Random) -> Sample:
    """Peru SUNAT: a query's result with the lane, FOB, freight, insurance and taxes apart."""
    header = (
        "Aduana,DUA,Fec.Numeracion,Serie,Canal,Importador,Agente,Partida,Pais Origen,Pais Embarque,"
        "FOB Dolares,Flete,Seguro,CIF Dolares,Peso Neto,Peso Bruto,Cantidad,Unidad,ADV,IGV,ISC,IPM"
    )
    lines, landed = ["CONSULTA DE IMPORTACIONES", "", header], []
    lanes = {"V": "GREEN", "N": "YELLOW", "R": "RED"}
    for number in range(ROWS):
        day, fob, freight, lane = _day(source), _money(source), _money(source, 900), source.choice("VNR")
        insurance = _money(source, 90)
        dua, hs = f"118-2024-10-{number // 3:06}", _hs(source, 10)
        cif = fob + freight + insurance
        values = [
            "118",
            dua,
            f"{day:%d/%m/%Y}",
            str(1 + number % 3),
            lane,
            f"20{number:09}",
            f"A{number % 5}",
        ]
        values += [
            f"{hs[:4]}.{hs[4:6]}.{hs[6:8]}.{hs[8:]}",
            "CN",
            "US",
            str(fob),
            str(freight),
            str(insurance),
        ]
        values += [
            str(cif),
            "10.500",
            "12.000",
            "3",
            "U",
            "0.00",
            str(round(cif * 16 / 100, 2)),
            "0.00",
            "2.00",
        ]
        if number == 11:
            values[4] = "X"
        else:
            landed.append(
                {
                    "declaration_id": dua,
                    "item_no": 1 + number % 3,
                    "registered_date": day,
                    "hs6": hs[:6],
                    "declared_value": cif,
                    "lane_initial_code": lanes[lane],
                    "declared_tax": round(cif * 16 / 100, 2) + 2,
                }
            )
        lines.append(",".join(f'"{value}"' for value in values))
    return Sample("sunat_2024.csv", ("\n".join(lines) + "\n").encode("cp1252"), ROWS, landed)


def aeat(source: random.Random) -> Sample:
    """Spain AEAT: 226 characters a record, no header, no delimiter."""
    lines, landed = [], []
    for number in range(ROWS):
        day, weight, value, hs = _day(source), _money(source, 9000), _money(source), _hs(source, 8)
        line = [" "] * 226

        def put(first: int, text: str, line: list[str] = line) -> None:
            line[first - 1 : first - 1 + len(text)] = text

        put(1, "I")
        put(2, f"{day:%y%m}")
        put(6, "28")
        put(8, f"{number:012}")
        put(20, f"{day:%y%m%d}")
        put(26, f"{hs:<12}")
        put(67, "720")
        put(90, f"{int(weight * 1000):015}")  # grams
        put(120, f"{int(value * 100):012}")  # cents
        put(175, "CIF")
        if number == 3:
            put(26, "ABCDEFGH    ")
        else:
            landed.append(
                {
                    "declaration_id": f"{number:012}",
                    "registered_date": day,
                    "hs6": hs[:6],
                    "net_kg": weight,
                    "declared_value": value,
                    "origin_iso2": "CN",
                }
            )
        lines.append("".join(line))
    return Sample("aduanas2024.txt", ("\r\n".join(lines) + "\r\n").encode("latin-1"), ROWS, landed)


def comex_stat(source: random.Random) -> Sample:
    """Brazil Comex Stat: a row for each month, product, state and office, in the ministry's codes."""
    names = "CO_ANO CO_MES CO_NCM CO_UNID CO_PAIS SG_UF_NCM CO_VIA CO_URF QT_ESTAT KG_LIQUIDO VL_FOB VL_FRETE"
    header = ";".join(f'"{name}"' for name in [*names.split(), "VL_SEGURO"])
    lines, landed = [header], []
    for number in range(ROWS):
        ncm, month, kg, fob = "85171231", 1 + number % 3, source.randrange(10**5), source.randrange(10**6)
        country = "999" if number == 5 else source.choice(["160", "249", "023"])
        state, office = source.choice(["SP", "RS"]), f"{817800 + number:07}"
        row = [
            "2024",
            f"{month:02}",
            ncm,
            "11",
            country,
            state,
            "01",
            office,
            "10",
            str(kg),
            str(fob),
            "5",
            "1",
        ]
        lines.append(";".join(f'"{value}"' for value in row))
        if number != 5:
            landed.append(
                {
                    "period_from_date": date(2024, month, 1),
                    "partner_code": {"160": "CN", "249": "US", "023": "DE"}[country],
                    "hs_code": ncm[:6],
                    "detail_code": f"{ncm}-{state}-{office}",
                    "net_kg": Decimal(kg),
                    "primary_value_usd": Decimal(fob + 6),
                }
            )
    return Sample("IMP_2024.csv", ("\n".join(lines) + "\n").encode(), ROWS, landed)


def japan(source: random.Random) -> Sample:
    """Japan: a row a year with twelve blocks of quantity and value, in thousands of yen."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    names = [
        "Exp or Imp",
        "Year",
        "HS",
        "Country",
        "Unit1",
        "Unit2",
        "Quantity1-Year",
        "Quantity2-Year",
        "Value-Year",
    ]
    names += [f"{what}-{month}" for month in months for what in ("Quantity1", "Quantity2", "Value")]
    lines, landed, records = [",".join(names)], [], 0
    for _ in range(ROWS // 4):
        hs = f"'{_hs(source, 9)}'"
        row = ["2", "2024", hs, "105", "NO", "KG", "0", "0", "0"]
        for place in range(12):
            quantity, value = source.randrange(10**4), source.randrange(1, 10**6)
            if source.random() < 0.3:
                row += ["0", "0", "0"]
                continue
            records += 1
            row += ["0", str(quantity), str(value)]
            landed.append(
                {
                    "period_from_date": date(2024, place + 1, 1),
                    "partner_code": "CN",
                    "hs_code": hs.strip("'")[:6],
                    "net_kg": Decimal(quantity),
                    "primary_value_usd": round(Decimal(value * 1000) / Decimal(150), 4),
                }
            )
        lines.append(",".join(row))
    return Sample("ik-100h2024e001.csv", ("\r\n".join(lines) + "\r\n").encode(), records, landed)


def census(source: random.Random) -> Sample:
    """US Census imports API: an array of arrays, the names first, all texts."""
    rows: list[list[str | None]] = [
        [
            "I_COMMODITY",
            "I_COMMODITY_LDESC",
            "CTY_CODE",
            "GEN_VAL_MO",
            "GEN_QY1_MO",
            "UNIT_QY1",
            "COMM_LVL",
            "time",
        ]
    ]
    landed = []
    for number in range(ROWS):
        hs, value, quantity, month = (
            _hs(source, 6),
            source.randrange(10**7),
            source.randrange(10**4),
            1 + number % 12,
        )
        if number == 9:
            hs = "-"
        else:
            landed.append(
                {
                    "period_from_date": date(2024, month, 1),
                    "hs_code": hs,
                    "partner_code": "CN",
                    "primary_value_usd": Decimal(value),
                    "quantity": Decimal(quantity),
                }
            )
        rows.append([hs, 'A, "B"', "5700", str(value), str(quantity), "NO", "HS6", f"2024-{month:02}"])
    return Sample("imports_hs.json", json.dumps(rows).encode(), ROWS, landed)


def comtrade(source: random.Random) -> Sample:
    """UN Comtrade API v1: one document with the rows under `data`, totals among the detail."""
    rows, landed = [], []
    for number in range(ROWS):
        partner, value = (
            source.choice([("CHN", "CN"), ("DEU", "DE"), ("W00", "W00")]),
            float(_money(source, 10**7)),
        )
        mode = number
        row: dict[str, Any] = {
            "typeCode": "C",
            "freqCode": "A",
            "refYear": 2023,
            "refMonth": 52,
            "period": "2023",
        }
        row |= {"reporterCode": 152, "flowCode": "M", "partnerISO": partner[0], "partner2Code": 0}
        row |= {"classificationCode": "H6", "cmdCode": "TOTAL" if number == 0 else _hs(source, 6)}
        row |= {"customsCode": "C00", "motCode": mode, "qtyUnitCode": 8, "qty": 1.5, "isQtyEstimated": True}
        row |= {
            "netWgt": None,
            "cifvalue": value,
            "fobvalue": None,
            "primaryValue": value,
            "isReported": False,
            "isAggregate": number == 0,
        }
        if number == 4:
            row["primaryValue"] = -1
        else:
            landed.append(
                {
                    "period_from_date": date(2023, 1, 1),
                    "partner_code": partner[1],
                    "hs_code": row["cmdCode"],
                    "transport_mode_code": str(mode),
                    "primary_value_usd": Decimal(str(value)),
                    "is_aggregate": number == 0,
                }
            )
        rows.append(row)
    document = {"elapsedTime": "0.2 secs", "count": len(rows), "data": rows, "error": ""}
    return Sample("comtrade_152_2023.json", json.dumps(document, indent=1).encode(), ROWS, landed)


def date_paper(source: random.Random) -> Sample:
    """The fourteen columns of the DATE paper."""
    lines = [
        "sgd.id,sgd.date,importer.id,declarant.id,country,office.id,tariff.code,quantity,gross.weight,fob.value,cif.value,total.taxes,illicit,revenue"
    ]
    landed = []
    for number in range(ROWS):
        day, cif, illicit = datetime(2013, 1, 1) + timedelta(days=number * 9), _money(source), number % 7 == 0
        hs = _hs(source, 10)
        row = [
            f"SGD{number}",
            f"{day:%y-%m-%d}",
            f"IMP{number % 9}",
            f"DEC{number % 4}",
            "CNTRY680",
            "OFFICE60",
        ]
        row += [
            str(int(hs)),
            "3",
            "1.5",
            str(cif - 1),
            str(cif),
            "100.0",
            str(int(illicit)),
            "9.5" if illicit else "0",
        ]
        if number == 6:
            row[10] = ""
        else:
            landed.append(
                {
                    "declaration_id": row[0],
                    "registered_date": day.date(),
                    "hs6": hs[:6],
                    "declared_value": cif,
                    "is_irregular": illicit,
                }
            )
        lines.append(",".join(row))
    return Sample("synthetic-imports-declarations.csv", "\n".join(lines).encode(), ROWS, landed)


def asycuda(source: random.Random) -> Sample:
    """ASYCUDA-style XML: the declaration's own values, and its items below with tax lines of theirs."""
    landed, records, declarations = [], 0, []
    for number in range(ROWS // 4):
        day, items = _day(source), []
        for place in range(1 + number % 4):
            hs, value = _hs(source, 8), _money(source)
            records += 1
            written = "n/a" if (number, place) == (2, 0) else str(value)
            if written != "n/a":
                landed.append(
                    {
                        "declaration_id": f"2024 TT {number}",
                        "item_no": place + 1,
                        "registered_date": day,
                        "hs6": hs[:6],
                        "declared_value": value,
                        "office_code": "TTPTS",
                    }
                )
            taxes = "".join(
                f"<Taxation_line><Duty_tax_code>{code}</Duty_tax_code><Duty_tax_rate>5</Duty_tax_rate>"
                "<Duty_tax_amount>1.0</Duty_tax_amount></Taxation_line>"
                for code in ("ID", "VAT")
            )
            items.append(
                f"<Item><Item_number>{place + 1}</Item_number><Tarification><HScode><Commodity_code>{hs}"
                "</Commodity_code></HScode><Extended_customs_procedure>4000</Extended_customs_procedure>"
                "</Tarification><Goods_description><Country_of_origin_code>US</Country_of_origin_code>"
                "<Description_of_goods>A &amp; B &lt;x&gt;</Description_of_goods></Goods_description>"
                f"<Valuation_item><Total_CIF_itm>{written}</Total_CIF_itm><Weight_itm><Gross_weight_itm>12.5"
                f"</Gross_weight_itm><Net_weight_itm>10</Net_weight_itm></Weight_itm></Valuation_item>{taxes}</Item>"
            )
        declarations.append(
            "<ASYCUDA><Identification><Office_segment><Customs_clearance_office_code>TTPTS"
            "</Customs_clearance_office_code></Office_segment><Registration><Number>2024 TT "
            f"{number}</Number><Date>{day:%m/%d/%y}</Date></Registration></Identification>"
            f"<Traders><Consignee><Consignee_code>C{number}</Consignee_code></Consignee></Traders>"
            f"<Declarant><Declarant_code>D{number % 3}</Declarant_code></Declarant>{''.join(items)}</ASYCUDA>"
        )
    text = f'<?xml version="1.0" encoding="utf-8"?><Export>{"".join(declarations)}</Export>'
    return Sample("sad_2024_06.xml", text.encode(), records, landed)


def workbook(source: random.Random) -> Sample:
    """A workbook with a title above the table, dates as dates and codes as numbers."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Déclarations en détail"])
    sheet.append([])
    sheet.append(
        [
            "N° déclaration",
            "N° article",
            "Date d'enregistrement",
            "Bureau",
            "Espèce tarifaire",
            "Pays d'origine",
            "NINEA importateur",
            "Valeur en douane",
            "Poids net",
        ]
    )
    landed = []
    for number in range(ROWS):
        day, value, hs = _day(source), _money(source), _hs(source, 8)
        sheet.append(
            [
                f"C {number}",
                1,
                datetime.combine(day, datetime.min.time()),
                "18N",
                int(hs),
                "FR",
                f"00{number}2G3",
                float(value) if number != 8 else "à voir",
                10.5,
            ]
        )
        if number != 8:
            landed.append(
                {
                    "declaration_id": f"C {number}",
                    "registered_date": day,
                    "hs6": hs[:6],
                    "declared_value": value,
                    "net_kg": Decimal("10.5"),
                }
            )
    content = io.BytesIO()
    book.save(content)
    return Sample("declarations_2024.xlsx", content.getvalue(), ROWS, landed)


LAYOUTS: dict[str, Callable[[random.Random], Sample]] = {
    "XG": din,
    "XH": sunat,
    "XI": aeat,
    "XJ": comex_stat,
    "XK": japan,
    "XL": census,
    "XM": comtrade,
    "XN": date_paper,
    "XO": asycuda,
    "XP": workbook,
}


def sample(code: str) -> Sample:
    """Return the sample of a layout; the same each time."""
    return LAYOUTS[code](random.Random(code))
