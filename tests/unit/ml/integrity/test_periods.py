"""Looks lie at the ends of months that are over."""

from __future__ import annotations

from datetime import date

import pytest

from ml.integrity.periods import Period, looks, plus_months


def test_quarters_end_with_the_calendar_and_reach_back_as_far_as_data_do() -> None:
    found = looks(date(2024, 2, 15), date(2024, 12, 31), "quarter", 6)
    assert found == [
        Period(date(2024, 2, 1), date(2024, 3, 31)),
        Period(date(2024, 2, 1), date(2024, 6, 30)),
        Period(date(2024, 4, 1), date(2024, 9, 30)),
        Period(date(2024, 7, 1), date(2024, 12, 31)),
    ]


def test_a_look_without_enough_history_is_left_out() -> None:
    found = looks(date(2024, 2, 15), date(2024, 12, 31), "quarter", 6, history_months=5)
    assert [one.end for one in found] == [date(2024, 6, 30), date(2024, 9, 30), date(2024, 12, 31)]
    assert looks(date(2024, 2, 15), date(2024, 5, 31), "month", 6, history_months=5) == []


@pytest.mark.parametrize(("last", "ends"), [(27, 1), (28, 2), (31, 2)])
def test_a_month_that_is_not_over_is_not_looked_at(last: int, ends: int) -> None:
    assert len(looks(date(2024, 2, 1), date(2024, 3, last), "month", 3)) == ends


def test_months_are_added_over_years() -> None:
    assert plus_months(date(2024, 11, 1), 3) == date(2025, 2, 1)
    assert plus_months(date(2024, 1, 1), -1) == date(2023, 12, 1)
