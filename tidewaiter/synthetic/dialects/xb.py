"""XB writes French: semicolon, Latin-1, decimal comma, blanks between thousands, DD/MM/YY.

Files are quarterly, rates daily; the tariff is a workbook.
"""

from __future__ import annotations

from dataclasses import replace

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
    french,
    numbered,
    spelt,
    text,
    time,
    whole,
)
from tidewaiter.synthetic.forms import Delimited, Workbook

_FORM = Delimited(delimiter=";", encoding="latin-1", null_text="-")
_MONTHLY = replace(_FORM, title="Commerce extérieur par mois")
_TIME = "%d/%m/%y %H:%M"
_ID = "year || '/' || office_code || '/' || serial"
_IDS = {
    "importer": numbered("IFU", 7, 53, 300017),
    "declarant": numbered("CAD", 3, 1, 1),
    "seller": numbered("F", 5),
    "courier": numbered("M", 2),
    "inspector": numbered("I", 3, 7, 11),
    "supervisor": numbered("CB", 2, 3, 5),
}
_LANES = {"RED": "ROUGE", "YELLOW": "JAUNE", "BLUE": "BLEU", "GREEN": "VERT"}
_SOURCES = {"RANDOM": "ALÉATOIRE", "CRITERION": "CRITÈRE", "TOPUP": "COMPLÉMENT"}
_FINDINGS = {
    "CONFORM": "CONFORME",
    "VALUE": "VALEUR",
    "HS": "ESPÈCE",
    "ORIGIN": "ORIGINE",
    "QTY": "QUANTITÉ",
}
_LABELS = {"RANDOM": "ALÉATOIRE", "TARGETED": "CIBLÉ", "PCA": "CONTRÔLE A POSTERIORI"}
_SHIFTS = {"DAY": "MATIN", "LATE": "SOIR", "NIGHT": "NUIT"}
_EVENTS = {
    "LANE_SET": "CIRCUIT",
    "ASSIGNED": "AFFECTATION",
    "REASSIGNED": "RÉAFFECTATION",
    "ACT": "PROCÈS-VERBAL",
    "AMENDED": "RECTIFICATION",
    "RELEASED": "MAINLEVÉE",
    "CANCELLED": "ANNULATION",
    "AUDITED": "CONTRÔLE",
}

_ITEMS = {
    "N° déclaration": _ID,
    "Article": text("item_no"),
    "Bureau": text("office_code"),
    "Date d'enregistrement": time("registered_s", _TIME),
    "Date de sélection": time("lane_s", _TIME),
    "Date d'affectation": time("assigned_s", _TIME),
    "Date de mainlevée": time("released_s", _TIME),
    "Date d'annulation": time("cancelled_s", _TIME),
    "Régime": "'4000'",
    "Connaissement": f"'CN' || {DOCUMENT}",
    "Conteneur": CONTAINER,
    "Importateur": spelt(_IDS, "importer", "importer"),
    "OEA": flag("is_operator", "OUI", "NON"),
    "Déclarant": spelt(_IDS, "declarant", "declarant"),
    "Expéditeur": spelt(_IDS, "seller", "seller"),
    "Messagerie": spelt(_IDS, "courier", "courier"),
    "Espèce tarifaire": text("hs_national"),
    "Pays d'origine": text("origin_iso2"),
    "Pays de provenance": text("dispatch_iso2"),
    "Préférence": flag("is_preferential", "ALE", "-"),
    "Poids brut (kg)": french("gross_kg", 3),
    "Poids net (kg)": french("net_kg", 3),
    "Valeur déclarée": french("declared_value", 2),
    "Taux": french("rate_pct", 1),
    "Droits et taxes": french("declared_tax", 2),
    "Circuit": code("lane_code", _LANES),
    "Circuit final": code("lane_final_code", _LANES),
    "Motif du circuit": code("source_code", _SOURCES),
    "Guichet": text("queue_code"),
    "Inspecteur désigné": spelt(_IDS, "inspector", "inspector_first"),
    "Inspecteur liquidateur": spelt(_IDS, "inspector", "inspector_last"),
    "Constat": code("finding_code", _FINDINGS),
    "Valeur retenue": french("assessed_value", 2),
    "Redressement": french("recovered_tax", 2),
    "Irrégularité": flag("is_irregular", "OUI", "NON"),
    "Infraction grave": flag("is_serious", "OUI", "NON"),
    "Date du constat": time("label_s", _TIME),
    "Origine du constat": code("label_source_code", _LABELS),
}

