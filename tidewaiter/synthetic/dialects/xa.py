"""XA: comma, UTF-8, ISO times, half-yearly files.

The national code stands beside the subheading, the event log is compressed, and one column gets another
name in the middle of the first year.
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
    day,
    flag,
    numbered,
    plain,
    spelt,
    text,
    time,
    whole,
)
from tidewaiter.synthetic.forms import Delimited

_ISO = "%Y-%m-%dT%H:%M:%S"
_ID = "office_code || '-' || year || '-I' || format('{:06d}', serial)"
_IDS = {
    "importer": numbered("P05", 6, 37, 1201),
    "declarant": numbered("AG", 4, 1, 1),
    "seller": "'Exporter ' || format('{{:04d}}', {0}) || ', Ltd'",
    "courier": numbered("EXP", 2, 1, 1),
    "inspector": numbered("OFF", 3, 1, 100),
    "supervisor": numbered("SUP", 2, 1, 10),
}

_ITEMS = {
    "DECLARATION_NO": _ID,
    "ITEM_NO": text("item_no"),
    "OFFICE": text("office_code"),
    "REGISTERED": time("registered_s", _ISO),
    "SELECTED": time("lane_s", _ISO),
    "ASSIGNED": time("assigned_s", _ISO),
    "RELEASED": time("released_s", _ISO),
    "CANCELLED": time("cancelled_s", _ISO),
    "TYPE": "'IM4'",
    "CPC": "'4000'",
    "MODE": text("mode"),
    "BL_NO": f"'TWBL' || {DOCUMENT}",
    "CONTAINER": CONTAINER,
    "IMPORTER_PIN": spelt(_IDS, "importer", "importer"),
    "AEO": flag("is_operator", "Y", "N"),
    "AGENT": spelt(_IDS, "declarant", "declarant"),
    "SELLER": spelt(_IDS, "seller", "seller"),
    "COURIER": spelt(_IDS, "courier", "courier"),
    "HS6": text("hs6"),
    "COMMODITY_CODE": text("hs_national"),
    "ORIGIN": text("origin_iso2"),
    "DISPATCH": text("dispatch_iso2"),
    "PREFERENCE": flag("is_preferential", "FTA", ""),
    "GROSS_KG": plain("gross_kg", 3),
    "NET_KG": plain("net_kg", 3),
    "CURRENCY": text("currency_code"),
    "CIF_VALUE": plain("declared_value", 2),
    "DUTY_RATE": plain("rate_pct", 1),
    "TAXES": plain("declared_tax", 2),
    "LANE": text("lane_code"),
    "LANE_FINAL": text("lane_final_code"),
    "LANE_SOURCE": text("source_code"),
    "QUEUE": text("queue_code"),
    "OFFICER_FIRST": spelt(_IDS, "inspector", "inspector_first"),
    "OFFICER_LAST": spelt(_IDS, "inspector", "inspector_last"),
    "RESULT": text("finding_code"),
    "ASSESSED_VALUE": plain("assessed_value", 2),
    "RECOVERED_TAX": plain("recovered_tax", 2),
    "IRREGULAR": flag("is_irregular", "Y", "N"),
    "SERIOUS": flag("is_serious", "Y", "N"),
    "RESULT_KNOWN": time("label_s", _ISO),
    "RESULT_SOURCE": text("label_source_code"),
}

_EVENTS = {
    "DECLARATION_NO": _ID,
    "ITEM_NO": text("item_no"),
    "EVENT": text("event_code"),
    "AT": time("event_s", _ISO),
    "OFFICE": text("office_code"),
    "QUEUE": text("queue_code"),
    "SHIFT": text("shift_code"),
    "OFFICER": spelt(_IDS, "inspector", "inspector"),
    "OFFICER_BEFORE": spelt(_IDS, "inspector", "inspector_initial"),
    "ORDERED_BY": spelt(_IDS, "supervisor", "supervisor"),
    "FIELD": text("changed_field"),
    "FROM": text("from_value"),
    "TO": text("to_value"),
    "REASON": text("reason_code"),
}

XA = Dialect(
    declaration_id=_ID,
    identifiers=_IDS,
    files=(
        FileKind(
            source="items",
            columns=_ITEMS,
            form=Delimited(quoted=frozenset({"SELLER"})),
            name=lambda first, last: f"import_items_{first}_{last}.csv",
            is_split=True,
            gross_column="GROSS_KG",
            renamed={"TAXES": "TAXES_ASSESSED"},
            key_columns=("DECLARATION_NO", "ITEM_NO"),
            faults=(
                Fault("unparsable_number", "declared_value", "CIF_VALUE", "12O45.50"),
                Fault("impossible_date", "registered_at", "REGISTERED", "2024-02-31T10:15:00"),
                Fault("unknown_lane_code", "lane_initial_code", "LANE", "PURPLE"),
                Fault(NET_ABOVE_GROSS, "net_kg", "NET_KG"),
                Fault("missing_required", "declaration_id", "DECLARATION_NO"),
                Fault(RAGGED_SHORT),
                Fault("missing_required", "hs6", "HS6"),
                Fault("missing_required", "declared_value", "CIF_VALUE"),
                Fault(RAGGED_LONG),
            ),
        ),
        FileKind(
            source="events",
            columns=_EVENTS,
            form=Delimited(),
            name=whole("events.csv.gz"),
        ),
        FileKind(
            source="roster",
            columns={
                "OFFICE": text("office_code"),
                "DUTY_DATE": day("duty_date", "%Y-%m-%d"),
                "SHIFT": text("shift_code"),
                "OFFICER": spelt(_IDS, "inspector", "inspector"),
                "QUEUE": text("team_code"),
                "FROM": time("from_s", _ISO),
                "TO": time("to_s", _ISO),
            },
            form=Delimited(),
            name=whole("duty_roster.csv"),
        ),
        FileKind(
            source="tariff",
            columns={
                "COMMODITY_CODE": text("hs_national"),
                "ORIGIN_GROUP": text("origin_group"),
                "PREFERENCE": text("preference"),
                "VALID_FROM": day("valid_from", "%Y-%m-%d"),
                "VALID_TO": day("valid_to", "%Y-%m-%d"),
                "RATE": plain("rate_pct", 1),
            },
            form=Delimited(),
            name=whole("tariff.csv"),
        ),
        FileKind(
            source="rates",
            columns={
                "CURRENCY": text("currency_code"),
                "VALID_FROM": day("valid_from", "%Y-%m-%d"),
                "UNITS_PER_USD": plain("units_per_usd", 4),
            },
            form=Delimited(),
            name=whole("exchange_rates.csv"),
        ),
        FileKind(
            source="flows",
            columns={
                "PERIOD": day("month", "%Y-%m"),
                "HS6": text("hs6"),
                "PARTNER": text("partner_iso2"),
                "CIF_USD": plain("cif_value_usd", 2),
                "FOB_USD": plain("fob_value_usd", 2),
                "NET_KG": plain("net_kg", 3),
                "GROSS_KG": plain("gross_kg", 3),
            },
            form=Delimited(),
            name=whole("trade_by_month.csv"),
        ),
        FileKind(
            source="mirror",
            columns={
                "REPORTER": text("partner_iso2"),
                "PERIOD": day("month", "%Y-%m"),
                "HS6": text("hs6"),
                "FOB_USD": plain("fob_value_usd", 2),
                "NET_KG": plain("net_kg", 3),
            },
            form=Delimited(),
            name=whole("partner_exports.csv"),
        ),
    ),
)
