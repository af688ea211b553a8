"""How each synthetic member's customs system spells its rows: headers, numbers, dates, code lists.

A column is SQL over the columns of `rows.World.extract` that yields text; null is written as
`null_text`. `members/<code>/contract.yaml` reads it back and knows nothing of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

_REGISTERED = "make_timestamp(registered_s * 1000000)"
_YEAR = f"year({_REGISTERED})"
# Eight-digit national codes split some subheadings: the last two digits differ by subheading.
_NATIONAL = "hs6 || lpad(cast(cast(hs6 as integer) % 4 * 10 as varchar), 2, '0')"


@dataclass(frozen=True)
class FaultTexts:
    """Wrong spellings for planted faults, in this dialect.

    Attributes:
        number, date, lane: What is written in place of a declared value, a registration, a lane.
        fields: Canonical field to the header that carries it.
    """

    number: str
    date: str
    lane: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Dialect:
    """Everything about one member's files.

    Attributes:
        columns: Header to SQL over the extract rows.
        rate_columns: Header to SQL over `valid_from` (DATE), `units_per_usd`, `currency_code`.
        quoted: Headers whose values are always in double quotes.
        file_name: From the first and last month of a file (`YYYY-MM`) to its name.
    """

    delimiter: str
    encoding: str
    null_text: str
    columns: Mapping[str, str]
    rate_columns: Mapping[str, str]
    quoted: frozenset[str]
    file_name: Callable[[str, str], str]
    rates_file_name: str
    faults: FaultTexts


def _time(column: str, pattern: str) -> str:
    return f"strftime(make_timestamp({column} * 1000000), '{pattern}')"


def _plain(column: str, decimals: int) -> str:
    return f"format('{{:.{decimals}f}}', {column})"


def _french(column: str, decimals: int) -> str:
    return f"translate(format('{{:,.{decimals}f}}', {column}), ',.', ' ,')"


def _code(column: str, spellings: Mapping[str, str]) -> str:
    branches = " ".join(f"when '{canonical}' then '{text}'" for canonical, text in spellings.items())
    return f"case {column} {branches} end"


def _flag(column: str, yes: str, no: str) -> str:
    return f"case when {column} then '{yes}' when not {column} then '{no}' end"


def _entity(prefix: str, column: str, digits: int, multiplier: int = 1, shift: int = 0) -> str:
    return f"'{prefix}' || lpad(cast({column} * {multiplier} + {shift} as varchar), {digits}, '0')"


_LANE_SOURCE = "case when is_random then 'RANDOM' when lane_code <> 'GREEN' then 'CRITERION' end"
_LABEL_SOURCE = "case when label_s is null then null when is_random then 'RANDOM' else 'TARGETED' end"

XA = Dialect(
    delimiter=",",
    encoding="utf-8",
    null_text="",
    columns={
        "DECLARATION_NO": f"office_code || '-' || {_YEAR} || '-I' || lpad(cast(serial as varchar), 6, '0')",
        "ITEM_NO": "cast(item_no as varchar)",
        "OFFICE": "office_code",
        "REGISTERED": _time("registered_s", "%Y-%m-%dT%H:%M:%S"),
        "SELECTED": _time("lane_s", "%Y-%m-%dT%H:%M:%S"),
        "ASSIGNED": _time("assigned_s", "%Y-%m-%dT%H:%M:%S"),
        "RELEASED": _time("released_s", "%Y-%m-%dT%H:%M:%S"),
        "TYPE": "'IM4'",
        "CPC": "'4000'",
        "MODE": "case when courier is not null then '4' when is_preferential then '3' else '1' end",
        "IMPORTER_PIN": _entity("P05", "importer", 6, 37, 1201),
        "AGENT": _entity("AG", "declarant", 4, 1, 1),
        "SELLER": "'Exporter ' || lpad(cast(seller as varchar), 4, '0') || ', Ltd'",
        "COURIER": _entity("EXP", "courier", 2, 1, 1),
        "HS6": "hs6",
        "COMMODITY_CODE": _NATIONAL,
        "ORIGIN": "origin_iso2",
        "DISPATCH": "dispatch_iso2",
        "PREFERENCE": _flag("is_preferential", "FTA", ""),
        "GROSS_KG": _plain("gross_kg", 3),
        "NET_KG": _plain("net_kg", 3),
        "CURRENCY": "currency_code",
        "CIF_VALUE": _plain("declared_value", 2),
        "DUTY_RATE": _plain("rate_pct", 1),
        "TAXES": _plain("declared_tax", 2),
        "LANE": "lane_code",
        "LANE_SOURCE": _LANE_SOURCE,
        "OFFICER_FIRST": _entity("OFF", "inspector", 3, 1, 100),
        "OFFICER_LAST": _entity("OFF", "inspector", 3, 1, 100),
        "RESULT": "finding_code",
        "ASSESSED_VALUE": _plain("assessed_value", 2),
        "RECOVERED_TAX": _plain("recovered_tax", 2),
        "IRREGULAR": _flag("is_irregular", "Y", "N"),
        "SERIOUS": _flag("is_serious", "Y", "N"),
        "RESULT_KNOWN": _time("label_s", "%Y-%m-%dT%H:%M:%S"),
        "RESULT_SOURCE": _LABEL_SOURCE,
    },
    rate_columns={
        "CURRENCY": "currency_code",
        "VALID_FROM": "strftime(valid_from, '%Y-%m-%d')",
        "UNITS_PER_USD": _plain("units_per_usd", 4),
    },
    quoted=frozenset({"SELLER"}),
    file_name=lambda first, last: f"import_items_{first}_{last}.csv",
    rates_file_name="exchange_rates.csv",
    faults=FaultTexts(
        number="12O45.50",
        date="2024-02-31T10:15:00",
        lane="PURPLE",
        fields={
            "declaration_id": "DECLARATION_NO",
            "registered_at": "REGISTERED",
            "hs6": "HS6",
            "declared_value": "CIF_VALUE",
            "net_kg": "NET_KG",
            "gross_kg": "GROSS_KG",
            "lane_initial_code": "LANE",
        },
    ),
)

_XB_LANES = {"RED": "ROUGE", "YELLOW": "JAUNE", "BLUE": "BLEU", "GREEN": "VERT"}
_XB_FINDINGS = {
    "CONFORM": "CONFORME",
    "VALUE": "VALEUR",
    "HS": "ESPÈCE",
    "ORIGIN": "ORIGINE",
    "QTY": "QUANTITÉ",
}

XB = Dialect(
    delimiter=";",
    encoding="latin-1",
    null_text="-",
    columns={
        "N° déclaration": f"{_YEAR} || '/' || office_code || '/' || cast(serial as varchar)",
        "Article": "cast(item_no as varchar)",
        "Bureau": "office_code",
        "Date d'enregistrement": _time("registered_s", "%d/%m/%y %H:%M"),
        "Date de sélection": _time("lane_s", "%d/%m/%y %H:%M"),
        "Date d'affectation": _time("assigned_s", "%d/%m/%y %H:%M"),
        "Date de mainlevée": _time("released_s", "%d/%m/%y %H:%M"),
        "Régime": "'4000'",
        "Importateur": _entity("IFU", "importer", 7, 53, 300017),
        "Déclarant": _entity("CAD", "declarant", 3, 1, 1),
        "Expéditeur": _entity("F", "seller", 5),
        "Messagerie": _entity("M", "courier", 2),
        "Espèce tarifaire": _NATIONAL,
        "Pays d'origine": "origin_iso2",
        "Pays de provenance": "dispatch_iso2",
        "Préférence": _flag("is_preferential", "ALE", "-"),
        "Poids brut (kg)": _french("gross_kg", 3),
        "Poids net (kg)": _french("net_kg", 3),
        "Valeur déclarée": _french("declared_value", 2),
        "Taux": _french("rate_pct", 1),
        "Droits et taxes": _french("declared_tax", 2),
        "Circuit": _code("lane_code", _XB_LANES),
        "Motif du circuit": _code(_LANE_SOURCE, {"RANDOM": "ALÉATOIRE", "CRITERION": "CRITÈRE"}),
        "Inspecteur désigné": _entity("I", "inspector", 3, 7, 11),
        "Inspecteur liquidateur": _entity("I", "inspector", 3, 7, 11),
        "Constat": _code("finding_code", _XB_FINDINGS),
        "Valeur retenue": _french("assessed_value", 2),
        "Redressement": _french("recovered_tax", 2),
        "Irrégularité": _flag("is_irregular", "OUI", "NON"),
        "Infraction grave": _flag("is_serious", "OUI", "NON"),
        "Date du constat": _time("label_s", "%d/%m/%y %H:%M"),
        "Origine du constat": _code(_LABEL_SOURCE, {"RANDOM": "ALÉATOIRE", "TARGETED": "CIBLÉ"}),
    },
    rate_columns={
        "Devise": "currency_code",
        "Date d'effet": "strftime(valid_from, '%d/%m/%y')",
        "Unités par USD": _french("units_per_usd", 4),
    },
    quoted=frozenset(),
    file_name=lambda first, last: f"declarations_{first[:4]}_T{(int(first[5:]) + 2) // 3}.csv",
    rates_file_name="taux_de_change.csv",
    faults=FaultTexts(
        number="12 O45,50",
        date="31/02/24 10:15",
        lane="MAUVE",
        fields={
            "declaration_id": "N° déclaration",
            "registered_at": "Date d'enregistrement",
            "hs6": "Espèce tarifaire",
            "declared_value": "Valeur déclarée",
            "net_kg": "Poids net (kg)",
            "gross_kg": "Poids brut (kg)",
            "lane_initial_code": "Circuit",
        },
    ),
)

XC = Dialect(
    delimiter="|",
    encoding="utf-8",
    null_text="",
    columns={
        "DUA": f"office_code || {_YEAR} || lpad(cast(serial as varchar), 5, '0')",
        "NUM_ITEM": "cast(item_no as varchar)",
        "ADUANA": "office_code",
        "FEC_REG": _time("registered_s", "%Y%m%d"),
        "FEC_LEVANTE": _time("released_s", "%Y%m%d"),
        "NIT_IMPORTADOR": "cast(importer * 7919 + 1000003 as varchar)",
        "AGENTE": "cast(declarant + 1 as varchar)",
        "PROVEEDOR": "cast(seller + 5000 as varchar)",
        # Stored as a number by the member's system: chapters 01 to 09 lose their leading zero.
        "PARTIDA": f"cast(cast({_NATIONAL} as bigint) as varchar)",
        "PAIS_ORIGEN": "origin_iso2",
        "PAIS_PROCEDENCIA": "dispatch_iso2",
        "ACUERDO": _flag("is_preferential", "TLC", ""),
        "PESO_BRUTO_TM": _plain("gross_kg / 1000", 6),
        "PESO_NETO_TM": _plain("net_kg / 1000", 6),
        "VALOR_CIF": _plain("declared_value", 2),
        "TASA_DAI": _plain("rate_pct", 2),
        "IMPUESTOS": _plain("declared_tax", 2),
        "SELECTIVO": _code("lane_code", {"RED": "1", "YELLOW": "2", "BLUE": "3", "GREEN": "4"}),
        "TIPO_SELECTIVO": _code(_LANE_SOURCE, {"RANDOM": "A", "CRITERION": "C"}),
        "VISTA_INICIAL": "cast(inspector + 40 as varchar)",
        "VISTA_FINAL": "cast(inspector + 40 as varchar)",
        "HALLAZGO": _code(
            "finding_code", {"CONFORM": "0", "VALUE": "1", "HS": "2", "ORIGIN": "3", "QTY": "4"}
        ),
        "VALOR_AJUSTADO": _plain("assessed_value", 2),
        "AJUSTE_IMPUESTOS": _plain("recovered_tax", 2),
        "IRREGULAR": _flag("is_irregular", "1", "0"),
        "GRAVE": _flag("is_serious", "1", "0"),
        "FEC_HALLAZGO": _time("label_s", "%Y%m%d"),
        "ORIGEN_HALLAZGO": _code(_LABEL_SOURCE, {"RANDOM": "A", "TARGETED": "C"}),
    },
    rate_columns={
        "MONEDA": "currency_code",
        "VIGENCIA": "strftime(valid_from, '%Y%m%d')",
        "UNIDADES_POR_USD": _plain("units_per_usd", 4),
    },
    quoted=frozenset(),
    file_name=lambda first, last: f"dua_{first.replace('-', '')}_{last.replace('-', '')}.txt",
    rates_file_name="tipo_cambio.txt",
    faults=FaultTexts(
        number="12O45.50",
        date="20240231",
        lane="9",
        fields={
            "declaration_id": "DUA",
            "registered_at": "FEC_REG",
            "hs6": "PARTIDA",
            "declared_value": "VALOR_CIF",
            "net_kg": "PESO_NETO_TM",
            "gross_kg": "PESO_BRUTO_TM",
            "lane_initial_code": "SELECTIVO",
        },
    ),
)

DIALECTS: dict[str, Dialect] = {"XA": XA, "XB": XB, "XC": XC}
