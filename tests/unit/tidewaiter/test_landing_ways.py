"""A file lands the same whichever way its records are read and its values are converted."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tidewaiter.contracts import CsvFormat
from tidewaiter.errors import TidewaiterError
from tidewaiter.landing import convert, plain, read
from tidewaiter.landing.pieces import whole
from tidewaiter.landing.text import prepare_text

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ODD_NUMBERS = [
    "",
    "1",
    "007",
    " 5",
    "5\t",
    "+5",
    "-0",
    "1e3",
    "1E-2",
    "inf",
    "nan",
    "1_000",
    "1,5",
    ".5",
    "5.",
]
ODD_NUMBERS += ["0x10", "1 2", "n/a", "-1", "99999999999999999999", "1.00005", "1.00004", "\u00a07", "٣"]
ODD_TIMES = ["2024-03-01", "2024-03-01 10:20", "2024-03-01T10:20:30", "2024-03-01 10:20:30.123456"]
ODD_TIMES += [
    "2024-3-1",
    " 2024-03-01",
    "2024-03-01T10:20:30Z",
    "2024-03-01T10:20:30+02",
    "2024-02-30",
    "",
    "now",
]
ODD_TIMES += ["1970-01-01", "2024-10-27 02:30:00", "20240301", "2024-03-01 24:00:00", "infinity"]
TEXTS = ["S", " S", "S ", "", "é", "a\u00a0", "\u00a0", "  ", "s\tt", "x" * 40]


def landed_of(bench, content: bytes, contract=None):
    try:
        landed = bench.elsewhere().land(content, contract)
    except TidewaiterError as error:
        return str(error)
    rows = landed.folder / "rows.parquet"
    return rows.read_bytes() if rows.exists() else None, landed.quarantine, landed.receipt.reasons


def as_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


@st.composite
def tables(draw) -> list[list[str]]:
    rows = draw(
        st.lists(
            st.tuples(*(st.sampled_from(some) for some in (["1", "2", "1.0", "1.5", "x", " 1"], ODD_TIMES))),
            max_size=12,
        )
    )
    return [
        [
            f"K{number}",
            item,
            time,
            draw(st.sampled_from(TEXTS)),
            draw(st.sampled_from(["010121", " 010121", "10121", ""])),
            draw(st.sampled_from(["Acme", "acme ", "", "Łódź"])),
            draw(st.sampled_from(ODD_NUMBERS)),
        ]
        for number, (item, time) in enumerate(rows)
    ]


@FEW
@given(rows=tables(), zone=st.sampled_from(["UTC", "Europe/Berlin"]))
@example(
    rows=[[f"K{n}", "1", "2024-03-01", "S", "010121", "A", odd] for n, odd in enumerate(ODD_NUMBERS)],
    zone="UTC",
)
@example(
    rows=[[f"K{n}", "1", odd, "S", "010121", "A", "1"] for n, odd in enumerate(ODD_TIMES)],
    zone="Europe/Berlin",
)
def test_text_by_text_or_row_by_row(session_bench, contract_of, landing_header, rows, zone):
    contract = contract_of(
        {
            "label_at": {"column": "registered"},
            "lane_initial_code": {"column": "office", "codes": {"S": "RED", "é": None}},
            "seller_id": {"expression": "importer || office"},
            "net_kg": {"column": "value", "unit": "t"},
        },
        time_zone=zone,
    )
    content = as_csv([landing_header.split(","), *rows])
    found = []
    for share in (-1.0, 0.3, 1.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convert, "_DISTINCT_AT_MOST", share)
            found.append(landed_of(session_bench, content, contract))
    assert found[0] == found[1] == found[2]


@FEW
@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.text(',ab1 \ufeff\u00a0é\r\0"', max_size=30).map(str.encode),
            st.sampled_from(
                [b"", b",,,,,,", b"K7,1,2024-03-01,S,010121,\xff,1", b"K8,1,2024-03-01,S,010121,,1"]
            ),
        ),
        max_size=8,
    ),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
    ends=st.booleans(),
)
@example(lines=[b"", b"K7,1,2024-03-01,S,010121,A,1"], line_end=b"\n", ends=True)
@example(lines=[b"\xef\xbb\xbfK1,1,2024-03-01,S,010121,A,1"], line_end=b"\n", ends=True)
def test_plain_or_strict_reading(session_bench, landing_header, lines, line_end, ends):
    sound = [f"S{number},1,2024-03-01,S,010121,Acme,1".encode() for number in range(3)]
    content = line_end.join([landing_header.encode(), *sound, *lines]) + (line_end if ends else b"")
    either = landed_of(session_bench, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "read_plain", lambda *_: None)
        assert landed_of(session_bench, content) == either


def plain_of(folder, content: bytes, text_format: CsvFormat | None = None) -> pa.Table | None:
    folder.mkdir()
    source = folder / "sent.csv"
    source.write_bytes(content)
    text_format = text_format or CsvFormat()
    text = prepare_text(source, text_format, folder, "here")
    return plain.read_plain(whole(text), text_format, (0, 2))


def test_plain_text_is_read_as_it_stands(tmp_path):
    table = plain_of(tmp_path / "one", b"a,b,c\n1, x ,\n\xc3\xa9,,NULL")
    assert table is not None
    assert table.to_pydict() == {"raw_0": ["1", "é"], "raw_2": ["", "NULL"]}


@pytest.mark.parametrize(
    "content",
    [
        b'a,b,c\n1,"2",3\n',
        b"a,b,c\n1,2\n",
        b"a,b,c\n1,2,3,4\n",
        b"a,b,c\n1,2,3\n\n4,5,6\n",
        b"a,b,c\n1,\xff,\xff\n",
        b"a,b,c\n1,2,\0\n",
        b"a,b,c\n\xef\xbb\xbf1,2,3\n",
        b"a,b,c\n1,2," + b"3" * 2_100_000 + b"\n",
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_strict_reader(tmp_path, content):
    assert plain_of(tmp_path / "one", content) is None
