"""D2, mirror gaps: does a flow weigh the same and cost less than the partner says it sent?

Gap = ln(partner's FOB value x (1 + freight margin)) - ln(own CIF value), and the same in mass. What a
partner's or a chapter's records have in common (hubs, freight, lag, general or special trade) is taken
out by two-way median polish (Tukey 1977); what is left is judged against its own robust spread at the
cell's size, with the tails that it has. A gap in value without one in mass looks like undervaluation; one
in mass like missing or misrouted goods. Records with one side only are listed apart and never tested. No
gap is "illicit flow" (Nitsch 2017; Forstater 2018).
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

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TO_SIGMA = 1.4826  # median absolute deviation to standard deviation of a normal
_LEAST_CELLS_PER_BAND = 30
_MOST_GAP = 3.0  # in ln: a stake of more than twenty times what was recorded is not believed
_FEWEST_DEGREES, _MOST_DEGREES = 2.0, 100.0
_NORMAL_TAIL_RATIO = float(stats.norm.ppf(0.975) / stats.norm.ppf(0.75))


@dataclass(frozen=True)
class Gaps:
    """Gaps of cells with both sides.

    Attributes:
        gap: As recorded, in ln.
        usual: What partner and chapter have in common.
        spread: Robust standard deviation at the cell's size.
        degrees: Degrees of freedom of the t-distribution with the tails of the residuals.
        p_value: One-sided: the partner recorded more than usual.
    """

    gap: Floats
    usual: Floats
    spread: Floats
    degrees: float
    p_value: Floats


def judge_gaps(gap: Floats, partner: Integers, chapter: Integers, size: Floats) -> Gaps:
    """Judge the gap of each cell against those of its partner, its chapter and its size.

    Args:
        gap: In ln, finite.
        partner: Number of the partner, from 0.
        chapter: Number of the chapter, from 0.
        size: Whatever orders cells by how exactly their gap is known, such as value.
    """
    usual = median_polish(gap, partner, chapter)
    residual = gap - usual
    spread = _spread_by_size(residual, size)
    degrees = tail_degrees(residual / spread)
    scale = spread / _sigma_of_quartile(degrees)
    return Gaps(gap, usual, scale, degrees, np.asarray(stats.t.sf(residual / scale, degrees)))


def median_polish(value: Floats, rows: Integers, columns: Integers, rounds: int = 5) -> Floats:
    """Return the sum of overall, row and column medians of unbalanced cells."""
    fitted = np.full(value.size, np.median(value) if value.size else 0.0)
    for _ in range(rounds):
        for groups in (rows, columns):
            fitted = fitted + _group_medians(value - fitted, groups)[groups]
    return fitted


def tail_degrees(standardised: Floats) -> float:
    """Return the degrees of freedom of a t whose 97.5 % and 75 % points have the ratio seen; few is heavy."""
    if standardised.size < _LEAST_CELLS_PER_BAND:
        return 5.0  # cautious where tails cannot be seen
    middle = np.abs(standardised - np.median(standardised))
    ratio = float(np.quantile(middle, 0.95) / max(np.quantile(middle, 0.5), 1e-12))
    if ratio <= _NORMAL_TAIL_RATIO:
        return _MOST_DEGREES
    grid = np.geomspace(_FEWEST_DEGREES, _MOST_DEGREES, 200)
    ratios = stats.t.ppf(0.975, grid) / stats.t.ppf(0.75, grid)
    return float(grid[np.argmin(np.abs(ratios - ratio))])


def _sigma_of_quartile(degrees: float) -> float:
    """Return what turns a spread from the median absolute deviation into the scale of that t."""
    return float(stats.t.ppf(0.75, degrees) / stats.norm.ppf(0.75))


def _spread_by_size(residual: Floats, size: Floats) -> Floats:
    """Return the robust spread among cells of about the same size: small cells are noisier."""
    bands = max(1, min(8, residual.size // _LEAST_CELLS_PER_BAND))
    order = np.argsort(size, kind="stable")
    band = np.empty(residual.size, dtype=np.int64)
    band[order] = np.arange(residual.size) * bands // max(residual.size, 1)
    spread = _TO_SIGMA * _group_medians(np.abs(residual), band)
    return np.maximum(spread, 1e-6)[band] if residual.size else residual


def _group_medians(value: Floats, groups: Integers) -> Floats:
    """Return the median of each group; 0 where it has no member."""
    count = np.bincount(groups)
    order = np.lexsort((value, groups))
    ranked = value[order]
    start = np.cumsum(count) - count
    filled = count > 0
    lower, upper = start + (count - 1) // 2, start + count // 2
    medians = np.zeros(count.size)
    medians[filled] = (ranked[lower[filled]] + ranked[upper[filled]]) / 2
    return medians


_CELLS = """
select
    classification_code, hs6, partner_code,
    sum(own_cif_value_usd) as own_value, sum(partner_fob_value_usd) as partner_value,
    sum(own_net_kg) as own_kg, sum(partner_net_kg) as partner_kg,
    sum(own_cif_value_usd) filter (where own_fob_value_usd > 0) / sum(own_fob_value_usd) as freight,
    avg(duty_rate_pct) / 100 as rate
