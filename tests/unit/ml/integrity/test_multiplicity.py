"""Adjusted p-values, their weights by kind and their levels over looks."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ml.integrity.multiplicity import q_values


def test_without_kinds_and_looks_it_is_the_procedure_itself() -> None:
    p = np.array([0.001, 0.01, 0.03, 0.5, 0.9])
    np.testing.assert_allclose(q_values(p, "benjamini-hochberg"), stats.false_discovery_control(p))
    np.testing.assert_allclose(
        q_values(p, "benjamini-yekutieli"), stats.false_discovery_control(p, method="by")
    )


def test_what_was_not_tested_has_no_q_and_is_no_part_of_the_family() -> None:
    found = q_values(np.array([0.01, np.nan, 0.04]), "benjamini-hochberg")
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])
    assert np.isnan(q_values(np.array([np.nan]), "benjamini-hochberg")).all()


def test_a_kind_of_few_units_is_not_drowned_by_one_of_many() -> None:
    p = np.concatenate([[0.001], np.full(999, 0.9)])
    kinds = np.array(["supervisor"] + ["importer"] * 999, dtype=object)
    assert q_values(p, "benjamini-hochberg")[0] == 0.9
    np.testing.assert_allclose(q_values(p, "benjamini-hochberg", kinds)[0], 0.002)


def test_a_term_of_looks_spends_its_level_once() -> None:
    p = np.array([0.001, 0.8])
    np.testing.assert_allclose(q_values(p, "benjamini-hochberg", looks=24), [0.048, 1.0])


def test_in_a_null_world_a_family_is_flagged_as_often_as_its_level() -> None:
    """4,000 families of kinds of unequal size; false alarm of this test: 1e-6."""
    random = np.random.default_rng(3)
    kinds = np.array(["a"] * 5 + ["b"] * 95, dtype=object)
    flagged = sum(
        (q_values(random.random(100), "benjamini-hochberg", kinds) <= 0.05).any() for _ in range(4_000)
    )
    assert stats.binom.sf(flagged - 1, 4_000, 0.05) > 1e-6
    assert stats.binom.cdf(flagged, 4_000, 0.05) > 1e-6
