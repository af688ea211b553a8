"""Properties of landing that must hold for every file."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from contextlib import suppress

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tidewaiter.errors import TidewaiterError

FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

# Surrogates cannot be written; all else can stand in a file, NUL and control characters included.
cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
amounts = st.one_of(
    st.decimals(0, 10**9, places=2).map(str), st.sampled_from(["", "x", "-1", "1,5", "1e400", "'; --"])
)
keys = st.lists(st.text("abc\"',;\n ", min_size=1, max_size=6), max_size=25)


def as_csv(rows: list[list[str]], line_end: str = "\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_MINIMAL).writerows(rows)
    return text.getvalue()


@st.composite
def tables(draw) -> list[list[str]]:
    found = draw(st.lists(st.tuples(cells, amounts), max_size=25))
    return [
        [f"K{number}", "1", "2024-03-01", office, "010121", "Acme", amount]
        for number, (office, amount) in enumerate(found)
    ]


@FEW
@given(table=tables(), line_end=st.sampled_from(["\n", "\r\n"]))
def test_every_row_is_landed_or_quarantined_once(session_bench, landing_header, table, line_end):
    landed = session_bench.elsewhere().land(as_csv([landing_header.split(","), *table], line_end))
    receipt = landed.receipt
    assert receipt.rows_in == receipt.rows_landed + receipt.rows_quarantined == len(table)
    ids = Counter(landed.column("declaration_id")) + Counter(
        record["id"] for record in landed.records.values()
    )
    assert ids == Counter(row[0] for row in table)
    lines = [*landed.column("source_line"), *landed.reasons]
    assert len(lines) == len(set(lines))
    assert all(reasons for reasons in landed.reasons.values())


@FEW
@given(table=tables(), seed=st.integers(0, 9))
def test_the_order_of_rows_does_not_matter(session_bench, landing_header, table, seed):
    shuffled = random.Random(seed).sample(table, len(table))
    header = landing_header.split(",")

    def without_place(rows: list[list[str]]) -> list[str]:
        landed = session_bench.elsewhere().land(as_csv([header, *rows]))
        place = {"source_line", "extract_id"}
        both = [*landed.rows, *landed.quarantine]
        return sorted(repr({k: v for k, v in row.items() if k not in place}) for row in both)

    assert without_place(table) == without_place(shuffled)


@FEW
@given(ids=keys)
def test_of_rows_with_one_key_exactly_the_first_lands(session_bench, landing_header, ids):
    table = [[key, "1", "2024-03-01", "S", "010121", "", "1"] for key in ids]
    landed = session_bench.elsewhere().land(as_csv([landing_header.split(","), *table]))
    present = [key.strip() for key in ids if key.strip()]
    assert Counter(landed.column("declaration_id")) == Counter(set(present))
    assert landed.column("declaration_id") == list(dict.fromkeys(present))


@FEW
@given(table=tables())
def test_landing_twice_changes_no_byte(session_bench, landing_header, table):
    bench = session_bench.elsewhere()
    text = as_csv([landing_header.split(","), *table])
    first = bench.land(text)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    bench.land(text)
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
    for path in first.folder.iterdir():
        path.unlink()
    bench.land(text)
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before


@FEW
@given(content=st.one_of(st.binary(max_size=300), cells.map(str.encode)), names=st.lists(cells, max_size=4))
def test_arbitrary_bytes_are_accounted_for_or_a_clear_error(session_bench, landing_header, content, names):
    header = as_csv([landing_header.split(",") + names]).encode()
    with suppress(TidewaiterError):  # any other error fails the test
        receipt = session_bench.elsewhere().land(header + content).receipt
        assert receipt.rows_in == receipt.rows_landed + receipt.rows_quarantined


@FEW
@given(name=cells.filter(lambda name: name.strip()), value=cells)
def test_arbitrary_header_names_can_be_mapped(session_bench, contract_of, landing_header, name, value):
    name = " ".join(name.split()) or "x"
    header = [*landing_header.split(","), name]
    assume(header.count(name) == 1)
    contract = contract_of({"procedure_code": {"column": name}})
    text = as_csv([header, ["K", "1", "2024-03-01", "S", "010121", "", "1", value]])
    receipt = session_bench.elsewhere().land(text, contract).receipt
    assert (receipt.rows_in, receipt.reasons) == (1, {})


def test_threads_do_not_change_a_byte(session_bench, landing_header):
    source = random.Random(7)
    rows = [
        [f"K{number}", "1", "2024-03-01", source.choice("ABC"), "010121", str(source.randrange(99)), "1"]
        for number in range(150_000)  # more than one row group
    ]
    text = as_csv([landing_header.split(","), *rows])
    contents = set()
    for threads in (1, 2):
        bench = session_bench.elsewhere()
        bench.settings = bench.settings.model_copy(update={"threads": threads})
        contents.add((bench.land(text).folder / "rows.parquet").read_bytes())
    assert len(contents) == 1
