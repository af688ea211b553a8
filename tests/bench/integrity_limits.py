"""How soon leniency can be known at all: the power of tests on one inspector's findings, by days.

`python tests/bench/integrity_limits.py`. Figures of the standard world (member XA, 300,000 items a year) and
of the catalogue's own level. `told which items` is the best test that anybody could make of the findings: it
knows which items are truly irregular, which no administration does.
"""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from ml.integrity.catalogue import load_catalogue
from tidewaiter.synthetic.parameters import LenientInspector, WorldParameters
from tidewaiter.synthetic.profiles import PROFILES

ITEMS_A_YEAR = 300_000
FOUND_SHARE = 0.067  # of examined items of the standard world, red and yellow, as its acts have it
DAYS = (90, 180, 270, 360)
SENSITIVITIES = (LenientInspector.sensitivity, 0.1, 0.0)


def examined_items(days: int) -> float:
    """Return how many items one inspector examines in so many days."""
    profile = PROFILES["XA"]
    inspectors = sum(office.inspectors for office in profile.offices)
    return ITEMS_A_YEAR * (profile.red_share + profile.yellow_share) / inspectors * days / 365


def power(size: float, usual: float, lenient: float, level: float) -> float:
    """Return the probability that the lenient one's exact lower tail is at or under the level."""
    trials = round(size)
    most = np.arange(trials + 1)[stats.binom.cdf(np.arange(trials + 1), trials, usual) <= level]
    return float(stats.binom.cdf(most[-1], trials, lenient)) if most.size else 0.0


def main() -> None:
    """Print both tables."""
    (entry,) = [one for one in load_catalogue() if one.id == "B1"]
    world = WorldParameters()
    inspectors = sum(office.inspectors for office in PROFILES["XA"].offices)
    wrong = 1 - world.specificity
    irregular = (FOUND_SHARE - wrong) / (world.sensitivity - wrong)
    console = Console()
    for sensitivity in SENSITIVITIES:
        lenient = irregular * sensitivity + (1 - irregular) * wrong
        title = f"sensitivity {sensitivity:g}, not {world.sensitivity:g}: {lenient:.1%} found"
        table = Table("days", "items", "told whom", "one look at all", "B1", "told which items", title=title)
        for days in DAYS:
            items = examined_items(days)
            one, family = entry.alpha, entry.alpha / inspectors
            look = family / entry.looks.in_term
            row = [power(items, FOUND_SHARE, lenient, level) for level in (one, family, look)]
            best = power(items * irregular, world.sensitivity, sensitivity, family)
            table.add_row(f"{days}", f"{items:.0f}", *(f"{value:.0%}" for value in (*row, best)))
        console.print(table)


if __name__ == "__main__":
    main()
