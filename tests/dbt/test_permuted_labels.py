"""Labels that say nothing teach nothing: through the feature build and the trainer, an AUC of 0.5."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ml.boosting import fit_bundle
from ml.config import ModelConfig, choose_features, load_config
from ml.data import feature_mart_columns, read_labelled
from ml.splits import split_items
from tidewaiter.settings import Settings

# Outcomes change hands among inspected items of a member before anything is built, so that past rates,
# references and the model are all made of them. Each item keeps the day on which its own became known.
PERMUTED = """
    with inspected as (
        select
            member_iso2, declaration_id, item_no, is_irregular, is_serious, recovered_tax,
            row_number() over (partition by member_iso2 order by declaration_id, item_no) as place,
            row_number() over (partition by member_iso2 order by hash(declaration_id, item_no, 11))
                as other_place
        from seeded_items
        where is_irregular is not null
    ),
    given as (
        select
            mine.member_iso2, mine.declaration_id, mine.item_no,
            theirs.is_irregular, theirs.is_serious, theirs.recovered_tax
        from inspected as mine
        join inspected as theirs
            on mine.member_iso2 = theirs.member_iso2 and mine.place = theirs.other_place
    )
    select items.* replace (
        given.is_irregular as is_irregular,
        given.is_serious as is_serious,
        given.recovered_tax as recovered_tax
    )
    from seeded_items as items
    left join given using (member_iso2, declaration_id, item_no)
"""


@pytest.fixture(scope="module")
def permuted(built: Any, seeded: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Any:
    warehouse = type(built)(tmp_path_factory.mktemp("permuted"))
    warehouse.land(seeded, PERMUTED)
    warehouse.dbt("run", "--select", "+declaration_item_features", "+declaration_item_labels")
    return warehouse


def _config() -> ModelConfig:
    base = load_config()
    split = base.split.model_copy(
        update={"test_days": 20, "calibration_days": 12, "minimum_labels": 100, "minimum_irregular": 20}
    )
    return base.model_copy(update={"split": split})


def _auc_on_later_items(warehouse: Any) -> tuple[float, float]:
    """Return a model's AUC on the last days, and the standard error of one that knows nothing."""
    settings, config = Settings(home=warehouse.home, threads=1), _config()
    features = choose_features(feature_mart_columns(settings), config)
    items = read_labelled(settings, config, None, features)
    split = split_items(items, config)
    fitted = fit_bundle(items, split, config, seed=7, threads=1)
    later = items.take(split.test)
    irregular = int(later.is_irregular.sum())
    regular = len(later) - irregular
    assert min(irregular, regular) > 50
    score = fitted.bundle.score(later.matrix)
    error = np.sqrt((irregular + regular + 1) / (12 * irregular * regular))
    return float(roc_auc_score(later.is_irregular, score)), float(error)


def test_permuted_labels_give_a_model_that_knows_nothing(permuted: Any) -> None:
    auc, error = _auc_on_later_items(permuted)
    assert abs(auc - 0.5) < 1.96 * error, (auc, error)


def test_the_same_trainer_learns_from_the_true_labels(built: Any) -> None:
    """Without this the test above could pass by a trainer that learns nothing."""
    auc, error = _auc_on_later_items(built)
    assert auc - 0.5 > 4 * error, (auc, error)


def test_as_many_are_irregular_and_others_than_before(permuted: Any, built: Any) -> None:
    counts = []
    for warehouse in (permuted, built):
        labels = warehouse.mart("features/declaration_item_labels")
        query = f"select member_iso2, count(*), countif(is_irregular) from '{labels}' group by 1 order by 1"
        counts.append(duckdb.sql(query).fetchall())
    assert counts[0] == counts[1]
    ours, theirs = (warehouse.mart("features/declaration_item_labels") for warehouse in (permuted, built))
    moved = duckdb.sql(
        f"select count(*) filter (a.is_irregular != b.is_irregular) from '{ours}' as a"
        f" join '{theirs}' as b using (member_iso2, declaration_id, item_no)"
    ).fetchall()
    assert moved[0][0] > 300
