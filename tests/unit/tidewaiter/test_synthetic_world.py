"""The drawn world against its own specification.

Every statistical check states the probability with which a right generator would fail it under a
fresh seed; the seed here is fixed, so that a check fails always or never.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow.compute as pc
import pytest
from scipy import stats

from tidewaiter.synthetic.goods import draw_tariff, load_commodities
from tidewaiter.synthetic.profiles import PROFILES, Request, WorldParameters
from tidewaiter.synthetic.rows import World, draw_world

FALSE_ALARM = 1e-6
ITEMS = 20_000
DAY_S = 86_400


def request_for(member: str, seed: int = 11, items: int = ITEMS, **world: float) -> Request:
    return Request(
        profile=PROFILES[member],
        world=WorldParameters(**world),
        items=items,
        first_month=date(2024, 1, 1),
        months=18,
        seed=seed,
    )


@pytest.fixture(scope="module", params=sorted(PROFILES))
def member(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def world(member: str) -> World:
    return draw_world(request_for(member))


def column(world: World, name: str) -> np.ndarray:
    table = world.extract if name in world.extract.column_names else world.truth
    return table[name].to_numpy()


def scenario(world: World) -> np.ndarray:
    return world.truth["scenario"].fill_null("").to_numpy().astype(str)


def is_first_line(world: World) -> np.ndarray:
    """Rows that stand for their declaration, where a draw is by declaration."""
    return column(world, "item_no") == 1


def agrees_with(hits: int, trials: int, share: float) -> bool:
    """Exact binomial test at `FALSE_ALARM`."""
    return bool(stats.binomtest(hits, trials, share).pvalue > FALSE_ALARM)


def test_commodities_are_six_digits_and_cover_the_chapters_with_leading_zeros() -> None:
    goods = load_commodities()
    assert goods.hs6.size == np.unique(goods.hs6).size >= 120
    assert all(len(code) == 6 and code.isdigit() for code in goods.hs6.tolist())
    assert {code[:2] for code in goods.hs6.tolist()} >= {f"0{digit}" for digit in range(1, 10)}
    assert (goods.usd_per_kg > 0).all()
    assert 0.3 < goods.is_differentiated.mean() < 0.9


def test_tariff_clusters_by_heading_and_names_cheaper_neighbours(member: str) -> None:
    goods = load_commodities()
    tariff = draw_tariff(request_for(member), goods)
    has_neighbour = tariff.lower_neighbour >= 0
    neighbour = tariff.lower_neighbour[has_neighbour]
    assert has_neighbour.sum() >= 20
    assert (goods.heading[neighbour] == goods.heading[has_neighbour]).all()
    assert (tariff.rate_pct[neighbour] < tariff.rate_pct[has_neighbour]).all()
    within = np.mean([np.ptp(tariff.rate_pct[goods.heading == one]) for one in np.unique(goods.heading)])
    assert within < np.ptp(tariff.rate_pct) / 3


def test_items_are_exactly_as_many_as_asked_and_in_order_of_time(world: World) -> None:
    assert world.extract.num_rows == world.truth.num_rows == ITEMS
    registered = column(world, "registered_s")
    assert (np.diff(registered) >= 0).all()
    days = registered.astype("datetime64[s]")
    assert days.min() >= np.datetime64("2024-01-01")
    assert days.max() < np.datetime64("2025-07-01")


def test_declarations_are_numbered_once(world: World) -> None:
    keys = world.extract.select(["office_code", "serial", "item_no"]).append_column(
        "year", pc.year(world.extract["registered_s"].cast("timestamp[s]"))
    )
    assert keys.group_by(keys.column_names).aggregate([]).num_rows == ITEMS


def test_lanes_have_their_shares_of_declarations(world: World, member: str) -> None:
    profile = PROFILES[member]
    lanes = column(world, "lane_code")[is_first_line(world)]
    for lane, share in (
        ("RED", profile.red_share),
        ("YELLOW", profile.yellow_share),
        ("BLUE", profile.blue_share),
    ):
        assert abs((lanes == lane).sum() - share * lanes.size) <= 1


def test_random_draw_has_its_share_and_is_red(world: World) -> None:
    """False alarm 1e-6."""
    first = is_first_line(world)
    drawn = column(world, "is_random")[first]
    assert agrees_with(int(drawn.sum()), drawn.size, 0.03)
    assert (column(world, "lane_code")[first][drawn] == "RED").all()


def test_random_draw_is_uniform_over_declarants(world: World) -> None:
    """Chi-squared over declarants with an expectation of five or more; false alarm about 1e-6."""
    first = is_first_line(world)
    declarant, drawn = column(world, "declarant")[first], column(world, "is_random")[first]
    files = np.bincount(declarant)
    is_enough = files * 0.03 >= 5
    assert is_enough.sum() >= 10
    hits = np.bincount(declarant, weights=drawn)
    counts = np.array([hits[is_enough], (files - hits)[is_enough]])
    assert stats.chi2_contingency(counts).pvalue > FALSE_ALARM


def test_inspectors_are_drawn_uniformly_within_their_office(world: World, member: str) -> None:
    """Chi-squared within each office; false alarm about 1e-6 in each."""
    of_office = PROFILES[member].inspectors_per_office
    has_inspector = is_first_line(world) & ~np.isnan(column(world, "inspector"))
    inspector = column(world, "inspector")[has_inspector].astype(int)
    offices = column(world, "office_code")[has_inspector]
    for index, office in enumerate(PROFILES[member].office_codes):
        files = np.bincount(inspector[offices == office] - index * of_office, minlength=of_office)
        assert files.size == of_office
        assert stats.chisquare(files).pvalue > FALSE_ALARM


def test_irregularity_has_its_share_by_scenario(world: World) -> None:
    """Sum of independent draws with variance below Poisson; false alarm below 1e-6 in each."""
    parameters = WorldParameters()
    shares = {
        "S1": parameters.undervaluation_share,
        "S2": parameters.hs_switch_share,
        "S3": parameters.origin_share,
        "S4": parameters.weight_share,
    }
    assert 0.06 <= sum(shares.values()) <= 0.08
    for name, share in shares.items():
        expected = share * ITEMS
        assert (
            abs((scenario(world) == name).sum() - expected) < stats.norm.isf(FALSE_ALARM / 2) * expected**0.5
        )


def test_scenarios_do_what_they_say(world: World, member: str) -> None:
    goods = load_commodities()
    differentiated = set(goods.hs6[goods.is_differentiated].tolist())
    chosen = scenario(world)
    true_hs6, hs6 = column(world, "true_hs6"), column(world, "hs6")
    true_rate, rate = column(world, "true_rate_pct"), column(world, "rate_pct")
    value_ratio = column(world, "declared_value_usd") / column(world, "true_value_usd")
    mass_ratio = column(world, "net_kg") / column(world, "true_net_kg")

    s1 = chosen == "S1"
    assert set(true_hs6[s1].tolist()) <= differentiated
    assert (true_rate[s1] >= 20).all()
    assert ((value_ratio[s1] >= 0.3) & (value_ratio[s1] <= 0.75)).all()
    s2 = chosen == "S2"
    assert (rate[s2] < true_rate[s2]).all()
    assert (hs6[s2] != true_hs6[s2]).all()
    assert [code[:4] for code in hs6[s2]] == [code[:4] for code in true_hs6[s2]]
    s3 = chosen == "S3"
    partners = PROFILES[member].partner_iso2
    assert np.isin(column(world, "origin_iso2")[s3], partners).all()
    assert not np.isin(column(world, "true_origin_iso2")[s3], partners).any()
    assert column(world, "is_preferential")[s3].all()
    s4 = chosen == "S4"
    assert ((mass_ratio[s4] >= 0.6) & (mass_ratio[s4] <= 0.85)).all()
    honest = chosen == ""
    assert (hs6[honest] == true_hs6[honest]).all()
    np.testing.assert_allclose(value_ratio[honest], 1)
    np.testing.assert_allclose(mass_ratio[~s4], 1)
    assert (column(world, "true_tax_usd")[~honest] > column(world, "declared_tax_usd")[~honest]).all()


def test_history_tells_something_about_an_importer(world: World) -> None:
    irregular = world.truth["is_irregular"].to_numpy()
    bent = column(world, "is_bent_importer")
    assert irregular[bent].mean() > 3 * irregular[~bent].mean()
    assert 0.03 < bent.mean() < 0.25


def test_examination_has_its_sensitivity_and_specificity(world: World) -> None:
    """False alarm 1e-6 in each."""
    labelled = ~world.extract["is_irregular"].is_null().to_numpy()
    found = world.extract["is_irregular"].fill_null(False).to_numpy()[labelled]
    truly = world.truth["is_irregular"].to_numpy()[labelled]
    assert agrees_with(int(found[truly].sum()), int(truly.sum()), 0.75)
    assert agrees_with(int(found[~truly].sum()), int((~truly).sum()), 0.02)


def test_outcomes_exist_only_where_inspected_and_known(world: World) -> None:
    inspected = column(world, "is_inspected")
    unlabelled = world.extract["is_irregular"].is_null().to_numpy()
    assert unlabelled[~inspected].all()
    assert 0 < unlabelled[inspected].mean() < 0.2  # inspected near the end, not known yet
    for name in ("is_serious", "label_s", "recovered_tax", "finding_code"):
        assert (world.extract[name].is_null().to_numpy() == unlabelled).all()
    assert (world.extract["inspector"].is_null().to_numpy() == ~inspected).all()
    declared, assessed = column(world, "declared_value"), column(world, "assessed_value")
    np.testing.assert_array_equal(declared[unlabelled], assessed[unlabelled])


def test_instants_come_in_order(world: World) -> None:
    registered, lane = column(world, "registered_s"), column(world, "lane_s")
    released, label = column(world, "released_s"), column(world, "label_s")
    assert (lane > registered).all()
    assert (released[~np.isnan(released)] > registered[~np.isnan(released)]).all()
    labelled = ~np.isnan(label)
    assert (label[labelled] > released[labelled]).all()
    end_s = np.datetime64("2025-07-01", "s").astype(int)
    assert label[labelled].max() < end_s
    assert released[~np.isnan(released)].max() < end_s


def test_label_delay_has_its_median_and_its_tail(world: World) -> None:
    """Items of the first six months, a year before the period ends, so that truncation moves the
    shares by less than 0.0005; false alarm about 1e-6 in each."""
    early = column(world, "registered_s").astype("datetime64[s]") < np.datetime64("2024-07-01")
    known = early & ~np.isnan(column(world, "label_s"))
    delay_d = (column(world, "label_s") - column(world, "released_s"))[known] / DAY_S
    assert agrees_with(int((delay_d < 9).sum()), delay_d.size, 0.5)
    assert agrees_with(int((delay_d < 60).sum()), delay_d.size, 0.95)


def test_importers_are_heavy_tailed_and_some_walk_in(world: World) -> None:
    """Walk-ins: false alarm 1e-6."""
    importer = column(world, "importer")[is_first_line(world)]
    walk_in = np.isnan(importer)
    assert agrees_with(int(walk_in.sum()), importer.size, WorldParameters().walk_in_share)
    files = np.sort(np.bincount(importer[~walk_in].astype(int)))[::-1]
    assert files[: max(1, files.size // 100)].sum() > 0.2 * files.sum()


def test_mass_and_money_are_positive_and_net_is_below_gross(world: World) -> None:
    for name in ("net_kg", "gross_kg", "declared_value", "assessed_value"):
        assert (column(world, name) > 0).all()
    assert (column(world, "net_kg") < column(world, "gross_kg")).all()


def test_perfect_examination_finds_exactly_the_truth() -> None:
    world = draw_world(request_for("XA", items=4_000, sensitivity=1.0, specificity=1.0))
    labelled = ~world.extract["is_irregular"].is_null().to_numpy()
    found = world.extract["is_irregular"].fill_null(False).to_numpy()
    np.testing.assert_array_equal(found[labelled], world.truth["is_irregular"].to_numpy()[labelled])
