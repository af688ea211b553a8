"""Funnel plots: limits that agree with the exact tests."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from ml.integrity.funnel import Funnel, draw, funnel_of, spread_over_poisson

SHARES = {"two share an office": 0.5, "twenty share an office": 0.05}


def _drawn(share: float, seed: int = 5, units: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    files = random.integers(100, 1_000, units)
    observed = random.binomial(files, share)
    return observed.astype(float), files * share, stats.binom.sf(observed - 1, files, share)


@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES.keys())
@pytest.mark.parametrize("tail", ["high", "low", "both"])
def test_spread_is_that_of_the_counts(share: float, tail: str) -> None:
    observed, expected, upper = _drawn(share)
    lower = stats.binom.cdf(observed, np.round(expected / share), share)
    p_value = {"high": upper, "low": lower, "both": np.minimum(2 * np.minimum(upper, lower), 1)}[tail]
    found = spread_over_poisson(observed, expected, p_value, [tail] * observed.size)
    assert found == pytest.approx(np.sqrt(1 - share), rel=0.06)


def test_too_few_units_leave_the_limits_alone() -> None:
    observed, expected, p_value = _drawn(0.5, units=4)
    assert spread_over_poisson(observed, expected, p_value, ["high"] * 4) == 1.0


@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES.keys())
def test_a_twentieth_of_honest_units_lies_outside(share: float) -> None:
    observed, expected, p_value = _drawn(share, units=2_000)
    rows = pa.table(
        {
            "observed": observed,
            "expected": expected,
            "p_value": p_value,
            "tail": ["high"] * observed.size,
            "effect_size": observed - expected,
            "effect_low": observed - expected,
            "effect_high": observed - expected,
            "support": expected,
            "is_flagged": [False] * observed.size,
            "unit_id": [str(number) for number in range(observed.size)],
            "counterpart_id": pa.nulls(observed.size, pa.string()),
            "observed_unit": ["files"] * observed.size,
        }
    )
    funnel = funnel_of(rows)
    assert funnel is not None
    low, high = (np.interp(funnel.x, funnel.grid, limit) for limit in funnel.inner)
    outside = (funnel.y < low) | (funnel.y > high)
    least, most = stats.binom.ppf([0.001, 0.999], outside.size, 0.05)
    assert least <= outside.sum() <= most


def _funnel(is_flagged: list[bool], is_own: list[bool]) -> Funnel:
    x = np.arange(1.0, len(is_own) + 1)
    band = (np.full(x.size, 0.5), np.full(x.size, 1.5))
    flagged, own = np.array(is_flagged), np.array(is_own)
    return Funnel(x, np.ones(x.size), flagged, own, x, band, band, 1.0, "Expected files", "Observed")


@pytest.mark.parametrize(
    ("is_flagged", "is_own", "named"),
    [
        ([True, False, False], [False, False, False], {"others", "to be checked"}),
        (
            [True, False, False],
            [True, True, False],
            {"others", "this dossier", "this dossier, to be checked"},
        ),
    ],
)
def test_what_is_to_be_checked_of_a_dossier_is_told_from_the_rest(
    is_flagged: list[bool], is_own: list[bool], named: set[str]
) -> None:
    (axes,) = draw(_funnel(is_flagged, is_own), "title", "subtitle").axes
    labels = set(axes.get_legend_handles_labels()[1])

    assert {label for label in labels if not label.startswith("about")} == named
    assert {
        "about 95 % of what chance makes lies within",
        "about 99.8 % of what chance makes lies within",
    } <= labels
