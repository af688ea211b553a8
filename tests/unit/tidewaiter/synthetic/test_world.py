"""The drawn world against its own specification.

Every statistical check fails a right generator with probability 1e-6 (or less, where a bound is used)
under a fresh seed; the seeds are fixed, so that a check fails always or never.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tidewaiter.synthetic.columns import NOBODY
from tidewaiter.synthetic.declaring import CONFORM, HONEST
from tidewaiter.synthetic.examination import AUDIT_RANDOM
from tidewaiter.synthetic.parameters import WorldParameters, plan
from tidewaiter.synthetic.profiles import PROFILES
from tidewaiter.synthetic.resubmission import NEVER
from tidewaiter.synthetic.selectivity import BLUE, RANDOM, RED, TOPUP, YELLOW

DAY_S = 86_400
WORLD = WorldParameters()


@pytest.fixture(scope="module")
def agrees(false_alarm):
    """Whether a count agrees with a share: exact binomial test."""
    return lambda hits, trials, share: stats.binomtest(int(hits), int(trials), share).pvalue > false_alarm


# ------------------------------------------------------------------ traffic and parties


def test_items_are_as_many_as_asked_and_in_order_of_time(null_world):
    world = null_world
    first = ~world.declarations.is_again
    # Those registered anew in the month after the period are not there; nothing else is missing.
    assert world.declarations.lines[first].sum() == world.request.items
    assert (np.diff(world.declarations.registered_s) >= 0).all()
    assert world.declarations.registered_s.min() >= world.request.first_s
    assert world.declarations.registered_s.max() < world.request.end_s


def test_declarations_are_numbered_once_within_year_and_office(null_world):
    keys = null_world.declarations.office * 10_000_000 + null_world.serial
    assert np.unique(keys).size == keys.size
    for office in np.unique(null_world.declarations.office):
        own = null_world.serial[null_world.declarations.office == office]
        assert own.tolist() == list(range(1, own.size + 1))


def test_months_and_weekdays_have_their_share(null_world, agrees):
    """Exact binomial test of December and of Sundays."""
    from tidewaiter.synthetic.periods import day_weights

    days = np.arange(null_world.request.first_day, null_world.request.end_day)
    weights = day_weights(days) / day_weights(days).sum()
    fresh = null_world.declarations.registered_s[~null_world.declarations.is_again] // DAY_S
    for chosen in (days >= np.datetime64("2024-12-01"), (days.astype(int) + 3) % 7 == 6):
        hits = np.isin(fresh, days[chosen].astype(int)).sum()
        assert agrees(hits, fresh.size, weights[chosen].sum())


def test_importers_are_heavy_tailed(null_world, false_alarm):
    """Shares of the largest places against the law they are drawn by: exact binomial test.

    With 20,000 importers, as in the standard world, the exponent gives the largest hundredth 44 %.
    """
    parties = null_world.setting.parties
    place = parties.importer_place[null_world.declarations.consignee]
    fresh = place[~null_world.declarations.is_again]
    for top in (1, 20, 200):
        share = parties.place_shares[:top].sum()
        assert stats.binomtest(int((fresh < top).sum()), fresh.size, share).pvalue > false_alarm
    ranks = np.arange(1, 20_001) ** -WORLD.importer_zipf
    assert ranks[:200].sum() / ranks.sum() == pytest.approx(0.444, abs=0.001)


def test_walk_ins_have_their_share(null_world, agrees):
    fresh = ~null_world.declarations.is_again
    walk_in = null_world.declarations.importer[fresh] == NOBODY
    assert agrees(walk_in.sum(), walk_in.size, PROFILES["XA"].walk_in_share)


def test_newcomers_arrive_each_month_and_the_largest_stay(null_world, agrees):
    occupant = null_world.setting.parties.occupant
    changed = np.diff(occupant, axis=0) != 0
    assert agrees(changed.sum(), changed.size, WORLD.newcomer_share_per_month)
    assert not changed[:, : occupant.shape[1] // 10].any()


def test_every_importer_keeps_its_goods_sellers_and_broker(null_world, agrees):
    """Nine in ten lodge at the usual office, 85 % of those with the usual broker."""
    world, parties = null_world, null_world.setting.parties
    fresh = np.flatnonzero(~world.declarations.is_again)
    consignee = world.declarations.consignee[fresh]
    offices = len(PROFILES["XA"].offices)
    at_home = world.declarations.office[fresh] == parties.importer_office[consignee]
    assert agrees(at_home.sum(), at_home.size, 0.9 + 0.1 / offices)
    usual = world.declarations.declarant[fresh] == parties.importer_declarant[consignee]
    assert usual[at_home].mean() > WORLD.declarant_stickiness
    assert not usual[~at_home].any()
    assert (world.declarations.seller[fresh, None] == parties.suppliers[consignee]).any(axis=1).all()


# ------------------------------------------------------------------ goods and prices


def test_prices_are_log_normal_around_commodity_origin_and_seller(null_world, false_alarm):
    """Kolmogorov-Smirnov test of the standardised residuals, by Rauch class."""
    world, setting = null_world, null_world.setting
    seller = world.declarations.seller[world.of]
    residual = np.log(world.true.value_usd / world.true.net_kg) - world.true.ln_reference_price
    residual -= setting.parties.seller_price[seller]
    differentiated = setting.goods.is_differentiated[world.true.commodity]
    for chosen, sigma in (
        (differentiated, WORLD.price_sigma_differentiated),
        (~differentiated, WORLD.price_sigma_homogeneous),
    ):
        assert stats.kstest(residual[chosen] / sigma, "norm").pvalue > false_alarm


def test_values_obey_benford_over_many_orders_of_magnitude(null_world, false_alarm):
    """Chi-squared of first digits of declared values, one item per declaration; the law itself holds to
    within 1e-4 for the spread that is drawn."""
    world = null_world
    first = np.cumsum(world.declarations.lines) - world.declarations.lines
    rows = first[~world.declarations.is_again]
    units = world.setting.rates.at(world.declarations.registered_s)[world.of]
    value = (world.declared.value_usd * units)[rows]
    digit = np.floor(value / 10 ** np.floor(np.log10(value))).astype(int)
    expected = np.log10(1 + 1 / np.arange(1, 10)) * rows.size
    assert np.log10(value.max() / value.min()) > 5
    assert stats.chisquare(np.bincount(digit, minlength=10)[1:], expected).pvalue > false_alarm


def test_net_to_gross_is_beta(null_world, false_alarm):
    ratio = null_world.true.net_kg / null_world.true.gross_kg
    beta = stats.beta(18, 2)
    below = ratio < 0.99
    assert (null_world.true.net_kg < null_world.true.gross_kg).all()
    truncated = beta.cdf(ratio[below]) / beta.cdf(0.99)
    assert stats.kstest(truncated, "uniform").pvalue > false_alarm


def test_prices_drift_by_three_per_cent_a_year(draw_world):
    world = draw_world(items=20_000, months=24)
    at = np.array([world.request.first_s, world.request.first_s + round(365.25 * DAY_S)])
    flat = np.flatnonzero(~world.setting.goods.is_seasonal)[:2]
    prices = world.setting.ln_reference_price(flat, np.array([0, 0]), at[[0, 0]])
    later = world.setting.ln_reference_price(flat, np.array([0, 0]), at[[1, 1]])
    np.testing.assert_allclose(later - prices, WORLD.price_drift_per_year, atol=1e-4)


# ------------------------------------------------------------------ selectivity


def test_lanes_have_about_their_expected_shares(null_world):
    """The thresholds come from a draw of 20,000 items: within a percentage point of what is aimed at."""
    lanes = null_world.selected.lane_initial
    profile = PROFILES["XA"]
    for lane, share in ((RED, profile.red_share), (YELLOW, profile.yellow_share), (BLUE, profile.blue_share)):
        assert (lanes == lane).mean() == pytest.approx(share, abs=0.01)


def test_random_draw_and_top_up_have_their_shares_and_are_red(null_world, agrees):
    source = null_world.selected.source
    assert agrees((source == RANDOM).sum(), source.size, WORLD.random_share)
    assert agrees((source == TOPUP).sum(), source.size, WORLD.topup_share)
    assert (null_world.selected.lane_initial[np.isin(source, (RANDOM, TOPUP))] == RED).all()


@pytest.mark.parametrize("by", ["declarant", "office", "hour", "score", "irregularity"])
def test_random_draw_is_uniform(null_world, false_alarm, by):
    """Chi-squared over groups with an expectation of five or more."""
    world = null_world
    score = np.argsort(np.argsort(world.selected.score)) * 10 // world.selected.score.size
    groups = {
        "declarant": world.declarations.declarant,
        "office": world.declarations.office,
        "hour": world.declarations.registered_s % DAY_S // 3600,
        "score": score,
        "irregularity": np.bincount(world.of, world.declared.scenario != HONEST).astype(int).clip(0, 1),
    }[by]
    drawn = (world.selected.source == RANDOM).astype(float)
    files, hits = np.bincount(groups), np.bincount(groups, weights=drawn)
    enough = files * WORLD.random_share >= 5
    if enough.sum() < 2:
        assert by == "irregularity"  # the null world has none
        return
    counts = np.array([hits[enough], (files - hits)[enough]])
    assert stats.chi2_contingency(counts).pvalue > false_alarm


def test_honest_overrides_have_their_share(null_world, agrees):
    red = null_world.selected.lane_initial == RED
    moved = null_world.selected.lane_final != null_world.selected.lane_initial
    assert not moved[~red].any()
    assert agrees(moved[red].sum(), red.sum(), WORLD.override_share)
    assert not null_world.selected.is_ring.any()


# ------------------------------------------------------------------ assignment


def test_every_assignment_is_of_the_roster(null_world):
    assigned, officers = null_world.assigned, null_world.setting.officers
    on = assigned.is_assigned
    for inspector in (assigned.first, assigned.last):
        assert officers.is_on(inspector, assigned.duty_day, assigned.shift)[on].all()
        assert (officers.office[inspector] == null_world.declarations.office)[on].all()
        assert (officers.team[inspector] == assigned.team)[on].all()
    begins, ends = officers.bounds_s(null_world.declarations.office, assigned.duty_day, assigned.shift)
    assert ((assigned.assigned_s >= begins) & (assigned.assigned_s < ends))[on].all()


def test_inspector_is_uniform_within_roster_strata(null_world, false_alarm):
    """Sum of squared deviations over strata against its expectation and variance: a normal bound.

    In a stratum of n files and m inspectors the Pearson statistic has mean m - 1 and, for an even
    draw, variance 2 (m - 1) (1 - 1/n).
    """
    assigned, officers = null_world.assigned, null_world.setting.officers
    on = assigned.is_assigned
    stratum, inspector = assigned.stratum[on], assigned.first[on]
    files = np.bincount(stratum, minlength=officers.counts.size)
    staff = officers.counts
    _, counts = np.unique(stratum * 1_000 + inspector, return_counts=True)
    used = (files > 0) & (staff > 1)
    # Sum over cells of O^2 m / n - n, cells without a file included.
    by_stratum = np.unique(stratum * 1_000 + inspector) // 1_000
    squares = np.bincount(by_stratum, counts.astype(float) ** 2, minlength=files.size)
    statistic = (squares * staff / np.maximum(files, 1) - files)[used].sum()
    mean = (staff[used] - 1).sum()
    variance = (2 * (staff[used] - 1) * (1 - 1 / files[used])).sum()
    z = (statistic - mean) / variance**0.5
    assert used.sum() > 1_000
    assert 2 * stats.norm.sf(abs(z)) > false_alarm


def test_inspector_and_broker_are_independent_within_strata(null_world, false_alarm):
    """Broker by inspector, expected counts by the roster: no pair exceeds chance (Poisson tail, which is
    heavier than the true one, at a family-wise false alarm of 1e-6), and the sum of squared deviations is
    what 60 fresh even draws over the same strata give (t distribution)."""
    world, assigned, officers = null_world, null_world.assigned, null_world.setting.officers
    on = assigned.is_assigned
    stratum, broker = assigned.stratum[on], world.declarations.declarant[on]
    shape = (world.setting.parties.declarants, officers.office.size)
    expected, variance = np.zeros(shape), np.zeros(shape)
    for place in range(int(officers.counts.max())):
        there = officers.counts[stratum] > place
        member = officers.on_duty[officers.starts[stratum[there]] + place]
        share = 1 / officers.counts[stratum[there]]
        np.add.at(expected, (broker[there], member), share)
        np.add.at(variance, (broker[there], member), share * (1 - share))
    enough = expected >= 5

    def counts(inspector):
        cells = np.bincount(broker * shape[1] + inspector, minlength=expected.size)
        return cells.reshape(shape)[enough]

    def squares(observed):
        return ((observed - expected[enough]) ** 2 / variance[enough]).sum()

    observed = counts(assigned.first[on])
    assert enough.sum() > 300
    assert stats.poisson.sf(observed - 1, expected[enough]).min() > false_alarm / enough.sum()
    random = np.random.default_rng(5)
    redrawn = [squares(counts(officers.pick(stratum, random.random(stratum.size)))) for _ in range(60)]
    t = (squares(observed) - np.mean(redrawn)) / (np.std(redrawn, ddof=1) * (1 + 1 / 60) ** 0.5)
    assert 2 * stats.t.sf(abs(t), df=59) > false_alarm


def test_reassignments_have_their_share_and_stay_in_the_stratum(null_world, false_alarm):
    """Of those who could be given to another: a drawn colleague who is the same changes nothing."""
    assigned, officers = null_world.assigned, null_world.setting.officers
    on = assigned.is_assigned
    staff = officers.counts[assigned.stratum[on]]
    chance = WORLD.reassigned_share * (1 - 1 / staff)
    moved = (assigned.first != assigned.last)[on]
    z = (moved.sum() - chance.sum()) / (chance * (1 - chance)).sum() ** 0.5
    assert 2 * stats.norm.sf(abs(z)) > false_alarm


# ------------------------------------------------------------------ examination, release, label


def test_examination_has_its_sensitivity_and_specificity(draw_world, agrees):
    world = draw_world(how=plan("S1,S2,S3,S4", "none"))
    known = world.outcomes.is_examined
    found = world.outcomes.finding[known] != CONFORM
    truly = (world.declared.scenario != HONEST)[known]
    assert agrees(found[truly].sum(), truly.sum(), WORLD.sensitivity)
    assert agrees(found[~truly].sum(), (~truly).sum(), 1 - WORLD.specificity)


def test_label_delay_has_its_median_and_its_tail(null_world, agrees):
    """Of all examined items, known by the end or not."""
    examined = null_world.outcomes.is_examined
    delay = null_world.outcomes.label_s - null_world.cleared.released_s[null_world.of]
    delay_d = delay[examined] / DAY_S
    assert agrees((delay_d < 9).sum(), delay_d.size, 0.5)
    assert agrees((delay_d < 60).sum(), delay_d.size, 0.95)


def test_outcomes_exist_only_where_somebody_looked(null_world):
    outcomes, of = null_world.outcomes, null_world.of
    inspected = null_world.assigned.is_assigned & (null_world.cancelled.cancelled_s == NEVER)
    assert (outcomes.is_examined == inspected[of]).all()
    assert not outcomes.is_labelled[~outcomes.is_examined & ~outcomes.is_audited].any()
    assert (outcomes.label_s[outcomes.is_labelled] < null_world.request.end_s).all()
    assert (outcomes.label_s > null_world.declarations.registered_s[of])[outcomes.is_labelled].all()
    unknown = ~outcomes.is_labelled
    assert (outcomes.assessed_value_usd == null_world.declared.value_usd)[unknown].all()


def test_instants_come_in_order(null_world):
    declarations, selected = null_world.declarations, null_world.selected
    assigned, cleared = null_world.assigned, null_world.cleared
    assert (selected.lane_s > declarations.registered_s).all()
    on = assigned.is_assigned & (null_world.cancelled.cancelled_s == NEVER)
    assert (assigned.assigned_s > selected.lane_s)[on].all()
    assert (cleared.act_s > assigned.assigned_s)[on].all()
    assert (cleared.released_s > cleared.act_s)[on].all()
    released = cleared.released_s != NEVER
    assert (cleared.released_s > selected.lane_s)[released].all()
    assert (released == (null_world.cancelled.cancelled_s == NEVER)).all()
    cancelled = ~released
    assert (null_world.cancelled.cancelled_s > selected.lane_s)[cancelled].all()


def test_acts_are_written_on_shift_but_for_overtime(null_world):
    """Overtime is a share of the acts that would not fit into the shift."""
    cleared, officers = null_world.cleared, null_world.setting.officers
    acts = cleared.act_s != NEVER
    day, shift = officers.shift_at(null_world.declarations.office, cleared.act_s)
    on = officers.is_on(null_world.assigned.last, day, shift)
    assert 0 < (cleared.is_off_shift & acts).sum() / acts.sum() < WORLD.overtime_share
    last_day = officers.first_day + officers.days - 2
    settled = acts & ~cleared.is_off_shift & (day < last_day)
    assert on[settled].all()


def test_audits_have_their_shares_and_their_accuracy(null_world, agrees):
    cleared = null_world.cleared
    # Early enough that no audit falls beyond the period.
    early = (cleared.released_s != NEVER) & (cleared.released_s < null_world.request.end_s - 190 * DAY_S)
    assert agrees((cleared.audit[early] == AUDIT_RANDOM).sum(), early.sum(), WORLD.audit_random_share)
    audited = null_world.outcomes.is_audited
    found = null_world.outcomes.audit_finding[audited] != CONFORM
    assert agrees(found.sum(), audited.sum(), 1 - WORLD.audit_specificity)


def test_cancellations_and_registrations_anew_have_their_shares(null_world, agrees):
    cancelled, declarations = null_world.cancelled, null_world.declarations
    first = ~declarations.is_again
    is_cancelled = cancelled.cancelled_s != NEVER
    assert not is_cancelled[declarations.is_again].any()
    assert agrees(is_cancelled[first].sum(), first.sum(), WORLD.cancelled_share)
    comes = cancelled.again_s[is_cancelled] != NEVER
    assert agrees(comes.sum(), comes.size, WORLD.reregistered_share)
    due = cancelled.again_s[(cancelled.again_s != NEVER) & (cancelled.again_s < null_world.request.end_s)]
    assert np.sort(declarations.registered_s[declarations.is_again]).tolist() == np.sort(due).tolist()


def test_a_registration_anew_has_the_document_and_the_goods_of_the_first(null_world):
    declarations = null_world.declarations
    again = np.flatnonzero(declarations.is_again)
    order = np.argsort(declarations.document, kind="stable")
    documents = declarations.document[order]
    assert np.unique(documents).size == documents.size - again.size
    starts = np.cumsum(declarations.lines) - declarations.lines
    for row in again:
        low, high = np.searchsorted(documents, [declarations.document[row], declarations.document[row] + 1])
        before, after = order[low:high]
        assert after == row
        assert null_world.cancelled.cancelled_s[before] < declarations.registered_s[after]
        for name in ("importer", "declarant", "office", "lines"):
            assert getattr(declarations, name)[before] == getattr(declarations, name)[after]
        value = null_world.declared.value_usd
        assert value[starts[before]] == value[starts[after]]


def test_the_null_world_is_honest(null_world):
    world = null_world
    assert (world.declared.scenario == HONEST).all()
    np.testing.assert_array_equal(world.declared.value_usd, world.true.value_usd)
    np.testing.assert_array_equal(world.declared.commodity, world.true.commodity)
    np.testing.assert_array_equal(world.assigned.first, world.assigned.drawn)
    assert not world.setting.cast.pairs


def test_scenarios_leave_the_rest_of_the_world_as_it_was(draw_world, null_world):
    """Common random numbers: a scheme of officers changes nothing that was lodged."""
    planted = draw_world(how=plan("S9,S10", "none"))
    np.testing.assert_array_equal(planted.declared.value_usd, null_world.declared.value_usd)
    np.testing.assert_array_equal(planted.assigned.first, null_world.assigned.first)
    assert (planted.outcomes.finding != null_world.outcomes.finding).any()
