"""XE lives of parcels: JSON lines with nested objects, one item each, monthly and compressed.

Values are FOB with freight and insurance beside them, and what an intervention changes is a second version
of the item; the tariff is Parquet, the event log JSON lines, sums of trade are arrays.
"""

from __future__ import annotations

from tidewaiter.synthetic.dialects.spelling import (
    CONTAINER,
    DOCUMENT,
    NET_ABOVE_GROSS,
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
from tidewaiter.synthetic.forms import Delimited, JsonArrays, JsonRows, ParquetRows

_ISO = "%Y-%m-%dT%H:%M:%S+08:00"
_ID = "'K1-' || office_code || '-' || year || '-' || format('{:07d}', serial)"
_IDS = {
    "importer": numbered("C", 8, 101, 20_011),
    "declarant": numbered("agent-", 3),
    "seller": numbered("shop-", 5),
    "courier": numbered("post-", 2),
    "inspector": numbered("pg-", 3, 3, 100),
    "supervisor": numbered("pk-", 2),
}
_OUTCOMES = (
    *("finding_code", "assessed_value", "recovered_tax", "is_irregular", "is_serious"),
    *("label_s", "label_source_code"),
)
# Terms of sale as shops write them, by the number of the document (assumed).
_TERMS = ("EXW", "FCA", "FOB", "C&F", "CIF", "CPT", "DAP", "DDP")
_MODES = {"1": "sea", "3": "road", "4": "air"}
_FOB_SHARE = "(declared_value - freight - insurance)"

# An intervention makes a second version of the item; only that one says what was found.
_VERSIONS = (
    "select * replace ("
    + ", ".join(f"if(version = 1 and has_second, null, {one}) as {one}" for one in _OUTCOMES)
    + ") from (select *, unnest(if(has_second, [1, 2], [1])) as version from"
    " (select *, coalesce(finding_code <> 'CONFORM', false) as has_second from drawn))"
)

_ITEMS = {
    "declaration.version": text("version"),
    "declaration.id": _ID,
    "declaration.item": text("item_no"),
    "declaration.office": text("office_code"),
    "declaration.registered": time("registered_s", _ISO),
    "declaration.cancelled": time("cancelled_s", _ISO),
    "transport.mode": code("mode", _MODES),
    "transport.document": f"'AWB' || {DOCUMENT}",
    "transport.container": CONTAINER,
    "transport.dispatch": text("dispatch_iso2"),
    "parties.consignee": spelt(_IDS, "importer", "importer"),
    "parties.trusted": flag("is_operator", "true", "false"),
    "parties.agent": spelt(_IDS, "declarant", "declarant"),
    "parties.shop": spelt(_IDS, "seller", "seller"),
    "parties.courier": spelt(_IDS, "courier", "courier"),
    "goods.hs": text("hs_national"),
    "goods.origin": code("origin_iso2", iso_codes("numeric")),
    "goods.preference": flag("is_preferential", "AFTA", ""),
    "goods.procedure": flag("is_relieved", "4000C07", "4000"),
    "goods.gross_g": plain("gross_kg * 1000", 0),
    "goods.net_g": plain("net_kg * 1000", 0),
    "value.term": f"list_extract({list(_TERMS)}, cast(document % {len(_TERMS)} as integer) + 1)",
    "value.currency": text("currency_code"),
    "value.fob": plain(_FOB_SHARE, 2),
    "value.freight": plain("freight", 2),
    "value.insurance": plain("insurance", 2),
    "value.duty_rate": plain("rate_pct", 1),
    "value.taxes": plain("declared_tax", 2),
    "control.lane": code("lane_code", {"RED": "R", "YELLOW": "Y", "BLUE": "B", "GREEN": "G"}),
    "control.lane_final": code("lane_final_code", {"RED": "R", "YELLOW": "Y", "BLUE": "B", "GREEN": "G"}),
    "control.source": text("source_code"),
    "control.selected": time("lane_s", _ISO),
    "control.assigned": time("assigned_s", _ISO),
    "control.released": time("released_s", _ISO),
    "control.queue": text("queue_code"),
    "control.officer": spelt(_IDS, "inspector", "inspector_first"),
    "control.officer_final": spelt(_IDS, "inspector", "inspector_last"),
    "result.finding": text("finding_code"),
    "result.fob": plain("(assessed_value * (declared_value - freight - insurance) / declared_value)", 2),
    "result.recovered": plain("recovered_tax", 2),
    "result.irregular": flag("is_irregular", "true", "false"),
    "result.serious": flag("is_serious", "true", "false"),
    "result.known": time("label_s", _ISO),
    "result.source": text("label_source_code"),
}
_BARE = {
    "parties.trusted",
    "result.irregular",
    "result.serious",
    "declaration.item",
    "value.duty_rate",
    "declaration.version",
}

XE = Dialect(
    declaration_id=_ID,
    identifiers=_IDS,
    files=(
        FileKind(
            source="items",
            columns=_ITEMS,
            form=JsonRows(plain=frozenset(_BARE)),
            rows=_VERSIONS,
            name=lambda first, last: f"parcels_{first}.jsonl.zst",
            is_split=True,
            gross_column="goods.gross_g",
            key_columns=("declaration.id", "declaration.item"),
            faults=(
                Fault("unparsable_number", "declared_value", "value.fob", "12O45.50"),
                Fault(
                    "impossible_date", "registered_at", "declaration.registered", "2024-02-31T10:15:00+08:00"
                ),
                Fault("unknown_lane_code", "lane_initial_code", "control.lane", "P"),
                Fault(NET_ABOVE_GROSS, "net_kg", "goods.net_g"),
                Fault("missing_required", "declaration_id", "declaration.id"),
                Fault(RAGGED_SHORT),
                Fault("missing_required", "hs6", "goods.hs"),
                Fault("missing_required", "declared_value", "value.fob"),
            ),
        ),
        FileKind(
            source="events",
            columns={
                "declaration": _ID,
                "item": text("item_no"),
                "event.code": text("event_code"),
                "event.at": time("event_s", _ISO),
                "event.office": text("office_code"),
                "event.queue": text("queue_code"),
                "event.shift": text("shift_code"),
                "by.officer": spelt(_IDS, "inspector", "inspector"),
                "by.before": spelt(_IDS, "inspector", "inspector_initial"),
                "by.ordered": spelt(_IDS, "supervisor", "supervisor"),
                "change.field": text("changed_field"),
                "change.from": text("from_value"),
                "change.to": text("to_value"),
                "change.reason": text("reason_code"),
            },
            form=JsonRows(plain=frozenset({"item"})),
            name=lambda first, last: f"events_{first}.jsonl.zst",
            is_split=True,
        ),
        FileKind(
            source="roster",
            columns={
                "office": text("office_code"),
                "date": day("duty_date", "%Y-%m-%d"),
                "shift": text("shift_code"),
                "officer": spelt(_IDS, "inspector", "inspector"),
                "queue": text("team_code"),
                "from": time("from_s", _ISO),
                "to": time("to_s", _ISO),
            },
            form=JsonRows(before="[\n", after="\n]\n", separator=",\n"),
            name=whole("roster.json"),
        ),
        FileKind(
            source="tariff",
            columns={
                "code": text("hs_national"),
                "group": text("origin_group"),
                "preference": code("preference", {"MFN": "MFN", "FTA": "AFTA"}),
                "from": day("valid_from", "%Y-%m-%d"),
                "to": day("valid_to", "%Y-%m-%d"),
                "rate": plain("rate_pct", 1),
            },
            form=ParquetRows(),
            name=whole("tariff.parquet"),
        ),
        FileKind(
            source="rates",
            columns={
                "currency": text("currency_code"),
                "from": day("valid_from", "%Y-%m-%d"),
                "per_usd": plain("units_per_usd", 4),
            },
            form=Delimited(delimiter="\t"),
            name=whole("rates.tsv"),
        ),
        FileKind(
            source="flows",
            columns={
                "period": day("month", "%Y-%m"),
                "hs6": text("hs6"),
                "partner": text("partner_iso2"),
                "cif_usd": plain("cif_value_usd", 2),
                "fob_usd": plain("fob_value_usd", 2),
                "net_kg": plain("net_kg", 3),
                "gross_kg": plain("gross_kg", 3),
            },
            form=JsonArrays(),
            name=whole("trade.json"),
        ),
        FileKind(
            source="mirror",
            columns={
                "reporter": text("partner_iso2"),
                "period": day("month", "%Y-%m"),
                "hs6": text("hs6"),
                "fob_usd": plain("fob_value_usd", 2),
                "net_kg": plain("net_kg", 3),
            },
            form=JsonRows(),
            name=whole("partner_exports.jsonl"),
        ),
    ),
)
