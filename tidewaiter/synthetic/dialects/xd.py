"""XD sends no declarations: yearly JSON documents shaped like answers of the UN Comtrade API.

Partners are M49 numbers; partners' exports come in the same shape.
"""

from __future__ import annotations

from tidewaiter.synthetic.dialects.spelling import Dialect, Fault, FileKind, Source, code, day, plain, text
from tidewaiter.synthetic.forms import JsonRows

# UN M49, where UN Comtrade has a number of its own that one (US 842, IN 699, FR 251).
# fmt: off
M49 = {
    "CN": "156", "US": "842", "DE": "276", "JP": "392", "IN": "699", "KR": "410", "IT": "380", "TR": "792",
    "FR": "251", "NL": "528", "TH": "764", "VN": "704", "BR": "76", "ZA": "710", "GB": "826", "ES": "724",
    "ID": "360", "MY": "458", "EG": "818", "MX": "484", "AE": "784", "PK": "586", "UG": "800", "TZ": "834",
    "CI": "384", "GH": "288", "NG": "566", "TG": "768", "CR": "188", "SV": "222", "HN": "340", "PL": "616",
    "SG": "702", "HK": "344", "PA": "591", "KE": "404", "GE": "268",
}
# fmt: on
_XD_M49 = "'999'"  # no country has it
_NUMBERS = frozenset(
    {
        "refYear",
        "refMonth",
        "reporterCode",
        "partnerCode",
        "partner2Code",
        "motCode",
        "netWgt",
        "grossWgt",
        "cifvalue",
        "fobvalue",
        "isReported",
        "isAggregate",
    }
)
_FORM = JsonRows(
    plain=_NUMBERS,
    before='{"elapsedTime": "0.31 secs", "nomenclature": "HS2022", "data": [\n',
    after="\n]}\n",
    separator=",\n",
)


def _records(source: Source) -> dict[str, str]:
    is_mirror = source == "mirror"
    country = code("partner_iso2", M49)
    found = {
        "freqCode": "'M'",
        "refYear": "cast(year(month) as varchar)",
        "refMonth": "cast(month(month) as varchar)",
        "period": day("month", "%Y%m"),
        "reporterCode": country if is_mirror else _XD_M49,
        "flowCode": "'X'" if is_mirror else "'M'",
        "partnerCode": _XD_M49 if is_mirror else country,
        "partner2Code": "'0'",
        "classificationCode": "'H6'",
        "cmdCode": text("hs6"),
        "customsCode": "'C00'",
        "motCode": "'0'",
        "netWgt": plain("net_kg", 3),
    }
    if not is_mirror:
        found |= {"grossWgt": plain("gross_kg", 3), "cifvalue": plain("cif_value_usd", 2)}
    return found | {
        "fobvalue": plain("fob_value_usd", 2),
        # As text, so that what is no number is still JSON.
        "primaryValue": plain("fob_value_usd" if is_mirror else "cif_value_usd", 2),
        "isReported": "'true'",
        "isAggregate": "'true'",
    }


XD = Dialect(
    declaration_id="cast(serial as varchar)",
    identifiers={},
    files=(
        FileKind(
            source="flows",
            columns=_records("flows"),
            form=_FORM,
            name=lambda first, last: f"imports_{first}_{last}.json",
            is_split=True,
            faults=(
                Fault("unparsable_number", "primary_value_usd", "primaryValue", "12O45.50"),
                Fault("missing_required", "hs_code", "cmdCode"),
                Fault("unknown_flow_code", "flow_code", "flowCode", "Q"),
            ),
        ),
        FileKind(
            source="mirror",
            columns=_records("mirror"),
            form=_FORM,
            name=lambda first, last: f"partner_exports_{first}_{last}.json",
            is_split=True,
        ),
    ),
)
