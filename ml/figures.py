"""Figures of a ranking and a probability in many resampled worlds at once.

One implementation gives the plain figure (the first world) and its spread (the others), weighted or
not. Ties: items with equal score share the places they compete for, so a figure at n % is the mean
over all orders of the tied items. It depends on no row order and no seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data import Floats, Mask
from ml.resampling import Blocks

ECE_BINS = 10
PROBABILITY_EDGE = 1e-6
_NEWTON_STEPS = 30
_CHUNK_CELLS = 4_000_000
_ROUNDING = 1e-9

Worlds = dict[str, Floats]


@dataclass(frozen=True)
class Sample:
    """Labelled items to judge on.

    Attributes:
        is_irregular: The truth.
        recovered_usd: Recovered tax in USD, no NaN.
        weight: What an item stands for; 1 where every item stands for itself.
        blocks: Resampled worlds.
        cell: Where given, the cell (office and period) each item competes in for inspection.
    """

    is_irregular: Mask
    recovered_usd: Floats
    weight: Floats
    blocks: Blocks
    cell: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.is_irregular)


@dataclass(frozen=True)
class _Ordered:
    """Items in groups of equal score, best first within each cell; block sums of each group."""

    irregular: Floats  # groups x blocks
    regular: Floats
    recovered: Floats
    cell_start: NDArray[np.int64]  # first group of each cell
    cell_of: NDArray[np.int64]  # cell of each group


def ranking_worlds(
    score: Floats, sample: Sample, shares: tuple[float, ...], best: Worlds | None = None
) -> Worlds:
    """Return AUC, average precision and the figures at every share, one value per world.

    precision@n = irregular in top / size, recall@n = irregular in top / all irregular, revenue@n =
    recovered in top / all recovered (Kim et al., DATE, KDD 2020). The normalised form divides by what
    a ranking that knew the truth would reach (Kim et al., IEEE TKDE 2022). With cells, the top n % of
    every cell is inspected and the cells are added up; AUC and AP are then left out.

    Args:
        score: Higher is inspected earlier.
        sample: What is true, and the worlds.
        shares: Inspected shares.
        best: From `best_worlds`, where several rankings are judged on one sample.
    """
    if not len(sample):
        return {}
    reached = best_worlds(sample, shares) if best is None else best
    found = _in_all_worlds(_order(score, sample), sample, shares, separation=sample.cell is None)
    irregular, recovered = found.pop("all_irregular"), found.pop("all_recovered")
    figures = {name: found[name] for name in ("auc", "average_precision") if name in found}
    with np.errstate(invalid="ignore", divide="ignore"):
        for suffix in map(share_suffix, shares):
            size, hits, usd = (found[f"{part}_{suffix}"] for part in ("size", "irregular", "recovered"))
            figures |= {
                f"precision_{suffix}": hits / size,
                f"recall_{suffix}": hits / irregular,
                f"precision_normalised_{suffix}": hits / reached[f"irregular_{suffix}"],
                f"revenue_{suffix}": np.where(recovered > 0, usd / recovered, np.nan),
                f"revenue_normalised_{suffix}": np.where(
                    reached[f"recovered_{suffix}"] > 0, usd / reached[f"recovered_{suffix}"], np.nan
                ),
            }
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in figures.items()}


def best_worlds(sample: Sample, shares: tuple[float, ...]) -> Worlds:
    """Return what a ranking that knew the truth would find and recover, per share and world."""
    if not len(sample):
        return {}
    truth = sample.is_irregular.astype(np.float64)
    most = _in_all_worlds(_order(truth, sample), sample, shares, separation=False)
    richest = _in_all_worlds(_order(sample.recovered_usd, sample), sample, shares, separation=False)
    suffixes = [share_suffix(share) for share in shares]
    return {f"irregular_{suffix}": most[f"irregular_{suffix}"] for suffix in suffixes} | {
        f"recovered_{suffix}": richest[f"recovered_{suffix}"] for suffix in suffixes
    }


def probability_worlds(probability: Floats, sample: Sample) -> Worlds:
    """Return Brier score, log loss, expected calibration error, slope and intercept, per world.

    Brier 1950; ECE over ten equal-width bins (Naeini, Cooper and Hauskrecht 2015); slope and intercept
    of a logistic regression of the outcome on the log-odds (Cox 1958), 1 and 0 when calibrated.
    """
    if not len(sample):
        return {}
    truth = sample.is_irregular.astype(np.float64)
    kept = np.clip(probability, PROBABILITY_EDGE, 1 - PROBABILITY_EDGE)
    total = sample.blocks.sums(sample.weight)
    loss = -(truth * np.log(kept) + (1 - truth) * np.log(1 - kept))
    position = np.minimum((probability * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gap = sample.weight * (probability - truth)
    binned = [sample.blocks.sums(np.where(position == one, gap, 0.0)) for one in range(ECE_BINS)]
    with np.errstate(invalid="ignore", divide="ignore"):
        figures = {
            "brier": sample.blocks.sums(sample.weight * (probability - truth) ** 2) / total,
            "log_loss": sample.blocks.sums(sample.weight * loss) / total,
            "calibration_error": np.abs(np.array(binned)).sum(axis=0) / total,
        }
    return figures | _logistic_fit(np.log(kept / (1 - kept)), sample)


def _order(score: Floats, sample: Sample) -> _Ordered:
    cell = np.zeros(len(sample), dtype=np.int64) if sample.cell is None else sample.cell
    order = np.lexsort((-score, cell))
    ranked, cells = score[order], cell[order]
    starts = np.flatnonzero(np.r_[True, (ranked[1:] != ranked[:-1]) | (cells[1:] != cells[:-1])])
    group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(order)]))
    blocks = sample.blocks.counts.shape[1]
    slot = group * blocks + sample.blocks.index[order]

    def summed(values: Floats) -> Floats:
        weighted = (values * sample.weight)[order]
        by_slot = np.bincount(slot, weights=weighted, minlength=len(starts) * blocks)
        return np.asarray(by_slot.reshape(-1, blocks), dtype=np.float64)

    truth = sample.is_irregular.astype(np.float64)
    group_cell = cells[starts]
    _, cell_start, cell_of = np.unique(group_cell, return_index=True, return_inverse=True)
    return _Ordered(
        irregular=summed(truth),
        regular=summed(1.0 - truth),
        recovered=summed(sample.recovered_usd),
        cell_start=np.asarray(cell_start, dtype=np.int64),
        cell_of=np.asarray(cell_of, dtype=np.int64),
    )


def _in_all_worlds(order: _Ordered, sample: Sample, shares: tuple[float, ...], *, separation: bool) -> Worlds:
    """Return sums and counts at every share, some worlds at a time so that memory stays bounded."""
    parts: list[Worlds] = []
    step = max(1, _CHUNK_CELLS // len(order.cell_of))
    for first in range(0, sample.blocks.worlds, step):
        counts = sample.blocks.counts[first : first + step]
        irregular, regular, recovered = (
            counts @ values.T for values in (order.irregular, order.regular, order.recovered)
        )
        part = _separation(irregular, regular) if separation else {}
        part |= {"all_irregular": irregular.sum(axis=1), "all_recovered": recovered.sum(axis=1)}
        parts.append(part | _tops(order, irregular + regular, irregular, recovered, shares))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _separation(irregular: Floats, regular: Floats) -> Worlds:
    """AUC with ties counted half, average precision with ties as one step; worlds by groups."""
    found, passed = np.cumsum(irregular, axis=1), np.cumsum(regular, axis=1)
    all_irregular, all_regular = found[:, -1], passed[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        below = all_regular[:, None] - passed + 0.5 * regular
        auc = (irregular * below).sum(axis=1) / (all_irregular * all_regular)
        precision = np.nan_to_num(found / (found + passed))
        average = (irregular * precision).sum(axis=1) / all_irregular
    defined = (all_irregular > 0) & (all_regular > 0)
    return {
        "auc": np.where(defined, auc, np.nan),
        "average_precision": np.where(defined, average, np.nan),
    }


def _tops(
    order: _Ordered, weight: Floats, irregular: Floats, recovered: Floats, shares: tuple[float, ...]
) -> Worlds:
    """Return, per share and world, how much is inspected, how much of it is irregular, what it recovers.

    The last group that is reached is inspected in part: its items share the places that are left.
    """
    starts, ends = order.cell_start, np.r_[order.cell_start[1:], len(order.cell_of)] - 1
    totals = [_with_zero(values) for values in (weight, irregular, recovered)]
    found: Worlds = {}
    for share in shares:
        before = totals[0][:, starts]
        in_cell = totals[0][:, ends + 1] - before
        # Rounded up, so that every cell that holds anything inspects at least one item.
        capacity = np.minimum(np.ceil(share * in_cell - _ROUNDING), in_cell)
        goal = before + capacity
        last = np.stack(
            [np.searchsorted(row[1:], aim - _ROUNDING) for row, aim in zip(totals[0], goal, strict=True)]
        )
        last = np.clip(last, starts, ends)
        rows = np.arange(len(weight))[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.clip((goal - totals[0][rows, last]) / weight[rows, last], 0.0, 1.0)
        part = np.nan_to_num(part)
        suffix = share_suffix(share)
        found[f"size_{suffix}"] = capacity.sum(axis=1)
        for name, total, values in (
            ("irregular", totals[1], irregular),
            ("recovered", totals[2], recovered),
        ):
            whole = total[rows, last] - total[:, starts]
            found[f"{name}_{suffix}"] = (whole + part * values[rows, last]).sum(axis=1)
    return found


def _with_zero(values: Floats) -> Floats:
    """Return running totals along each row, beginning with 0."""
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def share_suffix(share: float) -> str:
    """Return how a share reads in a metric's name: `at_05` for 0.05, `at_00_5` for 0.005."""
    percent = round(share * 100, 6)
    whole = int(percent)
    rest = f"{percent - whole:.6f}"[2:].rstrip("0")
    return f"at_{whole:02d}" + (f"_{rest}" if rest else "")


