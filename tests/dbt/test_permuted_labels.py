"""Labels dealt out at random cannot be foretold: a model of them ranks no better and no worse than chance.

The same items stand as those of several members, each with the outcomes of the labelled items dealt out anew
before anything is built, so that features made of labels are made of permuted ones. A model of each member is
fitted on the earlier items and ranks those of the last month, whose labels become known after it.

What to expect. Given the labels known before the month, all ways to deal the others out among its items are
equally likely, and no score depends on which way it was. So the area under the curve is that of a rank sum:
mean 1/2, variance (n + 1) / (12 n1 n0), whatever the model has learnt, however items hang together. Labels of
the month must not become known within it: an irregular item then lifts the rates of later ones, which are the
ones it is compared with, and the mean is no longer 1/2 to the last digit.

One permutation says little: with nothing wrong, one in twenty lies more than two standard errors from 1/2,
such as 0.449 where the error is 0.0245. Two causes that look like one are none. Outcomes are dealt without
replacement, so many irregular ones before the month leave fewer for it; but that lowers the rate of the whole
month and orders nothing within it. And among the items that a model learns from, a high past rate goes with a
lower rate of what is left, so that it may learn the wrong sign; but of the month after it that says nothing.
Either would show as a mean beside 1/2 over many permutations, which is looked at as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy.stats import norm, rankdata

from ml.boosting import fit_booster, xgboost_parameters
from ml.config import choose_features, load_config
from ml.data import LabelledItems, feature_mart_columns, read_labelled
from ml.splits import split_items
from tests.dbt.conftest import SEEDED_ITEMS, Warehouse
from tidewaiter.settings import Settings, load_settings

MEMBERS = tuple(f"X{letter}" for letter in "ABCDEFGHIJ")
TEST_DAYS = 30
# What a sound build crosses once in a thousand runs of this file.
LIMIT_OF_ALL = float(norm.isf(0.0005))
LIMIT_OF_ONE = float(norm.isf(0.0005 / len(MEMBERS)))

PERMUTED = f"""
    with labelled as (
        select
            declaration_id, item_no, is_irregular,
            row_number() over (order by declaration_id, item_no) as place
        from seeded_items
        where is_irregular is not null
    ),
    dealt as (
        select
            member, declaration_id, item_no,
            row_number() over (partition by member order by hash(member, declaration_id, item_no)) as place
        from labelled, (select unnest({list(MEMBERS)}) as member)
    ),
    permuted as (
        select dealt.member, dealt.declaration_id, dealt.item_no, labelled.is_irregular
        from dealt
        inner join labelled using (place)
    )
    select items.* replace (
        members.member as member_iso2,
        'USD' as currency_code,
        permuted.is_irregular as is_irregular,
        permuted.is_irregular as is_serious,
        if(
            items.registered_date > last.registered_date - {TEST_DAYS},
            cast(last.registered_date + 10 as timestamp), items.label_at
        ) as label_at,
        lower(members.member) || items.extract_id as extract_id,
        members.member || items.source_file as source_file
    )
    from seeded_items as items
    cross join (select unnest({list(MEMBERS)}) as member) as members
    cross join (select max(registered_date) as registered_date from seeded_items) as last
    left join permuted
        on members.member = permuted.member
        and items.declaration_id = permuted.declaration_id
        and items.item_no = permuted.item_no
"""


@pytest.fixture(scope="module")
def permuted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LabelledItems]:
    """The labelled items of each member with all their features, as a training reads them."""
    warehouse = Warehouse(tmp_path_factory.mktemp("permuted"))
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set variable items = 5000; set variable days = 120")
        connection.execute("set variable seed = 5")
        connection.execute(SEEDED_ITEMS.read_text(encoding="utf-8"))
        warehouse.land(connection, PERMUTED)
    warehouse.dbt("run", "--select", "+declaration_item_features", "+declaration_item_labels")
    settings = load_settings({"home": warehouse.home}, environment={})
    return {member: _read(settings, member) for member in MEMBERS}


def _read(settings: Settings, member: str) -> LabelledItems:
    config = _config()
    return read_labelled(settings, config, member, choose_features(feature_mart_columns(settings), config))


def _config() -> Any:
    """The configuration as shipped, but for the windows and the number of rounds."""
    shipped = load_config()
    split = shipped.split.model_copy(
        update={"test_days": TEST_DAYS, "calibration_days": 20, "minimum_labels": 100}
    )
    boosting = shipped.boosting.model_copy(update={"max_rounds": 60})
    return shipped.model_copy(update={"split": split, "boosting": boosting})


def _standard_errors_from_chance(items: LabelledItems) -> float:
    """Fit on the earlier items, rank those of the last month, and return how far from 1/2 the area lies."""
    config = _config()
    split = split_items(items, config)
    fit, test = items.take(split.fit), items.take(split.test)
    # Stopped by what it learns from, which is never: by anything else it would stop before it learnt much.
    parameters = xgboost_parameters(config, items.features, seed=1, threads=2)
    booster, _ = fit_booster(fit, fit, config, parameters, {})
    assert booster.num_boosted_rounds() == config.boosting.max_rounds
    ranks = rankdata(booster.inplace_predict(test.matrix))
    n, n1 = len(test), int(test.is_irregular.sum())
    n0 = n - n1
    area = (ranks[test.is_irregular].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
    return float((area - 0.5) / np.sqrt((n + 1) / (12 * n1 * n0)))


def test_no_model_ranks_permuted_labels(permuted: dict[str, LabelledItems]) -> None:
    away = np.array([_standard_errors_from_chance(permuted[member]) for member in MEMBERS])
    assert np.abs(away).max() < LIMIT_OF_ONE
    # Together they tell a tenth of what one alone could hide: the permutations are independent of each other.
    assert abs(away.sum()) / np.sqrt(len(away)) < LIMIT_OF_ALL


def test_profiles_of_permuted_labels_differ_from_item_to_item(permuted: dict[str, LabelledItems]) -> None:
    """Else nothing made of labels was there to leak; and each member has other outcomes than the next."""
    for items in permuted.values():
        rates = items.matrix[:, items.features.index("profile__importer_rate")]
        assert len(np.unique(rates)) > 100
    outcomes = {items.is_irregular.tobytes() for items in permuted.values()}
    assert len(outcomes) == len(MEMBERS)
    assert len({int(items.is_irregular.sum()) for items in permuted.values()}) == 1


def test_a_profile_fitted_on_the_rows_it_is_attached_to_is_found(permuted: dict[str, LabelledItems]) -> None:
    """The leak of published code: the mean label of a subheading, the item's own and later ones included."""
    for member in MEMBERS[:2]:
        items = permuted[member]
        _, place = np.unique(items.hs6.astype(str), return_inverse=True)
        rate = np.bincount(place, items.is_irregular) / np.bincount(place)
        matrix = np.column_stack([items.matrix, rate[place]]).astype(np.float32)
        leaking = replace(items, features=(*items.features, "profile__leak"), matrix=matrix)
        assert _standard_errors_from_chance(leaking) > LIMIT_OF_ONE
