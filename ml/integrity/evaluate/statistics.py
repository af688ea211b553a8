"""Figures with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.intervals import poisson_interval, share_interval

_REPLICATES, _SEED = 2_000, 7


@dataclass(frozen=True)
class Share:
    """Hits among trials, with the exact interval of 95 % (Clopper, Pearson, 1934)."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        """Share of hits; NaN without trials."""
        return self.hits / self.trials if self.trials else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Exact interval; everything without trials."""
        if not self.trials:
            return 0.0, 1.0
        low, high = share_interval(np.array([float(self.hits)]), np.array([float(self.trials)]))
        return float(low[0]), float(high[0])

    def as_json(self) -> dict[str, Any]:
        """Return the figure for a file."""
        low, high = self.interval
        return {"hits": self.hits, "trials": self.trials, "low": low, "high": high}

    def as_text(self) -> str:
        """Return the figure as tables say it."""
        if not self.trials:
            return "none planted"
        low, high = self.interval
        return f"{self.hits}/{self.trials} = {self.value:.0%} ({low:.0%} to {high:.0%})"


@dataclass(frozen=True)
class Rate:
    """Events per run, with the exact interval of 95 % of a count's mean (Garwood, 1936)."""

    events: int
    runs: int

    @property
    def value(self) -> float:
        """Events per run; NaN without runs."""
        return self.events / self.runs if self.runs else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Exact interval of the rate."""
        if not self.runs:
            return 0.0, float("inf")
        low, high = poisson_interval(np.array([float(self.events)]))
        return float(low[0]) / self.runs, float(high[0]) / self.runs

    def as_json(self) -> dict[str, Any]:
        """Return the figure for a file."""
        low, high = self.interval
        return {"events": self.events, "runs": self.runs, "low": low, "high": high}

    def as_text(self) -> str:
        """Return the figure as tables say it."""
        low, high = self.interval
        return f"{self.value:.2f} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Mean:
    """Mean over worlds, with its standard error."""

    value: float
    standard_error: float
    worlds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Return mean and standard error; without worlds NaN."""
        array = np.asarray(values, dtype=np.float64)
        if not array.size:
            return cls(float("nan"), float("nan"), 0)
        error = float(array.std(ddof=1) / np.sqrt(array.size)) if array.size > 1 else float("nan")
        return cls(float(array.mean()), error, array.size)

    def as_json(self) -> dict[str, Any]:
        """Return the figure for a file."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the figure as tables say it."""
        return f"{self.value:.3f} ± {self.standard_error:.3f}" if self.worlds > 1 else f"{self.value:.3f}"


@dataclass(frozen=True)
class Portion:
    """A sum over worlds as a share of another, with an interval of 95 % from resampled worlds."""

    found: float
    total: float
    low: float
    high: float

    @classmethod
    def of(cls, found: Sequence[float], total: Sequence[float]) -> Portion:
        """Return the share of what was found; worlds are drawn with replacement for the interval."""
        parts, wholes = np.asarray(found, dtype=np.float64), np.asarray(total, dtype=np.float64)
        if not wholes.size or wholes.sum() <= 0:
            return cls(float(parts.sum()), float(wholes.sum()), float("nan"), float("nan"))
        drawn = np.random.default_rng(_SEED).integers(wholes.size, size=(_REPLICATES, wholes.size))
        sums = wholes[drawn].sum(axis=1)
        shares = parts[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
        low, high = np.quantile(shares, (0.025, 0.975))
        return cls(float(parts.sum()), float(wholes.sum()), float(low), float(high))

    def as_json(self) -> dict[str, Any]:
        """Return the figure for a file; null where it is not defined."""
        return {name: None if value != value else value for name, value in asdict(self).items()}

    def as_text(self) -> str:
        """Return the figure as tables say it."""
        if self.total <= 0:
            return ""
        return f"{self.found / self.total:.0%} ({self.low:.0%} to {self.high:.0%})"


def power_of_too_few(expected: float, kept: float, level: float) -> float:
    """Return the probability that a Poisson count shows that it is too small.

    Args:
        expected: Mean of the count where nothing is wrong.
        kept: What part of it is left.
        level: Of the one-sided test.
    """
    critical = stats.poisson.ppf(level, expected)
    if stats.poisson.cdf(critical, expected) > level:
        critical -= 1
    return float(stats.poisson.cdf(critical, expected * kept)) if critical >= 0 else 0.0


def power_of_excess(files: float, share: float, excess: float, level: float) -> float:
    """Return the probability that a binomial count shows that it is too large.

    Args:
        files: Number of files.
        share: Of them that an even draw gives to the inspector.
        excess: Share of the files that come on top.
        level: Of the one-sided test.
    """
    critical = stats.binom.isf(level, int(files), share) + 1
    return float(stats.binom.sf(critical - 1, int(files), min(share + excess * (1 - share), 1.0)))
