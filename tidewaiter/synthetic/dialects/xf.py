"""XF, landlocked: fixed width without a header line, headers and items in files of their own.

Days are DDMMYYYY, the tariff is XML, the rates come with a decimal comma, a year on each line.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    iso_codes,
    numbered,
    plain,
    spelt,
    text,
    time,
    whole,
)
from tidewaiter.synthetic.forms import FixedWidth, XmlRows

_TIME = "%d%m%Y%H%M%S"
_ID = "office_code || year || format('{:07d}', serial)"
_IDS = {
    "importer": numbered("TIN", 8, 13, 1_000_003),
    "declarant": numbered("D", 4),
    "seller": numbered("S", 6),
    "courier": numbered("Q", 2),
    "inspector": numbered("X", 4, 5, 17),
    "supervisor": numbered("Y", 3),
}
_MODES = {"1": "M", "3": "R", "4": "A"}
_LANE = {"RED": "R", "YELLOW": "Y", "BLUE": "B", "GREEN": "G"}
_FOB = "(declared_value - freight - insurance)"
_Places = Mapping[str, tuple[str, int]]

_HEADERS: _Places = {
    "declaration": (_ID, 14),
    "office": (text("office_code"), 3),
    "registered": (time("registered_s", _TIME), 14),
    "selected": (time("lane_s", _TIME), 14),
    "assigned": (time("assigned_s", _TIME), 14),
    "released": (time("released_s", _TIME), 14),
    "mode": (code("mode", _MODES), 1),
    "dispatch": (text("dispatch_iso2"), 2),
    "importer": (spelt(_IDS, "importer", "importer"), 12),
    "declarant": (spelt(_IDS, "declarant", "declarant"), 6),
    "seller": (spelt(_IDS, "seller", "seller"), 8),
    "courier": (spelt(_IDS, "courier", "courier"), 4),
    "trusted": (flag("is_operator", "1", "0"), 1),
    "transport_document": (f"'RWB' || {DOCUMENT}", 12),
    "container": (CONTAINER, 11),
    "cancelled": (time("cancelled_s", _TIME), 14),
    "queue": (text("queue_code"), 3),
    "currency": (text("currency_code"), 3),
    "lane": (code("lane_code", _LANE), 1),
    "lane_final": (code("lane_final_code", _LANE), 1),
    "lane_source": (text("source_code"), 9),
    "officer_first": (spelt(_IDS, "inspector", "inspector_first"), 6),
    "officer_last": (spelt(_IDS, "inspector", "inspector_last"), 6),
}
_ITEMS: _Places = {
    "declaration": (_ID, 14),
    "item": (text("item_no"), 3),
    "hs": (text("hs_national"), 8),
    "origin": (code("origin_iso2", iso_codes("alpha_3")), 3),
    "preference": (flag("is_preferential", "COM", ""), 3),
    "gross_kg": (plain("gross_kg", 3), 18),
    "net_kg": (plain("net_kg", 3), 18),
    "fob": (plain(_FOB, 2), 18),
    "freight": (plain("freight", 2), 16),
    "insurance": (plain("insurance", 2), 16),
    "rate": (plain("rate_pct", 1), 5),
    "taxes": (plain("declared_tax", 2), 18),
    "finding": (text("finding_code"), 8),
    "assessed_fob": (plain(f"(assessed_value * {_FOB} / declared_value)", 2), 18),
    "recovered": (plain("recovered_tax", 2), 18),
    "irregular": (flag("is_irregular", "1", "0"), 1),
    "serious": (flag("is_serious", "1", "0"), 1),
    "known": (time("label_s", _TIME), 14),
    "known_by": (text("label_source_code"), 8),
}
_EVENTS: _Places = {
    "declaration": (_ID, 14),
    "item": (text("item_no"), 3),
    "event": (text("event_code"), 10),
    "at": (time("event_s", _TIME), 14),
    "office": (text("office_code"), 3),
    "queue": (text("queue_code"), 3),
    "shift": (text("shift_code"), 5),
    "officer": (spelt(_IDS, "inspector", "inspector"), 6),
    "officer_before": (spelt(_IDS, "inspector", "inspector_initial"), 6),
    "ordered_by": (spelt(_IDS, "supervisor", "supervisor"), 5),
    "field": (text("changed_field"), 14),
    "from": (text("from_value"), 18),
    "to": (text("to_value"), 18),
    "reason": (text("reason_code"), 10),
}
_ROSTER: _Places = {
    "office": (text("office_code"), 3),
    "date": (day("duty_date", "%d%m%Y"), 8),
    "shift": (text("shift_code"), 5),
    "officer": (spelt(_IDS, "inspector", "inspector"), 6),
    "queue": (text("team_code"), 3),
    "from": (time("from_s", _TIME), 14),
    "to": (time("to_s", _TIME), 14),
}
_MONTHS = tuple(f"{month:02d}" for month in range(1, 13))
# One line a year, a block for each month.
_RATES: _Places = {
    "currency": (text("currency_code"), 3),
    "year": (text("year"), 4),
    **{f"m{month}": (f"replace(format('{{:.4f}}', m{month}), '.', ',')", 14) for month in _MONTHS},
}
_RATES_BY_YEAR = (
    "select year(valid_from) as year, "
    + ", ".join(
        f"max(units_per_usd) filter (month(valid_from) = {int(month)}) as m{month}" for month in _MONTHS
    )
    + " from drawn group by all order by all"
)
_FLOWS: _Places = {
    "period": (day("month", "%Y%m"), 6),
    "hs6": (text("hs6"), 6),
    "partner": (text("partner_iso2"), 2),
    "cif_usd": (plain("cif_value_usd", 2), 18),
    "fob_usd": (plain("fob_value_usd", 2), 18),
    "net_kg": (plain("net_kg", 3), 18),
    "gross_kg": (plain("gross_kg", 3), 18),
}
_MIRROR: _Places = {
    "reporter": (text("partner_iso2"), 2),
    "period": (day("month", "%Y%m"), 6),
    "hs6": (text("hs6"), 6),
    "fob_usd": (plain("fob_value_usd", 2), 18),
    "net_kg": (plain("net_kg", 3), 18),
}


def _columns(places: _Places) -> dict[str, str]:
    return {name: sql for name, (sql, _) in places.items()}


def _form(places: _Places) -> FixedWidth:
    return FixedWidth({name: width for name, (_, width) in places.items()})


XF = Dialect(
    declaration_id=_ID,
    identifiers=_IDS,
    files=(
        FileKind(
            source="headers",
            columns=_columns(_HEADERS),
            form=_form(_HEADERS),
            name=lambda first, last: f"HDR{first.replace('-', '')}.DAT",
            is_split=True,
            key_columns=("declaration", ""),
            faults=(
                Fault("impossible_date", "registered_at", "registered", "31022024101500"),
                Fault("unknown_lane_code", "lane_initial_code", "lane", "P"),
            ),
        ),
        FileKind(
            source="items",
            columns=_columns(_ITEMS),
            form=_form(_ITEMS),
            name=lambda first, last: f"ITM{first.replace('-', '')}.DAT",
            is_split=True,
            gross_column="gross_kg",
            key_columns=("declaration", "item"),
            faults=(
                Fault("unparsable_number", "declared_value", "fob", "12O45.50"),
                Fault(NET_ABOVE_GROSS, "net_kg", "net_kg"),
                Fault("missing_required", "declaration_id", "declaration"),
                Fault(RAGGED_SHORT),
                Fault("missing_required", "hs6", "hs"),
                Fault("missing_required", "declared_value", "fob"),
                Fault(RAGGED_LONG),
            ),
        ),
        FileKind(
            source="events",
            columns=_columns(_EVENTS),
            form=_form(_EVENTS),
            name=lambda first, last: f"EVT{first.replace('-', '')}.DAT.gz",
            is_split=True,
        ),
        FileKind(source="roster", columns=_columns(_ROSTER), form=_form(_ROSTER), name=whole("ROSTER.DAT")),
        FileKind(
            source="tariff",
            columns={
                "Code": text("hs_national"),
                "OriginGroup": text("origin_group"),
                "Preference": code("preference", {"MFN": "MFN", "FTA": "COM"}),
                "ValidFrom": day("valid_from", "%Y-%m-%d"),
                "ValidTo": day("valid_to", "%Y-%m-%d"),
                "Rate": plain("rate_pct", 1),
            },
            form=XmlRows(record="Line", root="Tariff", above={"Edition": "HS2022"}),
            name=whole("TARIFF.XML"),
        ),
        FileKind(
            source="rates",
            columns=_columns(_RATES),
            form=_form(_RATES),
            name=whole("RATES.DAT"),
            rows=_RATES_BY_YEAR,
        ),
        FileKind(source="flows", columns=_columns(_FLOWS), form=_form(_FLOWS), name=whole("TRADE_H6.DAT")),
        FileKind(source="mirror", columns=_columns(_MIRROR), form=_form(_MIRROR), name=whole("PARTNERS.DAT")),
    ),
)
