"""Scenarios and decoys: each does what it says, as strongly as it says, to whom it says, and no more.

Statistical checks fail a right generator with probability 1e-6 under a fresh seed, as in `test_world`.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tidewaiter.synthetic.columns import NOBODY
from tidewaiter.synthetic.declaring import CONFORM, HONEST, QTY, S1, S2, S3, S4, S5, S6, S12, VALUE
from tidewaiter.synthetic.goods import COUNTRIES, NOVEL_CHAPTER, NOVEL_ORIGIN
from tidewaiter.synthetic.officers import VEHICLES
from tidewaiter.synthetic.parameters import WorldParameters, plan
from tidewaiter.synthetic.resubmission import NEVER
from tidewaiter.synthetic.selectivity import GREEN, OPERATOR, RANDOM, RED

WORLD = WorldParameters()
DAY_S = 86_400


def agrees(hits: int, trials: int, share: float, false_alarm: float) -> bool:
    return bool(stats.binomtest(int(hits), int(trials), share).pvalue > false_alarm)


def test_irregularity_has_its_share_by_scenario(planted_world, false_alarm):
    """A sum of independent draws has less variance than Poisson: a bound."""
    scenario, plans = planted_world.declared.scenario, planted_world.request.plan.scenarios
    fresh = ~planted_world.declarations.is_again[planted_world.of] & (scenario != S5)
    for index, strength in ((S1, plans.S1), (S2, plans.S2), (S3, plans.S3), (S4, plans.S4)):
        expected = strength.share * fresh.sum()
        found = (scenario[fresh] == index).sum()
        assert abs(found - expected) < stats.norm.isf(false_alarm / 2) * expected**0.5 + 0.01 * expected


def test_declared_values_are_wrong_in_the_way_of_the_scenario(planted_world):
    world, setting = planted_world, planted_world.setting
    true, declared, scenario = world.true, world.declared, world.declared.scenario
    value = declared.value_usd / true.value_usd
    mass = declared.net_kg / true.net_kg
    goods = setting.goods
    s1 = scenario == S1
    assert goods.is_differentiated[true.commodity[s1]].all()
    assert (declared.true_rate_pct[s1 & ~declared.is_relieved] >= 20).all()
    assert ((value[s1] >= 0.30) & (value[s1] <= 0.75)).all()
    s2 = scenario == S2
    assert (goods.heading[declared.commodity[s2]] == goods.heading[true.commodity[s2]]).all()
    assert (declared.commodity[s2] != true.commodity[s2]).all()
    s3 = scenario == S3
    assert setting.is_partner[declared.origin[s3]].all()
    assert not setting.is_partner[true.origin[s3]].any()
    assert declared.is_preferential[s3].all()
    s4 = scenario == S4
    assert ((mass[s4] >= 0.60) & (mass[s4] <= 0.85)).all()
    np.testing.assert_allclose(value[s4], mass[s4])
    honest = scenario == HONEST
    for name in ("commodity", "origin"):
        assert (getattr(declared, name) == getattr(true, name))[honest].all()
    np.testing.assert_allclose(value[honest], 1)
    np.testing.assert_allclose(mass[~np.isin(scenario, (S4, S12))], 1)
    assert (declared.true_tax_usd >= declared.tax_usd - 1e-9).all()
    hides = ~honest & ~declared.is_relieved
    assert (declared.true_tax_usd > declared.tax_usd)[hides].mean() > 0.97


def test_irregularities_stick_to_importers(planted_world):
    world = planted_world
    bent = world.setting.parties.is_bent[world.declarations.consignee[world.of]]
    planted = np.isin(world.declared.scenario, (S1, S2, S3, S4))
    assert planted[bent].mean() > 3 * planted[~bent].mean()


def test_splitters_stay_under_the_threshold_within_three_days(planted_world):
    world = planted_world
    parts = world.declarations.is_split
    limit = world.request.profile.de_minimis_usd
    of = np.flatnonzero(parts[world.of])
    assert (world.declared.scenario[of] == S5).all()
    assert (world.declared.value_usd[of] < limit).all()
    assert (world.declared.tax_usd[of] == 0).all()
    assert (world.declared.true_tax_usd[of] > 0).mean() > 0.9
    importer = world.declarations.importer[parts]
    assert set(importer.tolist()) <= set(world.setting.cast.splitters.tolist())
    # Parts of one consignment: courier, seller and goods are one; gaps of more than 72 hours divide them.
    times = world.declarations.registered_s[parts]
    order = np.lexsort((times, importer))
    same = np.diff(importer[order]) == 0
    close = np.diff(times[order]) < 72 * 3600
    assert (same & close).sum() > 0.5 * parts.sum()


def test_colluding_pairs_divert_what_they_are_to_divert(planted_world, false_alarm):
    """Files of the pair beyond the even draw, against the diversion asked for.

    Arranged and other files are Bernoulli given the roster, so the binomial variance bounds the count.
    """
    world, officers, assigned = planted_world, planted_world.setting.officers, planted_world.assigned
    assert [pair.diversion for pair in world.setting.cast.pairs] == [0.05, 0.10, 0.20]
    for number, pair in enumerate(world.setting.cast.pairs):
        theirs = assigned.is_assigned & (world.declarations.declarant == pair.declarant)
        theirs &= world.declarations.registered_s >= pair.start_s
        files = int(theirs.sum())
        assert files > 60
        on = officers.is_on(np.full(files, pair.inspector), assigned.duty_day[theirs], assigned.shift[theirs])
        on &= assigned.team[theirs] == officers.team[pair.inspector]
        chance = (on / officers.counts[assigned.stratum[theirs]]).sum()
        excess = (assigned.first[theirs] == pair.inspector).sum() - chance
        spread = stats.norm.isf(false_alarm / 2) * (files * 0.25) ** 0.5
        assert abs(excess - pair.diversion * files) < spread
        diverted = assigned.is_diverted & (world.declarations.arranged_with == number)
        assert (assigned.first[diverted] == pair.inspector).all()
        assert officers.is_on(
            assigned.first[diverted], assigned.duty_day[diverted], assigned.shift[diverted]
        ).all()


def test_what_was_diverted_is_passed_and_passed_fast(planted_world, false_alarm):
    world = planted_world
    diverted = world.assigned.is_diverted & (world.cancelled.cancelled_s == NEVER)
    items = diverted[world.of]
    irregular = items & (world.declared.scenario == S6)
    assert irregular.sum() > 20
    assert (world.outcomes.finding[irregular] == CONFORM).all()
    # Post-clearance audits are by others, who find it as they find any irregularity.
    audited = world.outcomes.is_audited & (world.declared.scenario != HONEST)
    found = world.outcomes.audit_finding != CONFORM
    assert agrees(found[audited].sum(), audited.sum(), WORLD.audit_sensitivity, false_alarm)
    audited &= world.declared.scenario == S6
    assert (world.outcomes.audit_finding[audited & found] == VALUE).all()
    assert (audited & found).any()
    others = world.assigned.is_assigned & ~diverted & (world.cancelled.cancelled_s == NEVER)
    hours = np.log(np.maximum(world.cleared.released_s - world.cleared.act_s, 1))
    lane = world.selected.lane_final
    for one in np.unique(lane[diverted]):
        fast, usual = hours[diverted & (lane == one)], hours[others & (lane == one)]
        if fast.size > 30:
            assert stats.ttest_ind(fast, usual, equal_var=False, alternative="less").pvalue < 0.01


def test_arranged_goods_are_undervalued_as_often_as_asked(planted_world, false_alarm):
    world = planted_world
    arranged = (world.declarations.arranged_with >= 0)[world.of] & (world.declared.true_rate_pct > 0)
    arranged &= ~world.declarations.is_again[world.of]
    chosen = world.declared.scenario[arranged] == S6
    assert agrees(chosen.sum(), chosen.size, 0.6, false_alarm)
    assert not (world.declared.scenario == S6)[(world.declarations.arranged_with < 0)[world.of]].any()


def test_shoppers_register_their_reds_anew(planted_world, false_alarm):
    world, cast = planted_world, planted_world.setting.cast
    start = world.request.instant_s(world.request.plan.scenarios.S7.start)
    theirs = np.isin(world.declarations.declarant, cast.shoppers) & ~world.declarations.is_again
    theirs &= world.selected.lane_s >= start
    red = theirs & (world.selected.lane_initial == RED)
    assert agrees(world.cancelled.is_shopped[red].sum(), red.sum(), 0.35, false_alarm)
    assert not world.cancelled.is_shopped[~red].any()
    shopped = world.cancelled.is_shopped
    gap = (world.cancelled.again_s - world.declarations.registered_s)[shopped]
    assert (gap < 72 * 3600).all()
    # The draw of the second registration is as good as the first: it is red as often as any.
    again = np.isin(world.declarations.document, world.declarations.document[shopped])
    again &= world.declarations.is_again
    assert again.sum() > 20
    assert 0 < (world.selected.lane_initial[again] != RED).mean() < 1


def test_ring_moves_reds_of_its_importers_to_yellow(planted_world, false_alarm):
    world, cast = planted_world, planted_world.setting.cast
    start = world.request.instant_s(world.request.plan.scenarios.S8.start)
    theirs = np.isin(world.declarations.importer, cast.ring_importers) & (world.declarations.office == 0)
    theirs &= (world.selected.lane_s >= start) & (world.selected.lane_initial == RED)
    assert theirs.sum() > 20
    assert agrees(world.selected.is_ring[theirs].sum(), theirs.sum(), 0.30, false_alarm)
    assert not world.selected.is_ring[~theirs].any()
    assert (world.selected.override_by[world.selected.is_ring] == cast.ring_supervisor).all()


def test_lenient_inspector_misses_and_is_assigned_like_others(planted_world, false_alarm):
    world, cast = planted_world, planted_world.setting.cast
    start = world.request.instant_s(world.request.plan.scenarios.S9.start)
    his = np.isin(world.assigned.last, cast.lenient) & (world.assigned.assigned_s >= start)
    truly = world.outcomes.is_examined & (world.declared.scenario != HONEST)
    truly &= ~world.assigned.is_diverted[world.of]
    found = world.outcomes.finding != CONFORM
    assert agrees(found[truly & his[world.of]].sum(), (truly & his[world.of]).sum(), 0.25, false_alarm)
    extorting = np.isin(world.assigned.last, cast.extorting)
    others = truly & ~his[world.of] & ~extorting[world.of]
    assert agrees(found[others].sum(), others.sum(), WORLD.sensitivity, false_alarm)
    usual = world.assigned.is_assigned & ~world.assigned.is_diverted
    assert (world.assigned.first == world.assigned.drawn)[usual].all()


def test_extortion_delays_and_raises_values_of_small_importers(planted_world, false_alarm):
    world, cast = planted_world, planted_world.setting.cast
    start = world.request.instant_s(world.request.plan.scenarios.S10.start)
    his = np.isin(world.assigned.last, cast.extorting) & (world.assigned.assigned_s >= start)
    his &= world.assigned.is_assigned & (world.cancelled.cancelled_s == NEVER)
    raised = world.outcomes.is_extorted
    assert not raised[~his[world.of]].any()
    small = world.setting.is_small_importer[world.declarations.consignee[world.of]]
    assert not raised[~small].any()
    conform = his[world.of] & small & ((world.outcomes.finding == CONFORM) | raised)
    assert agrees(raised[conform].sum(), conform.sum(), 0.5, false_alarm)
    known = raised & world.outcomes.is_labelled & (world.declared.scenario == HONEST)
    uplift = world.outcomes.assessed_value_usd[known] / world.declared.value_usd[known]
    np.testing.assert_allclose(uplift, 1.12)
    others = world.assigned.is_assigned & ~his & (world.cancelled.cancelled_s == NEVER)
    hours = np.log(np.maximum(world.cleared.released_s - world.cleared.act_s, 1))
    assert np.median(hours[his]) - np.median(hours[others]) == pytest.approx(np.log(3), abs=0.5)


def test_tampered_draw_never_takes_the_brokers_for_sixty_days(planted_world, false_alarm):
    world, cast = planted_world, planted_world.setting.cast
    start = world.request.instant_s(0.5)
    theirs = np.isin(world.declarations.declarant, cast.passed_over)
    within = theirs & (world.declarations.registered_s >= start)
    within &= world.declarations.registered_s < start + 60 * DAY_S
    drawn = world.selected.source == RANDOM
    assert not drawn[within].any()
    assert agrees(world.selected.is_passed_over[within].sum(), within.sum(), WORLD.random_share, false_alarm)
    assert within.sum() > 50
    assert agrees(drawn[theirs & ~within].sum(), (theirs & ~within).sum(), WORLD.random_share, false_alarm)


def test_novel_fraud_is_new_in_every_way(planted_world, false_alarm):
    world = planted_world
    start = world.request.instant_s(0.42)
    novel = world.declarations.is_novel
    assert (world.declarations.registered_s[novel] >= start).all()
    items = novel[world.of]
    chapter = world.setting.goods.chapter[world.true.commodity]
    assert (chapter[items] == NOVEL_CHAPTER).all()
    assert (chapter[~items] != NOVEL_CHAPTER).all()
    assert (world.true.origin[items] == NOVEL_ORIGIN).all()
    assert (world.true.origin[~items] != NOVEL_ORIGIN).all()
    fresh = ~world.declarations.is_again[world.of] & items
    assert agrees((world.declared.scenario[fresh] == S12).sum(), fresh.sum(), 0.7, false_alarm)
    short = world.declared.scenario == S12
    np.testing.assert_allclose(
        world.declared.value_usd[short] / world.declared.net_kg[short],
        world.true.value_usd[short] / world.true.net_kg[short],
    )
    found = world.outcomes.finding[short & world.outcomes.is_examined]
    assert set(found.tolist()) <= {CONFORM, QTY}
    assert (found == QTY).any()


# ------------------------------------------------------------------ decoys


def test_vehicle_desk_has_its_own_roster(planted_world):
    world, officers = planted_world, planted_world.setting.officers
    desk = world.assigned.is_assigned & (world.assigned.team == VEHICLES)
    assert desk.sum() > 50
    assert (officers.team[world.assigned.first[desk]] == VEHICLES).all()
    first = np.cumsum(world.declarations.lines) - world.declarations.lines
    assert world.setting.goods.is_vehicle[world.declared.commodity[first[desk]]].all()
    theirs = np.isin(world.declarations.declarant, world.setting.cast.vehicle_declarants)
    assert (
        desk[theirs & world.assigned.is_assigned].mean()
        > 5 * desk[~theirs & world.assigned.is_assigned].mean()
    )


def test_night_broker_lodges_at_night(planted_world):
    world = planted_world
    hour = world.declarations.registered_s % DAY_S // 3600
    at_night = (hour >= 22) | (hour < 6)
    theirs = np.isin(world.declarations.declarant, world.setting.cast.night_declarants)
    assert at_night[theirs].mean() > 0.7
    assert at_night[~theirs].mean() < 0.1


def test_operators_are_seldom_selected_and_their_reds_moved_by_rule(planted_world):
    world = planted_world
    trusted = np.isin(world.declarations.importer, world.setting.cast.operators)
    green = world.selected.lane_initial == GREEN
    assert green[trusted].mean() > green[~trusted].mean() + 0.2
    moved = world.selected.override_by != NOBODY
    by_rule = moved & (world.selected.override_reason == OPERATOR)
    assert trusted[by_rule].all()
    assert not np.isin(world.declared.scenario[trusted[world.of]], (S5, S12)).any()


def test_devaluation_moves_the_rate_and_no_value_in_dollars(draw_world):
    with_shock = draw_world(items=6_000, how=plan("none", "Z4"))
    without = draw_world(items=6_000, how=plan("none", "none"))
    np.testing.assert_array_equal(with_shock.declared.value_usd, without.declared.value_usd)
    ratio = with_shock.setting.rates.units_per_usd / without.setting.rates.units_per_usd
    assert ratio[0] == 1
    assert ratio[-1] == pytest.approx(1 / 0.75, abs=1e-3)
    assert np.unique(ratio.round(3)).size == 2


def test_price_list_breaks_benford_for_its_importers_alone(planted_world, false_alarm):
    world = planted_world
    listed = np.isin(world.declarations.consignee[world.of], world.setting.cast.listed)
    honest = world.declared.scenario == HONEST
    values = np.unique(world.true.value_usd[listed & honest].round(2))
    assert values.size <= 12
    assert listed.sum() > 200
    assert np.unique(world.true.value_usd[~listed]).size > 0.9 * (~listed).sum()


def test_hub_stands_in_for_the_origin_in_partners_records(draw_world):
    from tidewaiter.synthetic.aggregates import Flows
    from tidewaiter.synthetic.goods import HUBS

    def reported(decoys: str) -> tuple[float, float]:
        world = draw_world(items=20_000, how=plan("none", decoys, ["world.mirror_sigma=0"]))
        flows = Flows(world.setting)
        for chunk in world.world.__class__(world.request).chunks():
            flows.add(chunk)
        mirror = flows.mirror()
        value = mirror["fob_value_usd"].to_numpy()
        is_hub = np.isin(mirror["partner_iso2"].to_numpy().astype(str), COUNTRIES[HUBS])
        return float(value[is_hub].sum()), float(value.sum())

    (plain, total), (by_hub, total_with) = reported("none"), reported("Z6")
    assert by_hub > 1.3 * plain
    assert total_with == pytest.approx(total, rel=0.01)


@pytest.mark.parametrize("member", ["XA", "XB", "XC", "XE", "XF"])
def test_small_worlds_can_play_every_part(draw_world, member):
    world = draw_world(member, items=3_000, months=6, how=plan())
    cast = world.setting.cast
    assert len(cast.pairs) == 3
    for name in ("shoppers", "lenient", "extorting", "passed_over", "splitters", "operators", "listed"):
        assert getattr(cast, name).size, name
    brokers = [*cast.shoppers, *cast.passed_over, *(pair.declarant for pair in cast.pairs)]
    assert len(set(brokers)) == len(brokers)
