"""A2: whether the inspector first assigned tells anything that was known before: taxes, chapter, broker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from ml.integrity.catalogue import Entry
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table

Ints = NDArray[np.int64]
_FILES = """
    select
        office_code,
        dense_rank() over (order by stratum_key) - 1 as stratum,
        dense_rank() over (order by inspector_id) - 1 as inspector,
        dense_rank() over (order by coalesce(declarant_id, '')) - 1 as broker,
        dense_rank() over (order by coalesce(chapter_code, '')) - 1 as chapter,
        rank() over (order by declared_tax_usd) as tax
    from integrity_assignment_files
    where office_code = '{office}'
    order by stratum, declaration_id
"""
_ENOUGH_HITS = 10


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return three rows per office: taxes, chapter and broker against the inspector, within shifts."""
    counts = inputs.query(
        "select office_code, count(*) as files from integrity_assignment_files group by all order by all"
    ).to_pylist()
    tables = [
        _office(inputs, entry, row["office_code"], row["files"], random)
        for row in counts
        if row["office_code"] is not None
    ]
    return pa.concat_tables(tables) if tables else no_rows()


def _office(inputs: Inputs, entry: Entry, office: str, size: int, random: np.random.Generator) -> pa.Table:
    has_support = size >= entry.support_minimum
    kinds = ["declared taxes", "chapter", "broker"]
    observed = expected = spread = np.full(3, np.nan)
    p_values = np.full(3, np.nan)
    if has_support:
        files = inputs.query(_FILES.format(office=office.replace("'", "''")))
        stratum, inspector = (_column(files, name) for name in ("stratum", "inspector"))
        tax = _column(files, "tax").astype(np.float64)
        labels = [_column(files, name) for name in ("chapter", "broker")]
        most = int(entry.options["permutations"])
        observed, p_values, expected, spread = permutation_test(stratum, inspector, tax, labels, most, random)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = (observed - expected) / expected
        error = spread / expected
    return raw_table(
        {
            "unit_kind": [f"office, {kind}" for kind in kinds],
            "unit_id": [office] * 3,
            "office_id": [office] * 3,
            "observed": observed,
            "expected": expected,
            "observed_unit": "sum of squares over inspectors",
            "effect_name": "dependence beyond an even draw",
            "effect_size": effect,
            "effect_low": effect - 1.96 * error,
            "effect_high": effect + 1.96 * error,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "permutation of inspectors within shifts",
            "p_value": p_values,
            "support": np.full(3, float(size)),
            "has_support": np.full(3, has_support),
        }
    )


def permutation_test(
    stratum: Ints,
    inspector: Ints,
    score: NDArray[np.float64],
    labels: Sequence[Ints],
    most: int,
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return observed statistics, p-values, and mean and spread under permutation within strata.

    The first statistic is that of the score, the others are of the labels. Draws stop once every statistic
    was reached ten times, which leaves p-values valid (Besag, Clifford, 1991).

    Args:
        stratum: Of each file; files stand in its order.
        inspector: Of each file, from 0.
        score: A number of each file.
        labels: Categories of each file, from 0.
        most: Draws at most.
        random: Seeded generator.
    """
    measure = _Measure(stratum, inspector, score, labels)
    observed = measure.of(inspector)
    hits, draws = np.zeros(observed.size, dtype=np.int64), 0
    p_values = np.full(observed.size, np.nan)
    total, squares = np.zeros(observed.size), np.zeros(observed.size)
    while draws < most and np.isnan(p_values).any():
        order = np.argsort(stratum + random.random(stratum.size), kind="stable")
        found = measure.of(inspector[order])
        draws += 1
        total += found
        squares += found**2
        hits += found >= observed * (1 - 1e-12)
        just = np.isnan(p_values) & (hits >= _ENOUGH_HITS)
        p_values[just] = hits[just] / draws
    open_ = np.isnan(p_values)
    p_values[open_] = (hits[open_] + 1) / (draws + 1)
    mean = total / draws
    return observed, p_values, mean, np.sqrt(np.maximum(squares / draws - mean**2, 0))


class _Measure:
    """How much inspectors differ in what they got, beyond what their shifts had."""

    def __init__(
        self, stratum: Ints, inspector: Ints, score: NDArray[np.float64], labels: Sequence[Ints]
    ) -> None:
        self.inspectors = int(inspector.max()) + 1
        sizes = np.bincount(stratum)
        self._score = score - (np.bincount(stratum, score) / np.maximum(sizes, 1))[stratum]
        self._score /= np.sqrt(np.mean(self._score**2)) or 1.0
        self._files = np.maximum(np.bincount(inspector, minlength=self.inspectors), 1)
        self._labels = [(label, int(label.max()) + 1) for label in labels]
        self._expected = [self._expect(stratum, inspector, *one) for one in self._labels]

    def of(self, inspector: Ints) -> NDArray[np.float64]:
        """Return the statistics for an assignment."""
        sums = np.bincount(inspector, self._score, minlength=self.inspectors)
        found = [float((sums**2 / self._files).sum())]
        for (label, size), expected in zip(self._labels, self._expected, strict=True):
            counts = np.bincount(inspector * size + label, minlength=self.inspectors * size)
            found.append(float(((counts - expected) ** 2 / np.maximum(expected, 0.5)).sum()))
        return np.array(found)

    def _expect(self, stratum: Ints, inspector: Ints, label: Ints, size: int) -> NDArray[np.float64]:
        """Return expected counts by inspector and label: what each shift had, times his share of it."""
        strata = int(stratum.max()) + 1
        ones = np.ones(stratum.size)
        by_inspector = sparse.csr_matrix((ones, (inspector, stratum)), shape=(self.inspectors, strata))
        by_label = sparse.csr_matrix((ones, (stratum, label)), shape=(strata, size))
        share = sparse.diags(1 / np.maximum(np.bincount(stratum, minlength=strata), 1))
        expected: NDArray[np.float64] = (by_inspector @ share @ by_label).toarray().ravel()
        return expected


def _column(table: pa.Table, name: str) -> Ints:
    column: Ints = table[name].to_numpy().astype(np.int64)
    return column
