"""One wide file that feeds items and, out of its columns of times, events: every block is accounted for."""

from __future__ import annotations

from datetime import datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tidewaiter.contracts import Contract
from tidewaiter.landing import ExtractRefused, land_file
from tidewaiter.landing.drift import SchemaDrift, compare_columns, read_header

HEADER = "id;item;registered;office;hs;importer;value;lane;selected;officer;assigned;officer_last;released"
EVENTS: dict[str, Any] = {
    "name": "event",
    "blocks": ["LANE_SET", "ASSIGNED", "RELEASED"],
    "columns": {
        "at": ["selected", "assigned", "released"],
        "by": [None, "officer", "officer_last"],
        "to": ["lane", None, None],
    },
    "row_if": ["at"],
}
FORMAT = {"kind": "csv", "delimiter": ";"}


def a_contract(unpivot: dict[str, Any] = EVENTS, **event_entry: Any) -> Contract:
    """Return a contract with two entries for the same file: items, and events by unpivot."""
    common = {"location": {"home": "drop"}, "files": ["*.csv"], "refuse_above_quarantined_share": 1}
    items = {
        "dataset": "declaration_items",
        "format": FORMAT,
        "fields": {
            "declaration_id": {"column": "id"},
            "item_no": {"column": "item"},
            "registered_at": {"column": "registered"},
            "office_code": {"column": "office"},
            "hs6": {"column": "hs"},
            "importer_id": {"column": "importer"},
            "declared_value": {"column": "value"},
            "currency_code": {"constant": "USD"},
            "lane_initial_code": {"column": "lane"},
            "lane_at": {"column": "selected"},
        },
    }
    events = {
        "dataset": "declaration_events",
        "format": FORMAT | {"unpivot": unpivot},
        "fields": {
            "declaration_id": {"column": "id"},
            "event_code": {"column": "event"},
            "event_at": {"column": "at"},
            "office_code": {"column": "office"},
            "inspector_id": {"column": "by"},
            "to_value": {"column": "to"},
        },
    } | event_entry
    entries = [items | common, events | common]
    return Contract.model_validate(
        {"member": "XT", "name": "Test", "owner": "tests", "source": "tests", "extracts": entries}
    )


def land_both(bench, content: str, contract: Contract | None = None):
    """Land one file for both entries; return items and events."""
    contract = contract or a_contract()
    path = bench.root / "sent" / "day.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    receipts = []
    for entry in contract.extracts:
        try:
            receipts.append(land_file(path, entry, contract, bench.settings, bench.pseudonymiser))
        except ExtractRefused as refused:
            receipts.append(refused.receipt)
    return [bench._landed(receipt) for receipt in receipts]


def a_row(number: int, *values: str) -> str:
    lane, selected, officer, assigned, officer_last, released = values
    return (
        f"D{number};1;2024-03-01 08:00:00;K1;847130;P-1;10;"
        f"{lane};{selected};{officer};{assigned};{officer_last};{released}"
    )


ROWS = [
    HEADER,
    a_row(1, "RED", "2024-03-01 08:05:00", "O1", "2024-03-01 09:00:00", "O2", "2024-03-02 10:00:00"),
    a_row(2, "GREEN", "2024-03-01 08:06:00", "", "", "", "2024-03-01 08:07:00"),
    a_row(3, "RED", "2024-03-01 08:07:00", "O1", "not yet", "O1", ""),  # an officer, and no release
    "D4;1;torn",
]


def test_a_wide_row_is_an_item_and_its_events(bench):
    items, events = land_both(bench, "\n".join(ROWS) + "\n")
    assert (items.receipt.rows_in, items.receipt.rows_landed) == (4, 3)
    found = [
        (row["declaration_id"], row["event_code"], row["event_at"], row["to_value"], row["source_line"])
        for row in events.rows
    ]
    assert found == [
        ("D1", "LANE_SET", datetime(2024, 3, 1, 8, 5), "RED", 4),
        ("D1", "ASSIGNED", datetime(2024, 3, 1, 9), None, 5),
        ("D1", "RELEASED", datetime(2024, 3, 2, 10), None, 6),
        ("D2", "LANE_SET", datetime(2024, 3, 1, 8, 6), "GREEN", 7),
        ("D2", "RELEASED", datetime(2024, 3, 1, 8, 7), None, 9),
        ("D3", "LANE_SET", datetime(2024, 3, 1, 8, 7), "RED", 10),
    ]
    assert [row["inspector_id"] is None for row in events.rows] == [True, False, False, True, True, True]
    first, last = events.rows[1]["inspector_id"], events.rows[2]["inspector_id"]
    assert first != last
    assert "O1" not in str(events.rows)
    wide = events.receipt.wide
    assert wide is not None
    assert (wide.records, wide.unreadable, wide.blocks, wide.empty) == (4, 1, 3, 2)
    assert events.receipt.rows_in == wide.rows == 8
    assert (events.receipt.rows_landed, events.receipt.rows_quarantined) == (6, 2)
    assert items.receipt.wide is None