from integrity_mirror_flows
group by all
order by all
"""
_KINDS = ("flow: value per kg", "flow: mass")


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return flows with their gap in value per kg and in mass, and partners with their one-sided records."""
    found = inputs.query(_CELLS)
    cells = {
        name: np.nan_to_num(found[name].to_numpy(zero_copy_only=False).astype(np.float64))
        for name in ("own_value", "partner_value", "own_kg", "partner_kg", "freight", "rate")
    }
    hs6 = np.asarray(found["hs6"].to_pylist(), dtype=object)
    partner = np.asarray(found["partner_code"].to_pylist(), dtype=object)
    known = cells["freight"][cells["freight"] > 0]
    margin = float(np.median(known)) if known.size else 1 + entry.options["freight_share"]
    both = (cells["own_value"] > 0) & (cells["partner_value"] > 0)
    both &= (cells["own_kg"] > 0) & (cells["partner_kg"] > 0)
    if not both.any():
        return no_rows()
    flows = _flows(
        hs6[both], partner[both], {name: value[both] for name, value in cells.items()}, margin, entry
    )
    return pa.concat_tables([*flows, _one_sided(partner, cells, margin, entry)])


def _flows(
    hs6: NDArray[np.object_],
    partner: NDArray[np.object_],
    cells: dict[str, Floats],
    margin: float,
    entry: Entry,
) -> list[pa.Table]:
    """Judge the gap in value per kg and the one in mass of the flows that both sides recorded."""
    value = np.log(cells["partner_value"] * margin / cells["own_value"])
    mass = np.log(cells["partner_kg"] / cells["own_kg"])
    _, partner_no = np.unique(partner.astype(str), return_inverse=True)
    _, chapter_no = np.unique([code[:2] for code in hs6], return_inverse=True)
    smaller = np.minimum(cells["own_value"], cells["partner_value"])
    # A partner that records far more or far less of everything is a hub, or has goods recorded at one.
    hub = np.abs(_group_medians(mass, partner_no))[partner_no] > entry.options["hub_gap"]
    has_support = (smaller >= entry.support_minimum) & ~hub
    tables = []
    for kind, gap in zip(_KINDS, (value - mass, mass), strict=True):
        judged = {name: np.full(gap.size, np.nan) for name in ("usual", "spread", "p_value")}
        half = np.nan
        if has_support.any():
            part = judge_gaps(
                gap[has_support], partner_no[has_support], chapter_no[has_support], smaller[has_support]
            )
            for name, column in judged.items():
                column[has_support] = getattr(part, name)
            half = float(stats.t.ppf(0.975, part.degrees))
        beyond, spread = gap - judged["usual"], judged["spread"]
        edges = (beyond, beyond - half * spread, beyond + half * spread)
        duty = [
            np.maximum(np.expm1(np.minimum(edge, _MOST_GAP)), 0) * cells["own_value"] * cells["rate"]
            for edge in edges
        ]
        tables.append(
            raw_table(
                {
                    "unit_kind": kind,
                    "unit_id": [f"{code} from {country}" for code, country in zip(hs6, partner, strict=True)],
                    "observed": gap,
                    "expected": judged["usual"],
                    "observed_unit": "ln of partner's record over own",
                    "effect_name": "gap beyond the usual one of partner and chapter",
                    "effect_size": edges[0],
                    "effect_low": edges[1],
                    "effect_high": edges[2],
                    "effect_unit": entry.effect_unit,
                    "tail": "high",
                    "test_name": "robust t after two-way median polish",
                    "p_value": judged["p_value"],
                    "support": np.where(hub, 0.0, smaller),
                    "has_support": has_support,
                    "revenue_at_stake_usd": duty[0],
                    "revenue_low_usd": duty[1],
                    "revenue_high_usd": duty[2],
                }
            )
        )
    return tables


def _one_sided(
    partner: NDArray[np.object_], cells: dict[str, Floats], margin: float, entry: Entry
) -> pa.Table:
    """Describe what the partner alone recorded (lost) and what the member alone did (orphaned); no test."""
    names, place = np.unique(partner.astype(str), return_inverse=True)
    lost = np.where(cells["own_value"] <= 0, cells["partner_value"] * margin, 0)
    orphaned = np.where(cells["partner_value"] <= 0, cells["own_value"], 0)
    total = np.bincount(place, np.maximum(cells["own_value"], cells["partner_value"] * margin))
    shares = [np.bincount(place, part) / np.maximum(total, 1e-9) for part in (lost, orphaned)]
    return pa.concat_tables(
        raw_table(
            {
                "unit_kind": f"partner: {words}",
                "unit_id": names.tolist(),
                "observed": np.bincount(place, part),
                "observed_unit": "USD",
                "effect_name": "share of the trade with the partner",
                "effect_size": share,
                "effect_unit": "share",
                "support": 0.0,
                "has_support": np.zeros(names.size, dtype=bool),
                "reason": "described and not tested: hubs and lags make records of one side",
            }
        )
        for words, part, share in (
            ("lost records", lost, shares[0]),
            ("orphaned records", orphaned, shares[1]),
        )
    )