def _logistic_fit(log_odds: Floats, sample: Sample) -> Worlds:
    """Fit outcome on log-odds in every world by Newton's method; not defined where it diverges.

    Log-odds are rounded to a hundredth, which makes sums of equal ones: worlds are then cheap.
    """
    counts, blocks = sample.blocks.counts, sample.blocks.counts.shape[1]
    values, position = np.unique(np.round(log_odds, 2), return_inverse=True)
    slope, intercept = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    if len(values) > 1:
        slot = position.reshape(-1) * blocks + sample.blocks.index
        size = len(values) * blocks
        everything = np.bincount(slot, weights=sample.weight, minlength=size).reshape(-1, blocks)
        irregular = np.bincount(slot, weights=sample.weight * sample.is_irregular, minlength=size)
        slope, intercept = _newton(values, counts @ irregular.reshape(-1, blocks).T, counts @ everything.T)
    return {"calibration_slope": slope, "calibration_intercept": intercept}


def _newton(x: Floats, irregular: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return slope and intercept of every world from sums by value of x."""
    a, b = np.zeros(len(weight)), np.ones(len(weight))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_NEWTON_STEPS):
            fitted = 1 / (1 + np.exp(-np.clip(a[:, None] + b[:, None] * x, -500, 500)))
            error, curve = irregular - weight * fitted, weight * fitted * (1 - fitted)
            g0, g1 = error.sum(axis=1), error @ x
            h00, h01, h11 = curve.sum(axis=1), curve @ x, curve @ (x * x)
            determinant = h00 * h11 - h01**2
            da, db = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
            a, b = a + da, b + db
            if np.nanmax(np.abs(np.r_[da, db, 0.0])) < 1e-9:
                break
        settled = (np.abs(da) < 1e-4) & (np.abs(db) < 1e-4) & (np.abs(b) < 1e3)
    return np.where(settled, b, np.nan), np.where(settled, a, np.nan)
