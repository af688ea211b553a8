"""The manifest: order of arrival, what was accepted, and versions that change only with their own member."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.manifest import build_rows, item_counts
from flows.versions import data_version, feature_version
from tidewaiter.landing import Receipt


def receipt(member="XA", name="a.csv", *, day=1, rows=10, quarantined=1, key="k"):
    return Receipt(
        member_iso2=member,
        dataset="declaration_items",
        extract_id=f"{member}{name}"[:12],
        source_file=name,
        source_sha256="0" * 64,
        source_bytes=1,
        received_at=datetime(2026, 1, day),
        landing_key=key,
        contract_fingerprint="c",
        canonical_fingerprint="d",
        key_id="e",
        rows_in=rows,
        rows_landed=rows - quarantined,
        rows_quarantined=quarantined,
        reasons={},
    )


def test_numbers_follow_arrival_then_name():
    rows = build_rows(
        [receipt(name="b.csv", day=2), receipt(name="c.csv", day=1), receipt(name="a.csv", day=2)],
        lambda _: True,
    )
    assert [(row.source_file, row.extract_sequence) for row in rows] == [
        ("c.csv", 1),
        ("a.csv", 2),
        ("b.csv", 3),
    ]


def test_members_are_numbered_apart():
    rows = build_rows([receipt("XA"), receipt("XB")], lambda _: True)
    assert [row.extract_sequence for row in rows] == [1, 1]


@given(st.permutations([receipt("XA", f"{n}.csv", day=n) for n in range(1, 7)]))
def test_order_of_receipts_does_not_matter(receipts):
    rows = build_rows(receipts, lambda _: True)
    assert [row.source_file for row in rows] == [f"{n}.csv" for n in range(1, 7)]


def test_counts_are_sums_over_items():
    assert item_counts([receipt(), receipt(name="b.csv")]) == (20, 18, 2)


@pytest.mark.parametrize("version", [data_version, feature_version])
def test_a_members_version_ignores_other_members(version):
    alone = build_rows([receipt("XA")], lambda _: True)
    beside = build_rows([receipt("XA"), receipt("XB")], lambda _: True)
    assert version(alone, "XA") == version(beside, "XA")
    assert version(alone, None) != version(beside, None)


def test_version_changes_with_what_is_accepted_and_how_it_was_landed():
    receipts = [receipt("XA"), receipt("XA", "b.csv", day=2)]
    accepted = build_rows(receipts, lambda _: True)
    first_only = build_rows(receipts, lambda found: found.source_file == "a.csv")
    landed_otherwise = build_rows([receipt("XA", key="other"), receipts[1]], lambda _: True)
    versions = {data_version(rows, "XA") for rows in (accepted, first_only, landed_otherwise)}
    assert len(versions) == 3
