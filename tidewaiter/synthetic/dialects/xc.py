"""XC writes Spanish: pipe, dates as YYYYMMDD, lanes as numbers, mass in tonnes.

The tariff code is kept as a number, one file holds the whole period, the tariff is Parquet, the event log
a zip archive, and sums of trade come without a header line.
"""

from __future__ import annotations

from tidewaiter.synthetic.dialects.spelling import (
    CONTAINER,
    DOCUMENT,
    NET_ABOVE_GROSS,
    RAGGED_LONG,
    RAGGED_SHORT,
    Dialect,
    Fault,
    FileKind,
    code,
    day,
    flag,
    numbered,
    plain,
    spelt,
    text,
    time,
    whole,
)
from tidewaiter.synthetic.forms import Delimited, ParquetRows

_FORM = Delimited(delimiter="|")
_HEADLESS = Delimited(delimiter="|", has_header=False)
_DATE = "%Y%m%d"
_ID = "office_code || year || format('{:05d}', serial)"
_IDS = {
    "importer": "cast({0} * 7919 + 1000003 as varchar)",
    "declarant": "cast({0} + 1 as varchar)",
    "seller": "cast({0} + 5000 as varchar)",
    "courier": numbered("C", 2),
    "inspector": "cast({0} + 40 as varchar)",
    "supervisor": numbered("J", 2),
}
_LANES = {"RED": "1", "YELLOW": "2", "BLUE": "3", "GREEN": "4"}
_FINDINGS = {"CONFORM": "0", "VALUE": "1", "HS": "2", "ORIGIN": "3", "QTY": "4"}

_ITEMS = {
    "DUA": _ID,
    "NUM_ITEM": text("item_no"),
    "ADUANA": text("office_code"),
    "FEC_REG": time("registered_s", _DATE),
    "FEC_LEVANTE": time("released_s", _DATE),
    "FEC_ANULACION": time("cancelled_s", _DATE),
    "DOC_TRANSPORTE": DOCUMENT,
    "CONTENEDOR": CONTAINER,
    "NIT_IMPORTADOR": spelt(_IDS, "importer", "importer"),
    "OEA": flag("is_operator", "S", "N"),
    "AGENTE": spelt(_IDS, "declarant", "declarant"),
    "PROVEEDOR": spelt(_IDS, "seller", "seller"),
    # Stored as a number by the member's system: chapters 01 to 09 lose their leading zero.
    "PARTIDA": "cast(cast(cast(hs_national as varchar) as bigint) as varchar)",
    "PAIS_ORIGEN": text("origin_iso2"),
    "PAIS_PROCEDENCIA": text("dispatch_iso2"),
    "ACUERDO": flag("is_preferential", "TLC", ""),
    "PESO_BRUTO_TM": plain("gross_kg / 1000", 6),
    "PESO_NETO_TM": plain("net_kg / 1000", 6),
    "VALOR_CIF": plain("declared_value", 2),
    "TASA_DAI": plain("rate_pct", 2),
    "IMPUESTOS": plain("declared_tax", 2),
    "SELECTIVO": code("lane_code", _LANES),
    "SELECTIVO_FINAL": code("lane_final_code", _LANES),
    "TIPO_SELECTIVO": code("source_code", {"RANDOM": "A", "CRITERION": "C", "TOPUP": "R"}),
    "VENTANILLA": text("queue_code"),
    "VISTA_INICIAL": spelt(_IDS, "inspector", "inspector_first"),
    "VISTA_FINAL": spelt(_IDS, "inspector", "inspector_last"),
    "HALLAZGO": code("finding_code", _FINDINGS),
    "VALOR_AJUSTADO": plain("assessed_value", 2),
    "AJUSTE_IMPUESTOS": plain("recovered_tax", 2),
    "IRREGULAR": flag("is_irregular", "1", "0"),
    "GRAVE": flag("is_serious", "1", "0"),
    "FEC_HALLAZGO": time("label_s", _DATE),
    "ORIGEN_HALLAZGO": code("label_source_code", {"RANDOM": "A", "TARGETED": "C", "PCA": "P"}),
}