def test_the_quarantine_says_which_line_and_which_block(bench):
    _, events = land_both(bench, "\n".join(ROWS) + "\n")
    told = {events.receipt.line(row["source_line"]): row["reasons"] for row in events.quarantine}
    assert told == {
        4: ["event_at: 'not yet' is not a time in ISO 8601"],
        5: ["the line has too few columns: 3 where the header has 13"],
    }
    records = list(events.records.values())
    assert records[0]["event"] == "ASSIGNED"
    assert records[1]["line"] == 5


def test_a_repeated_row_is_told_by_its_line_in_the_file(bench):
    _, events = land_both(bench, "\n".join([*ROWS[:3], ROWS[1]]) + "\n")
    assert {reason for row in events.quarantine for reason in row["reasons"]} == {
        "same declaration_id, item_no, event_code, event_at, event_no as line 2"
    }
    assert events.receipt.rows_quarantined == 3


def test_columns_of_blocks_are_used_ones(bench):
    contract = a_contract()
    path = bench.root / "day.csv"
    path.write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    header = read_header(path, contract.extracts[1], contract, bench.settings)
    drift = compare_columns(header, contract.extracts[1], contract, bench.settings)
    assert (drift.missing, drift.added) == ((), ("item", "registered", "hs", "importer", "value"))


def test_both_entries_of_one_file_are_landed_once(bench):
    content = "\n".join(ROWS) + "\n"
    first = [landed.receipt for landed in land_both(bench, content)]
    assert [landed.receipt for landed in land_both(bench, content)] == first


def test_a_name_that_the_file_has_already_is_told(bench):
    columns = EVENTS["columns"] | {"office": ["office", "office", "office"]}
    with pytest.raises(SchemaDrift, match="the file has a column 'office', as unpivot calls one of its own"):
        land_both(bench, "\n".join(ROWS), a_contract(EVENTS | {"columns": columns}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row_if": ["when"]}, "'when' is none of columns"),
        ({"columns": {"at": ["selected", None, None]}, "row_if": []}, "block 'ASSIGNED' is a row"),
        ({"columns": {"at": [None, None, None]}, "row_if": []}, "'at' has no source column"),
    ],
)
def test_a_block_that_nothing_decides_is_named(change, message):
    with pytest.raises(ValidationError, match=message):
        a_contract(EVENTS | change)


times = st.sampled_from(["", " ", "2024-03-01 08:05:00", "2024-03-01 08:06:00", "soon"])
officers = st.sampled_from(["", "O1", "O2"])
lanes = st.sampled_from(["", "RED", "PURPLE"])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cells=st.lists(st.tuples(lanes, times, officers, times, officers, times), max_size=7),
    torn=st.integers(0, 2),
)
def test_every_block_of_every_row_is_accounted_for(session_bench, cells, torn):
    rows = [a_row(number, *values) for number, values in enumerate(cells)]
    content = "\n".join([HEADER, *rows, *(f"X{number};torn" for number in range(torn))]) + "\n"
    if not rows and not torn:
        return
    _, events = land_both(session_bench.elsewhere(), content)
    expected = {
        (line - 1) * 3 + block + 1
        for (line, values), block in product(enumerate(cells, start=2), range(3))
        if values[(1, 3, 5)[block]].strip()
    } | {(len(rows) + 1 + number) * 3 + 1 for number in range(torn)}
    lines = [*events.column("source_line"), *events.reasons]
    assert sorted(lines) == sorted(expected)
    assert events.receipt.rows_in == len(expected) == events.receipt.wide.rows
