"""A text that is read in pieces gives what it gives when it is read whole."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidewaiter.errors import TidewaiterError
from tidewaiter.landing import pieces

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
cells = st.text('ab",\n\r ;é', max_size=8)


def landed_of(bench, text: str, piece_bytes: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_BYTES", piece_bytes)
        try:
            landed = bench.elsewhere().land(text)
        except TidewaiterError:
            return "refused"
    return landed.rows, landed.quarantine, landed.receipt.reasons


def a_row(number: int, office: str) -> list[str]:
    return [f"K{number}", "1", "2024-03-01", office, "010121", "Acme", "x" if number % 5 == 4 else "1"]


@FEW
@given(offices=st.lists(cells, max_size=15), piece_bytes=st.integers(150, 400))
def test_pieces_change_nothing_about_a_sound_file(session_bench, landing_header, offices, piece_bytes):
    text = io.StringIO(newline="")
    rows = [a_row(number, office) for number, office in enumerate(offices)]
    csv.writer(text, lineterminator="\n").writerows([landing_header.split(","), *rows])
    whole = landed_of(session_bench, text.getvalue(), 1 << 30)
    assert landed_of(session_bench, text.getvalue(), piece_bytes) == whole
    assert len(whole[0]) + len(whole[1]) == len(offices)


@FEW
@given(lines=st.lists(st.text('ab",1', max_size=30), max_size=8), piece_bytes=st.integers(150, 250))
def test_pieces_change_nothing_about_a_broken_file(session_bench, landing_header, lines, piece_bytes):
    sound = [",".join(a_row(number, "S")) for number in range(5)]
    text = "\n".join([landing_header, *sound, *lines, *(f"Z{row}" for row in sound)])
    assert landed_of(session_bench, text, piece_bytes) == landed_of(session_bench, text, 1 << 30)


def test_duplicates_are_found_across_pieces(session_bench, landing_header):
    rows = [",".join(a_row(number % 10, "S")) for number in range(15)]
    landed_rows, quarantine, reasons = landed_of(session_bench, "\n".join([landing_header, *rows]), 200)
    assert [row["source_line"] for row in landed_rows] == [n + 2 for n in range(10) if n % 5 != 4]
    assert reasons["same key as an earlier row of the file"] == 4
    assert '"office":"S"' in quarantine[-1]["record"]
