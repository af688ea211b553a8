"""Signals of the run from two members' files: complete, consistent with the marts, and told at its end."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from ml.integrity.catalogue import load_catalogue
from ml.integrity.signals import SIGNAL_SCHEMA
from ml.integrity.store import read_signals
from tidewaiter.marts import mart_path

MEMBERS = ("XA", "XC")


@pytest.fixture(scope="module")
def signals(undisturbed) -> Any:
    table = read_signals(undisturbed.settings, MEMBERS)
    assert table.schema == SIGNAL_SCHEMA
    with duckdb.connect() as connection:
        connection.register("signals", table)
        yield connection


def rows(connection: Any, sql: str) -> list[Any]:
    return list(connection.execute(sql).fetchall())


def test_no_indicator_is_silently_absent(signals):
    expected = [(member, entry.id) for member in MEMBERS for entry in load_catalogue()]
    found = rows(signals, "select distinct member_iso2, indicator_id from signals")
    assert sorted(found) == sorted(expected)
    unexplained = rows(
        signals, "select indicator_id from signals where status != 'computed' and reason is null limit 5"
    )
    assert unexplained == []


def test_small_members_have_units_with_support(signals):
    """Most indicators lack files in so small a world, and say so; these two do not."""
    found = rows(signals, "select distinct indicator_id from signals where status = 'computed'")
    assert {("A4",), ("A5",)} <= set(found)


def test_a_unit_occurs_once_in_a_look(signals):
    assert (
        rows(
            signals,
            "select indicator_id, unit_kind, unit_id from signals group by indicator_id, member_iso2,"
            " period_end, unit_kind, unit_id, counterpart_id, office_id, test_name, observed_unit"
            " having count(*) > 1",
        )
        == []
    )


def test_flags_p_and_q_agree(signals):
    levels = ", ".join(f"('{entry.id}', {entry.alpha})" for entry in load_catalogue())
    broken = rows(
        signals,
        f"""
        select indicator_id, p_value, q_value, is_flagged, severity
        from signals inner join (values {levels}) as levels (indicator_id, alpha) using (indicator_id)
        where
            (p_value is null) != (q_value is null)
            or p_value not between 0 and 1 or q_value not between 0 and 1
            or is_flagged and (q_value is null or q_value > alpha)
            or is_flagged != (severity in ('review', 'priority'))
            or is_flagged and first_flagged_on is null
            or first_flagged_on > period_end
            or status = 'below support' and p_value is not null
            or len(innocent_explanations) = 0 or len(checks) = 0
        """,
    )
    assert broken == []


def test_a_pair_has_the_files_that_the_mart_counts(undisturbed, signals):
    """The last look of A1 reaches over all of the data, so its counts are the mart's sums."""
    mart = mart_path(undisturbed.settings.paths, "integrity", "integrity_pair_assignments")
    broken = rows(
        signals,
        f"""
        with counted as (
            select declarant_id, inspector_id, office_code, sum(observed_files_n) as observed
            from read_parquet('{mart}') where member_iso2 = 'XA' group by all
        )
        select unit_id from signals
        full outer join (from counted where observed > 0) as counted
            on unit_id = declarant_id and counterpart_id = inspector_id and office_id = office_code
        where
            signals.observed is distinct from counted.observed
            and coalesce(signals.observed, 1) > 0
            and coalesce(indicator_id = 'A1' and member_iso2 = 'XA' and period_end = (
                select max(period_end) from signals where indicator_id = 'A1' and member_iso2 = 'XA'
            ), true)
        """,
    )
    assert broken == []


def test_the_run_tells_how_many_are_to_be_checked(undisturbed):
    told = json.loads(undisturbed.call_well("integrity", "run", "--json"))
    assert [row["member"] for row in told] == list(MEMBERS)
    assert all(row["looks_computed"] == 0 and row["looks_unchanged"] > 0 for row in told)
