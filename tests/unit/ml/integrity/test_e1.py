"""E1: expectation and variance against shuffling, what the shuffle keeps, the level, a ring that is found."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from scipy import stats

from ml.integrity.indicators.e1 import Files, excess_edges, find_communities, shuffle_within
from ml.integrity.periods import Period


def drawn(random: np.random.Generator, files: int = 3000, parties: int = 60, officers: int = 16) -> Files:
    """Four officers serve in each of a hundred strata; parties are of very different sizes."""
    stratum = np.sort(random.integers(0, 100, files))
    on_duty = np.array([random.choice(officers, 4, replace=False) for _ in range(100)])
    party = np.minimum(random.geometric(0.05, files) - 1, parties - 1)
    return Files(stratum, party[:, None], on_duty[stratum, random.integers(0, 4, files)], parties, officers)


def test_expectation_and_variance_are_those_of_shuffling() -> None:
    random = np.random.default_rng(1)
    files = drawn(random, files=400, parties=5, officers=8)
    edges = excess_edges(files)
    counts = np.zeros((4000, 5, 8))
    for world in counts:
        np.add.at(world, (files.party[:, 0], files.officer[shuffle_within(files.stratum, random)]), 1)
    mean, variance = counts.mean(axis=0), counts.var(axis=0)
    place = (edges.party, edges.officer)
    assert np.abs(mean[place] - edges.expected).max() < 5 * np.sqrt(variance.max() / 4000)
    assert np.abs(variance[place] / edges.variance - 1).max() < 0.15


def test_a_shuffle_keeps_files_of_stratum_party_and_officer() -> None:
    random = np.random.default_rng(2)
    files = drawn(random)
    moved = files.officer[shuffle_within(files.stratum, random)]
    assert not np.array_equal(moved, files.officer)
    before, after = (
        np.unique(np.stack([files.stratum, one]), axis=1, return_counts=True)
        for one in (files.officer, moved)
    )
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_an_even_draw_makes_a_set_no_more_often_than_the_level() -> None:
    """The least p-value holds for all sets of a graph. 20 % over 20 worlds; 1e-6 to fail by chance."""
    random = np.random.default_rng(3)
    least = [
        find_communities(drawn(random, 1200, 30, 8), random, 19).p_value.min(initial=1.0) for _ in range(20)
    ]
    assert (np.array(least) <= 0.2).sum() <= stats.binom.isf(1e-6, 20, 0.2)


def test_a_supervisor_and_importers_are_found_together(marts: Any, compute: Any) -> None:
    random = np.random.default_rng(4)
    rows = []
    for number in range(3000):
        importer = f"importer-{random.integers(60)}"
        is_ring = importer in {"importer-1", "importer-2", "importer-3"}
        moved = random.random() < (0.35 if is_ring else 0.02)
        by = "supervisor-0" if is_ring else f"supervisor-{random.integers(2)}"
        rows.append(
            {
                "member_iso2": "XA",
                "month": date(2024, 1, 1),
                "draw": "importers and supervisors",
                "stratum_key": number % 6,
                "office_code": "P",
                "declaration_id": str(number),
                "broker_id": None,
                "importer_id": importer,
                "officer_id": by if moved else None,
            }
        )
    marts.write("integrity_draws", rows)
    found = compute("E1", Period(date(2024, 1, 1), date(2024, 12, 31)))
    strongest = min(found, key=lambda row: row["p_value"])
    assert strongest["p_value"] < 0.01
    assert strongest["unit_kind"] == "set: importers and supervisors"
    assert strongest["counterpart_id"] == "importer-1 importer-2 importer-3 supervisor-0"
