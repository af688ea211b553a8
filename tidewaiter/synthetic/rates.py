"""Exchange rates of one member: a slow log-normal walk, written down by the month or by the day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidewaiter.synthetic.profiles import Request

_DAILY_SIGMA = 0.002  # of ln units per USD, assumed
_DECIMALS = 4


@dataclass(frozen=True)
class ExchangeRates:
    """Rates in order of time.

    Attributes:
        valid_from: First day of validity.
        units_per_usd: Units of the member's currency for one US dollar, rounded as published.
    """

    valid_from: np.ndarray
    units_per_usd: np.ndarray

    def at(self, local_seconds: np.ndarray) -> np.ndarray:
        """Return the rate in force at each instant (local seconds since 1970-01-01)."""
        day = local_seconds // 86_400
        index = np.searchsorted(self.valid_from.astype(np.int64), day, side="right") - 1
        rates: np.ndarray = self.units_per_usd[index]
        return rates


def draw_rates(request: Request) -> ExchangeRates:
    """Draw the walk by day and keep the days on which the member sets a rate."""
    profile, shock = request.profile, request.plan.decoys.Z4
    days = np.arange(request.first_day, request.end_day)
    steps = request.stream("rates").normal(0, _DAILY_SIGMA, days.size)
    if profile.currency_code == "USD":
        steps[:] = 0.0
    elif shock is not None:
        # A devaluation is published on the next day on which the member sets a rate.
        day = (request.instant_s(shock.start) - request.first_s) // 86_400
        steps[min(day, days.size - 1)] -= np.log(1 - shock.loss)
    steps[0] = 0.0
    walk = np.round(profile.units_per_usd * np.exp(np.cumsum(steps)), _DECIMALS)
    if profile.fx_step_days:
        is_kept = np.arange(days.size) % profile.fx_step_days == 0
    else:
        is_kept = days == days.astype("datetime64[M]").astype("datetime64[D]")
    return ExchangeRates(valid_from=days[is_kept], units_per_usd=walk[is_kept])
