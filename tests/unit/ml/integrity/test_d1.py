"""D1: the expected deviation, the level with and without clusters, conditions that keep a price list out."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.indicators.d1 import BENFORD, EXPECTED_MAD_ROOT_N, first_digits, mad_p_values
from ml.integrity.periods import Period


def test_perfect_data_deviate_as_much_as_is_said() -> None:
    random = np.random.default_rng(1)
    mad = np.abs(random.multinomial(1000, BENFORD, 20_000) / 1000 - BENFORD).mean()
    assert abs(mad * np.sqrt(1000) - EXPECTED_MAD_ROOT_N) < 0.002


def test_digits_of_the_law_are_called_odd_no_more_often_than_the_level() -> None:
    random = np.random.default_rng(2)
    n = random.integers(500, 20_000, 400)
    counts = np.array([random.multinomial(one, BENFORD) for one in n]).astype(float)
    p = first_digits(counts, n.astype(float), counts.sum(axis=0), random, 999).p_value
    assert (p <= 0.1).sum() <= stats.binom.isf(1e-6, 400, 0.1)


def test_other_digits_are_found_unless_everybody_has_them() -> None:
    random = np.random.default_rng(3)
    even = np.full(9, 1 / 9)
    counts = np.array([random.multinomial(1500, even)]).astype(float)
    assert first_digits(counts, np.array([1500.0]), BENFORD * 1e6, random, 999).p_value[0] == 0.001
    assert first_digits(counts, np.array([1500.0]), even * 1e6, random, 999).p_value[0] > 0.01


def test_fewer_independent_values_weigh_less() -> None:
    random = np.random.default_rng(4)
    mad = np.array([0.015, 0.015])
    whole, part = mad_p_values(mad, np.array([4000.0, 400.0]), BENFORD, random, 999)
    assert whole < 0.01 < part


def digit_rows(unit: str, draws: np.ndarray, repeated: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "member_iso2": "XA",
            "month": date(2024, 1, 1),
            "unit_kind": "broker",
            "unit_id": unit,
            "cluster_id": f"i{number}",
            "values_n": int(row.sum()),
            **{f"digit_{digit + 1}_n": int(count) for digit, count in enumerate(row)},
            "repeated_values_n": int(repeated * row.sum()),
            "log_value_sum": 3.0 * row.sum(),
            "log_value_squares_sum": 9.6 * row.sum(),
            "effective_subheadings": 30.0,
        }
        for number, row in enumerate(draws)
    ]


def test_conditions_and_clusters_decide_what_is_tested(marts: Any, compute: Any) -> None:
    random = np.random.default_rng(5)
    even = random.multinomial(50, np.full(9, 1 / 9), 40)
    one_size = np.zeros(
        (40, 9), dtype=int
    )  # each client's values begin with one digit: honest, and clustered
    one_size[np.arange(40), random.choice(9, 40, p=BENFORD)] = 50
    marts.write(
        "integrity_first_digits",
        [
            *digit_rows("even", even),
            *digit_rows("list", even, repeated=0.5),
            *digit_rows("sizes", one_size),
            *digit_rows("usual", random.multinomial(500, BENFORD, 400)),
        ],
    )
    rows = {row["unit_id"]: row for row in compute("D1", Period(date(2024, 1, 1), date(2024, 12, 31)))}
    assert rows["even"]["p_value"] < 1e-4
    assert not rows["list"]["has_support"]
    assert rows["list"]["support"] == 0
    assert rows["sizes"]["p_value"] > 1e-3
    assert rows["usual"]["p_value"] > 1e-3


def test_who_has_too_few_values_is_a_part_of_everybodys_digits_and_no_unit(marts: Any, compute: Any) -> None:
    random = np.random.default_rng(6)
    even = np.full(9, 1 / 9)
    own = digit_rows("even", random.multinomial(50, even, 40))
    period = Period(date(2024, 1, 1), date(2024, 12, 31))
    marts.write("integrity_first_digits", [*own, *digit_rows("", random.multinomial(500, BENFORD, 400))])
    (differs,) = compute("D1", period)
    marts.write("integrity_first_digits", [*own, *digit_rows("", random.multinomial(500, even, 400))])
    (as_everybody,) = compute("D1", period)
    assert differs["unit_id"] == as_everybody["unit_id"] == "even"
    assert differs["p_value"] < 1e-4 < 0.01 < as_everybody["p_value"]
