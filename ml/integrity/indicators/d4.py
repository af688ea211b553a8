"""D4, neighbour switching: did an importer move to the lower-taxed neighbour when the rates parted?

Within a heading whose rates changed against each other: lines under the subheading that became the
cheaper one, before and after, against all other importers of that heading (difference in differences).
Given the margins, the number of low lines after the change is Fisher's noncentral hypergeometric, with
the odds by which everybody else moved; so a heading that all importers leave accuses nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table
from ml.plots import wilson

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Lines:
    """Lines of a heading by unit: under the lower rate and in all, before and after the change."""

    low_before: Integers
    before: Integers
    low_after: Integers
    after: Integers


@dataclass(frozen=True)
class Switches:
    """What each importer did beyond the others.

    Attributes:
        expected: Low lines after the change if its odds before had moved like the others'.
        share_excess: (observed - expected) / lines after.
        low, high: Its 95 % interval (of the share).
        p_value: One-sided, exact given the margins.
    """

    expected: Floats
    share_excess: Floats
    low: Floats
    high: Floats
    p_value: Floats


def peers_odds_ratio(peers: Lines) -> Floats:
    """Return the odds ratio of low lines, after to before; half a line is added to each cell (Haldane)."""
    a, b = peers.low_after + 0.5, peers.after - peers.low_after + 0.5
    c, d = peers.low_before + 0.5, peers.before - peers.low_before + 0.5
    ratio: Floats = (a / b) / (c / d)
    return ratio


def switching(own: Lines, peers: Lines) -> Switches:
    """Judge how many more low lines than the others' odds each importer has after the change."""
    odds_ratio = peers_odds_ratio(peers)
    total, low = own.before + own.after, own.low_before + own.low_after
    p_value = np.asarray(stats.nchypergeom_fisher.sf(own.low_after - 1, total, low, own.after, odds_ratio))
    share = own.low_after / np.maximum(own.after, 1)
    share_low, share_high = wilson(share, np.maximum(own.after, 1).astype(np.float64))
    before = own.low_before / np.maximum(own.before, 1)
    usual, usual_low, usual_high = (
        one * odds_ratio / (1 - one + one * odds_ratio)
        for one in (before, *wilson(before, np.maximum(own.before, 1).astype(np.float64)))
    )
    excess = share - usual
    # Interval of a difference from those of its parts (Newcombe 1998).
    low_edge = excess - np.hypot(share - share_low, usual_high - usual)
    high_edge = excess + np.hypot(share_high - share, usual - usual_low)
    return Switches(usual * own.after, excess, low_edge, high_edge, p_value)


_LINES = """
with rates as (
    select distinct heading_code, hs6, month, general_rate_pct from integrity_subheading_lines
),
distances as (
    select
        *, general_rate_pct - min(general_rate_pct) over (partition by heading_code, month) as above_lowest
    from rates
),
steps as (
    select
        *, lag(above_lowest) over (partition by heading_code, hs6 order by month) as above_before
    from distances
),
changes as (
    select heading_code, max(month) filter (where above_lowest != above_before) as changed_in
    from steps
    group by heading_code
),
sides as (
    select
        heading_code, hs6, any_value(changed_in) as changed_in,
        arg_max(above_lowest, month) filter (where month < changed_in) as above_before,
        arg_max(above_lowest, month) filter (where month >= changed_in) as above_after
    from distances inner join changes using (heading_code)
    where changed_in is not null
    group by all
),
-- Only where the distance to the lowest rate grew has anybody a reason to move.
parted as (
    select heading_code, avg(above_after) filter (where above_after > 0) as gap_pct
    from sides
    group by heading_code
    having avg(above_after) > avg(above_before)
),
counted as (
    select
        importer_id, heading_code, any_value(gap_pct) as gap_pct,
        sum(lines_n) filter (where month < changed_in) as before,
        sum(lines_n) filter (where month < changed_in and above_after = 0) as low_before,
        sum(lines_n) filter (where month >= changed_in) as after,
        sum(lines_n) filter (where month >= changed_in and above_after = 0) as low_after,
        sum(cif_value_usd) filter (where month >= changed_in) as value_after
    from integrity_subheading_lines
    inner join sides using (heading_code, hs6)
    inner join parted using (heading_code)
    group by importer_id, heading_code
)
select
    importer_id, heading_code, gap_pct / 100 as gap, coalesce(value_after, 0) as value_after,
    {columns}
from counted
order by importer_id, heading_code
"""
_COUNTS = ("low_before", "before", "low_after", "after")


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return importers by heading with the lines that moved to the lower rate beyond the others'."""
    own_columns = [f"coalesce({name}, 0)::bigint as {name}" for name in _COUNTS]
    # What the others did: everybody less the importer.
    peers_columns = [
        f"(sum(coalesce({name}, 0)) over (partition by heading_code) - coalesce({name}, 0))::bigint"
        f" as peers_{name}"
        for name in _COUNTS
    ]
    found = inputs.query(_LINES.format(columns=", ".join(own_columns + peers_columns)))
    if not found.num_rows:
        return no_rows()
    own = Lines(*(found[name].to_numpy() for name in _COUNTS))
    peers = Lines(*(found[f"peers_{name}"].to_numpy() for name in _COUNTS))
    support = (own.before + own.after).astype(np.float64)
    least = entry.options["lines_each_side_minimum"]
    has_support = (support >= entry.support_minimum) & (np.minimum(own.before, own.after) >= least)
    has_support &= np.minimum(peers.before, peers.after) >= entry.options["peer_lines_minimum"]
    judged = {
        name: np.full(support.size, np.nan) for name in ("expected", "share_excess", "low", "high", "p_value")
    }
    if has_support.any():
        part = switching(
            *(Lines(*(getattr(one, name)[has_support] for name in _COUNTS)) for one in (own, peers))
        )
        for name, column in judged.items():
            column[has_support] = getattr(part, name)
    stake = found["value_after"].to_numpy() * found["gap"].to_numpy()
    return raw_table(
        {
            "unit_kind": "importer",
            "unit_id": found["importer_id"],
            "counterpart_id": found["heading_code"],
            "observed": own.low_after.astype(np.float64),
            "expected": judged["expected"],
            "observed_unit": "lines under the lower rate after the change",
            "effect_name": "share of lines that moved beyond the others'",
            "effect_size": judged["share_excess"],
            "effect_low": judged["low"],
            "effect_high": judged["high"],
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "Fisher's noncentral hypergeometric, exact",
            "p_value": judged["p_value"],
            "support": support,
            "has_support": has_support,
            "revenue_at_stake_usd": np.maximum(judged["share_excess"], 0) * stake,
            "revenue_low_usd": np.maximum(judged["low"], 0) * stake,
            "revenue_high_usd": np.maximum(judged["high"], 0) * stake,
        }
    )
