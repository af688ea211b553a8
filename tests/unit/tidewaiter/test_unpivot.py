"""Wide records: each block of columns is a row, whatever the format, and every block is accounted for."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tidewaiter.contracts import Contract
from tidewaiter.landing.drift import SchemaDrift

HEADER = ["hs", "partner", "q-Jan", "v-Jan", "q-Feb", "v-Feb"]
UNPIVOT = {"name": "month", "blocks": ["Jan", "Feb"], "columns": {"q": "q-{block}", "v": ["v-Jan", "v-Feb"]}}


def a_contract(form: dict[str, Any] | None = None, unpivot: dict[str, Any] | None = None) -> Contract:
    month = "make_date(2024, case \"month\" when 'Jan' then 1 else 2 end, 1)"
    entry = {
        "dataset": "aggregate_flows",
        "location": {"home": "drop"},
        "files": ["*"],
        "format": {"unpivot": UNPIVOT | (unpivot or {})} | (form or {}),
        "refuse_above_quarantined_share": 1,
        "fields": {
            "frequency_code": {"constant": "M"},
            "period_from_date": {"expression": month},
            "flow_code": {"constant": "M"},
            "partner_code": {"column": "partner"},
            "classification_code": {"constant": "H6"},
            "hs_code": {"column": "hs"},
            "quantity": {"column": "q"},
            "primary_value_usd": {"column": "v"},
        },
    }
    found = {"member": "XT", "name": "Test", "owner": "tests", "source": "tests", "extracts": [entry]}
    return Contract.model_validate(found)


def as_csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    return text.getvalue()


def test_each_block_is_a_row_with_its_place(bench):
    rows = [["010121", "CL", "1", "2", "3", "4"], ["010122", "CL", "", " ", "3", "x"], ["010123"]]
    landed = bench.land(as_csv(rows), a_contract())
    found = [
        (row["source_line"], row["period_from_date"].month, row["primary_value_usd"]) for row in landed.rows
    ]
    assert found == [(3, 1, Decimal(2)), (4, 2, Decimal(4))]
    assert landed.reasons == {
        6: ["primary_value_usd: 'x' is not a decimal number"],
        7: ["the line has too few columns: 1 where the header has 6"],
    }
    assert landed.records[6] == {"hs": "010122", "partner": "CL", "month": "Feb", "q": "3", "v": "x"}


def test_what_a_block_calls_nothing_is_no_row(bench):
    rows = [["010121", "CL", "0", "0", "3", "4"]]
    assert bench.land(as_csv(rows), a_contract()).receipt.rows_in == 2
    landed = bench.elsewhere().land(as_csv(rows), a_contract(unpivot={"nothing": ["", "0"]}))
    assert landed.receipt.rows_in == 1


def test_every_missing_block_column_is_named(bench):
    with pytest.raises(SchemaDrift) as told:
        bench.land("hs,partner,q-Jan,v-Jan,q-feb\n", a_contract())
    assert [problem.what.split(";")[0] for problem in told.value.problems] == [
        "column 'q-Feb' is missing",
        "column 'v-Feb' is missing",
    ]


@pytest.mark.parametrize(
    ("unpivot", "message"),
    [
        ({"blocks": ["Jan", "Jan"]}, "named twice"),
        ({"columns": {"v": "v-Jan"}}, "write {block}"),
        ({"columns": {"v": ["v-Jan"]}}, "1 source columns for 2 blocks"),
        ({"columns": {"month": "v-{block}"}}, "named twice"),
    ],
)
def test_a_wrong_unpivot_is_named(unpivot, message):
    with pytest.raises(ValidationError, match=message):
        a_contract(unpivot=unpivot)


cells = st.sampled_from(["", "0", "1.5", "x", "12", " "])


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(wide=st.lists(st.tuples(cells, cells, cells, cells), max_size=8))
def test_blocks_are_all_there_in_either_format(session_bench, wide):
    rows = [[f"{place:06}", "CL", *values] for place, values in enumerate(wide)]
    blocks = [
        (place * 2 + number + 1, row[2 + 2 * number : 4 + 2 * number])
        for place, row in enumerate(rows)
        for number in (0, 1)
    ]
    present = [place for place, values in blocks if any(value.strip() for value in values)]
    records = json.dumps([dict(zip(HEADER, row, strict=True)) for row in rows])
    for form, content, lines_above in (({}, as_csv(rows), 2), ({"kind": "json"}, records, 0)):
        if not rows:
            continue
        landed = session_bench.elsewhere().land(content, a_contract(form))
        lines = sorted([*landed.column("source_line"), *landed.reasons])
        assert lines == [place + lines_above for place in present]
        assert landed.receipt.rows_in == len(present)
