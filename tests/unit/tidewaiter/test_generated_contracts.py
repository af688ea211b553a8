"""Generated files under generated contracts: whatever the form, what was written is what lands.

Hypothesis draws a table, a form to write it in (format, encoding, delimiter, quotes, marks of numbers,
dates, spellings of "no value", header, line ends, packing) and the contract that says so.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tidewaiter.contracts.formats import join_path
from tidewaiter.landing import pieces

BLANKS = " \t\r\n\v\f\u00a0"
WIDTH = 30
FIELDS = ["id", "item", "registered", "office", "hs", "value", "procedure", "lane", "unused"]
CANONICAL = {
    "declaration_id": "id",
    "item_no": "item",
    "registered_at": "registered",
    "office_code": "office",
    "hs6": "hs",
    "declared_value": "value",
    "procedure_code": "procedure",
    "lane_initial_code": "lane",
}
LANES = {"R": "RED", "verde": "GREEN", "'": "BLUE"}
ENCODINGS = ["utf-8", "utf-8-sig", "latin-1", "cp1252", "cp1251", "utf-16", "gb18030", "shift_jis", "cp037"]
DATES = ["%Y-%m-%d", "%d/%m/%Y %H:%M", "%Y%m%d", "%d-%b-%y", "%d.%m.%Y %H:%M:%S", "%m/%d/%y", "%d%m%Y", ""]
NULLS = ["-", "NULL", "N/A", "\\N", "0000"]
ZONES = {"UTC": 0, "Asia/Tokyo": 9, "America/Lima": -5}

awkward = st.text(
    st.one_of(
        st.sampled_from(list("\"';,|\t \n\\=-+@_#%{}[]<>&é€ßЖ中\U0001f600\u0301\u00a0\u2028")),
        st.characters(exclude_categories=["Cs"], exclude_characters="\r"),
    ),
    max_size=8,
)
amounts = st.one_of(
    st.decimals(0, 10**7, places=2),
    st.decimals(0, 1, places=4),
    st.decimals(10**13, 10**14 - 1, places=4),
    st.sampled_from([Decimal(0), Decimal("0.0001"), Decimal(1000), Decimal("99999999999999.9999")]),
)


@dataclass(frozen=True)
class Row:
    """One record: its values, or the field that is written wrongly."""

    number: int
    registered: datetime
    value: Decimal
    procedure: str
    lane: str
    fault: str | None

    @property
    def id(self) -> str:
        return f"K{self.number}"


@dataclass(frozen=True)
class Form:
    """How the table is written."""

    kind: str
    encoding: str
    delimiter: str
    quote: str
    escape: str | None
    header: bool
    skip: int
    line_end: str
    decimal: str
    thousands: str | None
    date: str
    nulls: tuple[str, ...]
    zone: str
    names: tuple[str, ...]
    packing: str
    numbers_as_numbers: bool

    @property
    def is_text(self) -> bool:
        return self.kind in ("csv", "fixed_width")

    def can_write(self, text: str) -> bool:
        """Whether a text can stand in this form at all."""
        forbidden = {
            "csv": "" if self.quote else f"\n{self.delimiter[0]}",
            "fixed_width": "\n",
            "parquet": "",
        }.get(self.kind, "")
        if self.kind == "csv" and self.line_end == "\r":
            forbidden += "\n"
        if self.kind in ("xml", "excel") and re.search(
            "[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text
        ):
            return False
        if self.kind == "excel" and re.search("_x|^[#=]", text):
            return False  # its own spelling of control characters; what it takes for a formula or an error
        if set(text) & set(forbidden) or len(text) > WIDTH:
            return False
        try:
            return text.encode(self.encoding).decode(self.encoding) == text
        except UnicodeError:
            return False

    def amount(self, value: Decimal) -> str:
        text = f"{value:,f}" if self.thousands else f"{value:f}"
        marks = {",": self.thousands or "", ".": self.decimal}
        return "".join(marks.get(mark, mark) for mark in text)

    def moment(self, moment: datetime) -> str:
        return moment.strftime(self.date) if self.date else moment.isoformat(sep=" ")


@st.composite
def forms(draw: Any) -> Form:
    kind = draw(
        st.sampled_from(
            [
                "csv",
                "csv",
                "csv",
                "fixed_width",
                "lines",
                "array",
                "arrays",
                "document",
                "xml",
                "parquet",
                "excel",
            ]
        )
    )
    decimal = draw(st.sampled_from(".,"))
    delimiter = draw(st.sampled_from([",", ";", "|", "\t", "||", "\x1f"]))
    quote = draw(st.sampled_from(['"', '"', "'", ""]))
    encoding = draw(st.sampled_from(ENCODINGS)) if kind in ("csv", "fixed_width", "lines") else "utf-8"
    header = draw(st.booleans())
    name = awkward.map(lambda text: " ".join(text.replace("\0", " ").split())[:10])
    free_names = kind in ("lines", "array", "arrays", "document", "parquet") or (kind == "csv" and quote)
    prefixes = (
        draw(st.lists(name, min_size=len(FIELDS), max_size=len(FIELDS))) if free_names else [""] * len(FIELDS)
    )
    form = Form(
        kind=kind,
        encoding=encoding,
        delimiter=delimiter,
        quote=quote,
        escape=draw(st.sampled_from([None, "\\"])) if quote else None,
        header=header,
        skip=draw(st.integers(0, 2)) if kind == "csv" else 0,
        line_end=draw(st.sampled_from(["\n", "\r\n", "\r", "mixed"])),
        decimal=decimal,
        thousands=draw(st.sampled_from([None, " ", "'", "." if decimal == "," else ","])),
        date=draw(st.sampled_from(DATES)),
        nulls=("", *draw(st.lists(st.sampled_from(NULLS), max_size=2, unique=True))),
        zone=draw(st.sampled_from([*ZONES])),
        names=(),
        packing=draw(st.sampled_from(["", "", "gz", "zst", "zip"])),
        numbers_as_numbers=draw(st.booleans()),
    )
    if form.thousands == delimiter or decimal == delimiter:
        form = Form(**vars(form) | {"thousands": None, "decimal": "."}) if delimiter != "." else form
    names = tuple(
        f"{prefix if form.can_write(prefix) else ''}c{place}" for place, prefix in enumerate(prefixes)
    )
    return Form(**vars(form) | {"names": names})


@st.composite
def tables(draw: Any, form: Form) -> list[Row]:
    rows = []
    whole_days = form.date and "%H" not in form.date
    # A file of nothing at all is an error of its own.
    may_be_empty = form.header if form.kind == "csv" else form.kind not in ("fixed_width", "lines")
    for number in range(draw(st.integers(0 if may_be_empty else 1, 7))):
        moment = datetime(2001, 1, 1) + timedelta(minutes=draw(st.integers(0, 25 * 365 * 24 * 60)))
        value = draw(amounts)
        if form.numbers_as_numbers and form.kind in ("parquet", "excel"):
            value = Decimal(str(round(float(value), 2))) if value < 10**12 else Decimal(1)
        text = draw(awkward)
        rows.append(
            Row(
                number,
                moment.replace(hour=0, minute=0) if whole_days else moment,
                value,
                text if form.can_write(text) else "plain",
                draw(st.sampled_from([*LANES])) if form.quote != "'" or form.kind != "csv" else "R",
                draw(st.sampled_from([None, None, None, "value", "registered", "hs", "office", "lane"])),
            )
        )
    return rows


def written(row: Row, form: Form) -> list[str]:
    """Return the texts of a record in the order of FIELDS."""
    right = {
        "id": row.id,
        "item": "1",
        "registered": form.moment(row.registered),
        "office": "S",
        "hs": "010121",
        "value": form.amount(row.value),
        "procedure": row.procedure,
        "lane": row.lane,
        "unused": row.procedure,
    }
    wrong = {"value": "x1", "registered": "31-31-31", "hs": "1x", "office": form.nulls[-1], "lane": "unknown"}
    if row.fault:
        right[row.fault] = wrong[row.fault]
    return list(right.values())


def as_csv(texts: list[list[str]], form: Form) -> str:
    above = [f"line {number} above" for number in range(form.skip)]
    lines = [csv_line(row, form) for row in ([list(form.names)] if form.header else []) + texts]
    ends = ["\n", "\r\n"] if form.line_end == "mixed" else [form.line_end]
    return "".join(line + ends[place % len(ends)] for place, line in enumerate(above + lines))


def csv_line(values: list[str], form: Form) -> str:
    if not form.quote:
        return form.delimiter.join(values)
    escaped = form.quote if form.escape is None else form.escape
    found = []
    for value in values:
        if form.escape:
            value = value.replace(form.escape, form.escape * 2)
        needs = any(mark in value for mark in (form.quote, *form.delimiter, "\n", "\\", " "))
        value = value.replace(form.quote, escaped + form.quote)
        found.append(f"{form.quote}{value}{form.quote}" if needs or form.escape else value)
    return form.delimiter.join(found)


def as_fixed_width(texts: list[list[str]], form: Form) -> str:
    ends = ["\n", "\r\n"] if form.line_end == "mixed" else [form.line_end]
    lines = ["".join(text.ljust(WIDTH) for text in row) for row in texts]
    return "".join(line + ends[place % len(ends)] for place, line in enumerate(lines))


def as_json(texts: list[list[str]], form: Form) -> str:
    records: list[Any] = [dict(zip(form.names, row, strict=True)) for row in texts]
    if form.kind == "lines":
        return "\n".join(number_bare(json.dumps(one, ensure_ascii=False), form) for one in records)
    if form.kind == "arrays":
        return json.dumps([list(form.names), *texts])
    if form.kind == "document":
        return number_bare(json.dumps({"a": {"b.c": records}, "n": len(records)}), form)
    return number_bare(json.dumps(records, indent=1), form)


def number_bare(text: str, form: Form) -> str:
    """Write the amounts as numbers of JSON instead of texts: whatever the marks of the texts are."""
    if not form.numbers_as_numbers:
        return text
    key = re.escape(json.dumps(form.names[5], ensure_ascii=form.kind != "lines"))
    marks = {form.decimal: ".", form.thousands or "": ""}

    def bare(found: re.Match[str]) -> str:
        return found[1] + "".join(marks.get(mark, mark) for mark in found[2])

    return re.sub(rf"({key}: )\"([0-9.,' ]+)\"", bare, text)


def as_xml(texts: list[list[str]], form: Form) -> str:
    records = []
    for row in texts:
        pairs = [*zip(form.names, row, strict=True)]
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in pairs[1:])
        records.append(f"<r {pairs[0][0]}={quoteattr(pairs[0][1])}>{inner}</r>")
    return f"<d xmlns='urn:x'>{''.join(records)}</d>"


def as_parquet(rows: list[Row], texts: list[list[str]], form: Form) -> bytes:
    columns: list[Any] = [
        pa.array([row[place] for row in texts], pa.string()) for place in range(len(FIELDS))
    ]
    if form.numbers_as_numbers and not any(row.fault == "value" for row in rows):
        columns[5] = pa.array([float(row.value) for row in rows], pa.float64())
    content = io.BytesIO()
    pq.write_table(pa.table(columns, names=list(form.names)), content)
    return content.getvalue()


def as_excel(rows: list[Row], texts: list[list[str]], form: Form) -> bytes:
    book = openpyxl.Workbook()
    book.active.append(list(form.names))
    for row, values in zip(rows, texts, strict=True):
        cells: list[Any] = [value or None for value in values]
        if form.numbers_as_numbers and row.fault != "value":
            cells[5] = float(row.value)
        book.active.append(cells)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def file_bytes(rows: list[Row], form: Form) -> bytes:
    texts = [written(row, form) for row in rows]
    match form.kind:
        case "csv":
            content = as_csv(texts, form).encode(form.encoding)
        case "fixed_width":
            content = as_fixed_width(texts, form).encode(form.encoding)
        case "xml":
            content = as_xml(texts, form).encode()
        case "parquet":
            content = as_parquet(rows, texts, form)
        case "excel":
            content = as_excel(rows, texts, form)
        case _:
            content = as_json(texts, form).encode(form.encoding)
    return packed(content, form.packing)


def packed(content: bytes, packing: str) -> bytes:
    if packing == "gz":
        return gzip.compress(content)
    if packing == "zst":
        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    if packing == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
            writer.writestr("inner/file", content)
        return archive.getvalue()
    return content


def contract_format(form: Form) -> dict[str, Any]:
    marks = {"decimal_mark": form.decimal, "thousands_mark": form.thousands}
    encoding = {"encoding": form.encoding}
    match form.kind:
        case "csv":
            own = {
                "delimiter": form.delimiter,
                "quote": form.quote,
                "escape": form.escape,
                "skip_lines": form.skip,
            }
            own |= {"header": form.header} | ({} if form.header else {"columns": list(form.names)})
            return marks | encoding | own
        case "fixed_width":
            columns = [{"name": name, "width": WIDTH} for name in form.names]
            return marks | encoding | {"kind": "fixed_width", "columns": columns}
        case "lines":
            return marks | encoding | {"kind": "json", "layout": "lines"}
        case "array":
            return marks | {"kind": "json"}
        case "arrays":
            return marks | {"kind": "json", "record": "array"}
        case "document":
            return marks | {"kind": "json", "layout": "document", "items": 'a."b.c"'}
        case "xml":
            return marks | {"kind": "xml", "record": "r"}
        case _:
            return marks | {"kind": form.kind}


def contract_for(form: Form, contract_of: Any) -> Any:
    def column(name: str) -> str:
        found = form.names[FIELDS.index(name)]
        if form.kind in ("lines", "array", "document"):
            return join_path([found])
        return f"@{found}" if form.kind == "xml" and name == "id" else found

    fields: dict[str, Any] = {field: {"column": column(name)} for field, name in CANONICAL.items()}
    fields["lane_initial_code"]["codes"] = LANES
    fields["importer_id"] = None
    if form.date:
        fields["registered_at"]["formats"] = [form.date, "%Y %j"]
    return contract_of(
        fields, time_zone=form.zone, format=contract_format(form), null_values=list(form.nulls), files=["*"]
    )


def expected(row: Row, form: Form) -> dict[str, Any]:
    procedure: str | None = row.procedure.strip(BLANKS)
    return {
        "declaration_id": row.id,
        "registered_at": row.registered - timedelta(hours=ZONES[form.zone]),
        "registered_date": row.registered.date(),
        "declared_value": row.value.quantize(Decimal("0.0001")),
        "procedure_code": None if procedure in form.nulls else procedure,
        "lane_initial_code": LANES[row.lane],
    }


def check(bench: Any, contract_of: Any, form: Form, rows: list[Row]) -> None:
    contract, content = contract_for(form, contract_of), file_bytes(rows, form)
    name = f"file{'.' if form.packing else ''}{form.packing}"
    there = bench.elsewhere()
    (landed,) = there.land_all(content, contract, name=name)
    receipt = landed.receipt
    assert receipt.rows_in == len(rows) == receipt.rows_landed + receipt.rows_quarantined, receipt.reasons
    sound = [row for row in rows if row.fault is None]
    wanted = [expected(row, form) for row in sound]
    assert (
        [{name: row[name] for name in wanted[0]} for row in landed.rows] == wanted
        if sound
        else not landed.rows
    )
    faults = {row.id: row.fault for row in rows if row.fault}
    named = {field: source for field, source in CANONICAL.items()}
    found = {}
    for record, reasons in zip(landed.records.values(), landed.reasons.values(), strict=True):
        key = next(text for name, text in record.items() if name.strip("@").endswith(named_id(form)))
        assert len(reasons) == 1, reasons
        found[key.strip()] = named[reasons[0].partition(":")[0]]
    assert found == faults
    before = {path.name: path.read_bytes() for path in landed.folder.iterdir()}
    there.land_all(content, contract, name=name)
    assert {path.name: path.read_bytes() for path in landed.folder.iterdir()} == before
    if form.kind != "csv":  # nothing else is cut
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_BYTES", 150)
        (cut,) = bench.elsewhere().land_all(content, contract, name=name)
    assert (cut.rows, cut.quarantine) == (landed.rows, landed.quarantine)


def named_id(form: Form) -> str:
    return form.names[0] if form.kind not in ("lines", "array", "document") else join_path([form.names[0]])


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_written_is_what_lands(session_bench, contract_of, data):
    form = data.draw(forms())
    event(form.kind)
    check(session_bench, contract_of, form, data.draw(tables(form)))


@pytest.mark.timeout(3600)
@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_written_is_what_lands_many_times(session_bench, contract_of, data):
    form = data.draw(forms())
    check(session_bench, contract_of, form, data.draw(tables(form)))