XC = Dialect(
    declaration_id=_ID,
    identifiers=_IDS,
    files=(
        FileKind(
            source="items",
            columns=_ITEMS,
            form=_FORM,
            name=lambda first, last: f"dua_{first.replace('-', '')}_{last.replace('-', '')}.txt",
            is_split=True,
            gross_column="PESO_BRUTO_TM",
            key_columns=("DUA", "NUM_ITEM"),
            faults=(
                Fault("unparsable_number", "declared_value", "VALOR_CIF", "12O45.50"),
                Fault("impossible_date", "registered_at", "FEC_REG", "20240231"),
                Fault("unknown_lane_code", "lane_initial_code", "SELECTIVO", "9"),
                Fault(NET_ABOVE_GROSS, "net_kg", "PESO_NETO_TM"),
                Fault("missing_required", "declaration_id", "DUA"),
                Fault(RAGGED_SHORT),
                Fault("missing_required", "hs6", "PARTIDA"),
                Fault("missing_required", "declared_value", "VALOR_CIF"),
                Fault(RAGGED_LONG),
            ),
        ),
        FileKind(
            source="events",
            columns={
                "DUA": _ID,
                "NUM_ITEM": text("item_no"),
                "SUCESO": text("event_code"),
                "FECHA": time("event_s", "%Y%m%d%H%M%S"),
                "ADUANA": text("office_code"),
                "VENTANILLA": text("queue_code"),
                "TURNO": text("shift_code"),
                "VISTA": spelt(_IDS, "inspector", "inspector"),
                "VISTA_ANTERIOR": spelt(_IDS, "inspector", "inspector_initial"),
                "JEFE": spelt(_IDS, "supervisor", "supervisor"),
                "CAMPO": text("changed_field"),
                "ANTES": text("from_value"),
                "DESPUES": text("to_value"),
                "MOTIVO": text("reason_code"),
            },
            form=_FORM,
            name=whole("sucesos.txt.zip"),
        ),
        FileKind(
            source="roster",
            columns={
                "ADUANA": text("office_code"),
                "FECHA": day("duty_date", _DATE),
                "TURNO": text("shift_code"),
                "VISTA": spelt(_IDS, "inspector", "inspector"),
                "VENTANILLA": text("team_code"),
                "DESDE": time("from_s", "%Y%m%d%H%M"),
                "HASTA": time("to_s", "%Y%m%d%H%M"),
            },
            form=_FORM,
            name=whole("turnos.txt"),
        ),
        FileKind(
            source="tariff",
            columns={
                "partida": text("hs_national"),
                "grupo": text("origin_group"),
                "acuerdo": code("preference", {"MFN": "NMF", "FTA": "TLC"}),
                "desde": day("valid_from", "%Y-%m-%d"),
                "hasta": day("valid_to", "%Y-%m-%d"),
                "tasa": plain("rate_pct", 2),
            },
            form=ParquetRows(),
            name=whole("arancel.parquet"),
        ),
        FileKind(
            source="rates",
            columns={
                "MONEDA": text("currency_code"),
                "VIGENCIA": day("valid_from", _DATE),
                "UNIDADES_POR_USD": plain("units_per_usd", 4),
            },
            form=_FORM,
            name=whole("tipo_cambio.txt"),
        ),
        FileKind(
            source="flows",
            columns={
                "MES": day("month", "%Y%m"),
                "SUBPARTIDA": text("hs6"),
                "PAIS": text("partner_iso2"),
                "CIF_USD": plain("cif_value_usd", 2),
                "FOB_USD": plain("fob_value_usd", 2),
                "NETO_TM": plain("net_kg / 1000", 6),
                "BRUTO_TM": plain("gross_kg / 1000", 6),
            },
            form=_HEADLESS,
            name=whole("comercio_mensual.txt"),
        ),
        FileKind(
            source="mirror",
            columns={
                "PAIS_DECLARANTE": text("partner_iso2"),
                "MES": day("month", "%Y%m"),
                "SUBPARTIDA": text("hs6"),
                "FOB_USD": plain("fob_value_usd", 2),
                "NETO_TM": plain("net_kg / 1000", 6),
            },
            form=_FORM,
            name=whole("exportaciones_socios.txt"),
        ),
    ),
)