XB = Dialect(
    declaration_id=_ID,
    identifiers=_IDS,
    files=(
        FileKind(
            source="items",
            columns=_ITEMS,
            form=_FORM,
            name=lambda first, last: f"declarations_{first[:4]}_T{(int(first[5:]) + 2) // 3}.csv",
            is_split=True,
            gross_column="Poids brut (kg)",
            key_columns=("N° déclaration", "Article"),
            faults=(
                Fault("unparsable_number", "declared_value", "Valeur déclarée", "12 O45,50"),
                Fault("impossible_date", "registered_at", "Date d'enregistrement", "31/02/24 10:15"),
                Fault("unknown_lane_code", "lane_initial_code", "Circuit", "MAUVE"),
                Fault(NET_ABOVE_GROSS, "net_kg", "Poids net (kg)"),
                Fault("missing_required", "declaration_id", "N° déclaration"),
                Fault(RAGGED_SHORT),
                Fault("missing_required", "hs6", "Espèce tarifaire"),
                Fault("missing_required", "declared_value", "Valeur déclarée"),
                Fault(RAGGED_LONG),
            ),
        ),
        FileKind(
            source="events",
            columns={
                "N° déclaration": _ID,
                "Article": text("item_no"),
                "Événement": code("event_code", _EVENTS),
                "Date": time("event_s", "%d/%m/%y %H:%M:%S"),
                "Bureau": text("office_code"),
                "Guichet": text("queue_code"),
                "Vacation": code("shift_code", _SHIFTS),
                "Inspecteur": spelt(_IDS, "inspector", "inspector"),
                "Inspecteur précédent": spelt(_IDS, "inspector", "inspector_initial"),
                "Chef de bureau": spelt(_IDS, "supervisor", "supervisor"),
                "Champ": text("changed_field"),
                "Avant": text("from_value"),
                "Après": text("to_value"),
                "Motif": text("reason_code"),
            },
            form=_FORM,
            name=whole("evenements.csv"),
        ),
        FileKind(
            source="roster",
            columns={
                "Bureau": text("office_code"),
                # The planning tool was replaced after the first year: it writes years of two digits.
                "Jour": "if(year(duty_date) = 2024, "
                f"{day('duty_date', '%d/%m/%Y')}, {day('duty_date', '%d/%m/%y')})",
                "Vacation": code("shift_code", _SHIFTS),
                "Inspecteur": spelt(_IDS, "inspector", "inspector"),
                "Guichet": text("team_code"),
                "De": time("from_s", "%d/%m/%Y %H:%M"),
                "À": time("to_s", "%d/%m/%Y %H:%M"),
            },
            form=_FORM,
            name=whole("vacations.csv"),
        ),
        FileKind(
            source="tariff",
            columns={
                "Espèce tarifaire": text("hs_national"),
                "Groupe d'origine": code("origin_group", {"ALL": "TOUS", "FTA": "ALE"}),
                "Régime": code("preference", {"MFN": "NPF", "FTA": "ALE"}),
                "Valable du": day("valid_from", "%d/%m/%Y"),
                "Valable au": day("valid_to", "%d/%m/%Y"),
                "Taux": french("rate_pct", 1),
            },
            form=Workbook("Tarif"),
            name=whole("tarif.xlsx"),
        ),
        FileKind(
            source="rates",
            columns={
                "Devise": text("currency_code"),
                "Date d'effet": day("valid_from", "%d/%m/%y"),
                "Unités par USD": french("units_per_usd", 4),
            },
            form=_FORM,
            name=whole("taux_de_change.csv"),
        ),
        FileKind(
            source="flows",
            columns={
                "Mois": day("month", "%m/%Y"),
                "Position": text("hs6"),
                "Partenaire": text("partner_iso2"),
                "Valeur CAF (USD)": french("cif_value_usd", 2),
                "Valeur FAB (USD)": french("fob_value_usd", 2),
                "Poids net (kg)": french("net_kg", 3),
                "Poids brut (kg)": french("gross_kg", 3),
            },
            form=_MONTHLY,
            name=whole("commerce_mensuel.csv"),
        ),
        FileKind(
            source="mirror",
            columns={
                "Pays déclarant": text("partner_iso2"),
                "Mois": day("month", "%m/%Y"),
                "Position": text("hs6"),
                "Valeur FAB (USD)": french("fob_value_usd", 2),
                "Poids net (kg)": french("net_kg", 3),
            },
            form=_FORM,
            name=whole("exportations_des_partenaires.csv"),
        ),
    ),
)
