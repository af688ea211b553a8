"""A run of the indicators: what is computed again, what is flagged since when, what is not computable."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ml.integrity.run import run_member
from ml.integrity.signals import SIGNAL_SCHEMA
from ml.integrity.store import read_signals

MONTHS = [date(2024, month, 1) for month in range(1, 10)]


def pair_rows(met_each_month: int, months: list[date] = MONTHS, member: str = "XA") -> list[dict[str, Any]]:
    """Thirty shifts a month of ten files, five of them i1's, one b1's: half of b1's are expected to meet."""
    shared = {
        "member_iso2": member,
        "office_code": "P",
        "declarant_id": "b1",
        "stratum_files_n": 10,
        "inspector_files_n": 5,
        "broker_files_n": 1,
        "strata_n": 30,
        "expected_files": 15.0,
    }
    return [
        shared | {"month": month, "inspector_id": inspector, "observed_files_n": observed}
        for month in months
        for inspector, observed in (("i1", met_each_month), ("i2", 30 - met_each_month))
    ]


def signals(marts: Any) -> list[dict[str, Any]]:
    return [row for row in read_signals(marts.settings, ["XA"]).to_pylist() if row["indicator_id"] == "A1"]


def test_an_excess_is_flagged_from_the_first_look_that_shows_it(marts: Any) -> None:
    marts.cover("XA", MONTHS[0], date(2024, 9, 30))
    marts.write("integrity_pair_assignments", pair_rows(15, MONTHS[:3]) + pair_rows(28, MONTHS[3:]))
    run = run_member(marts.settings, "XA", {}, ["A1"])
    assert (run.looks_computed, run.signals_to_be_checked) == (3, 1)
    found = {(row["period_end"], row["counterpart_id"]): row for row in signals(marts)}
    assert read_signals(marts.settings, ["XA"]).schema == SIGNAL_SCHEMA
    first, second, third = (
        found[day, "i1"] for day in (date(2024, 3, 31), date(2024, 6, 30), date(2024, 9, 30))
    )
    assert [row["is_flagged"] for row in (first, second, third)] == [False, True, True]
    assert first["first_flagged_on"] is None
    assert second["first_flagged_on"] == third["first_flagged_on"] == date(2024, 6, 30)
    assert second["severity"] == "priority"
    assert second["observed"] == 3 * 15 + 3 * 28
    assert second["effect_size"] == pytest.approx(39 / 180)
    assert second["effect_low"] < 39 / 180 < second["effect_high"]
    assert not found[date(2024, 9, 30), "i2"]["is_flagged"]


def test_only_looks_whose_inputs_changed_are_computed_again(marts: Any) -> None:
    marts.cover("XA", MONTHS[0], date(2024, 9, 30))
    marts.write("integrity_pair_assignments", pair_rows(15))
    assert run_member(marts.settings, "XA", {}, ["A1"]).looks_computed == 3
    before = signals(marts)
    assert len(before) == 6
    again = run_member(marts.settings, "XA", {}, ["A1"])
    assert (again.looks_computed, again.looks_unchanged, again.rows) == (0, 3, 6)
    marts.write("integrity_pair_assignments", list(reversed(pair_rows(15))))
    assert run_member(marts.settings, "XA", {}, ["A1"]).looks_computed == 0
    changed = pair_rows(15, MONTHS[:6]) + pair_rows(16, MONTHS[6:])
    marts.write("integrity_pair_assignments", changed)
    assert run_member(marts.settings, "XA", {}, ["A1"]).looks_computed == 1
    assert signals(marts)[:4] == before[:4]


def test_another_members_rows_are_not_seen(marts: Any) -> None:
    marts.cover("XA", MONTHS[0], date(2024, 9, 30))
    marts.write("integrity_pair_assignments", pair_rows(15) + pair_rows(30, member="XB"))
    run_member(marts.settings, "XA", {}, ["A1"])
    assert {row["observed"] for row in signals(marts)} == {45.0, 90.0, 135.0}


def test_below_support_there_is_a_reason_and_no_p(marts: Any) -> None:
    marts.cover("XA", MONTHS[0], date(2024, 3, 31))
    few = [
        row | {"strata_n": 5, "observed_files_n": 5, "expected_files": 2.5}
        for row in pair_rows(1, MONTHS[:1])
    ]
    marts.write("integrity_pair_assignments", few)
    run_member(marts.settings, "XA", {}, ["A1"])
    (first, *_) = signals(marts)
    assert (first["status"], first["p_value"], first["q_value"], first["is_flagged"]) == (
        "below support",
        None,
        None,
        False,
    )
    assert first["reason"].startswith("5 files of the broker")


def test_a_member_that_lacks_inputs_has_one_row_that_says_which(marts: Any) -> None:
    marts.cover("XA", MONTHS[0], date(2024, 9, 30), without=("inspector_roster.shift_from_at",))
    marts.write("integrity_pair_assignments", pair_rows(15))
    run = run_member(marts.settings, "XA", {}, ["A1"])
    assert run.not_computable == {"A1": "inspector_roster.shift_from_at"}
    (row,) = signals(marts)
    assert (row["status"], row["reason"], row["period_end"]) == (
        "not computable",
        "not computable: needs inspector_roster.shift_from_at",
        None,
    )
    assert row["innocent_explanations"]
    assert row["checks"]
    marts.cover("XA", MONTHS[0], date(2024, 9, 30))
    run_member(marts.settings, "XA", {}, ["A1"])
    assert {row["status"] for row in signals(marts)} == {"computed"}


def test_the_newest_look_alone_is_made_whole_by_the_next_run(marts: Any) -> None:
    marts.cover("XA", MONTHS[0], date(2024, 9, 30))
    marts.write("integrity_pair_assignments", pair_rows(15, MONTHS[:3]) + pair_rows(28, MONTHS[3:]))
    newest = run_member(marts.settings, "XA", {}, ["A1"], newest_only=True)
    assert (newest.looks_computed, newest.signals_to_be_checked) == (1, 1)
    assert {row["first_flagged_on"] for row in signals(marts)} == {None, date(2024, 9, 30)}
    # The pair was flagged in June already, which the look of September now says.
    assert run_member(marts.settings, "XA", {}, ["A1"]).looks_computed == 3
    flagged = [row for row in signals(marts) if row["is_flagged"]]
    assert [row["first_flagged_on"] for row in flagged] == [date(2024, 6, 30)] * 2
    again = run_member(marts.settings, "XA", {}, ["A1"], newest_only=True)
    assert (again.looks_computed, again.looks_unchanged) == (0, 3)


def test_a_look_without_units_says_so(marts: Any) -> None:
    marts.cover("XA", MONTHS[0], date(2024, 6, 30))
    marts.write("integrity_pair_assignments", pair_rows(15, MONTHS[3:6]))
    run_member(marts.settings, "XA", {}, ["A1"])
    empty = [row for row in signals(marts) if row["period_end"] == date(2024, 3, 31)]
    (row,) = empty
    assert (row["status"], row["reason"], row["unit_id"], row["is_flagged"]) == (
        "below support",
        "no unit to be tested in the period",
        None,
        False,
    )
