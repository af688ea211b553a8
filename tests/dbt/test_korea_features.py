"""The features on the public Korean set."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sklearn.metrics import roc_auc_score

pytestmark = [
    pytest.mark.korea,
    pytest.mark.skipif("TIDEWAITER_KOREA_DIR" not in os.environ, reason="needs TIDEWAITER_KOREA_DIR"),
]

# The columns that the features below need, with labels fourteen days after registration in Seoul.
KOREAN_ITEMS = """
    select
        'KR' as member_iso2,
        "Declaration ID" as declaration_id,
        1 as item_no,
        1 as item_version,
        "Date"::date as registered_date,
        registered_date - interval 9 hours as registered_at,
        "Office ID" as office_code,
        "Importer ID" as importer_id,
        "HS6 Code" as hs6,
        "Country of Departure" as dispatch_iso2,
        "Country of Origin" as origin_iso2,
        "Tax Rate" as tax_rate_pct,
        "Tax Type" as preference_code,
        "Net Mass" as net_kg,
        "Item Price" as declared_value,
        'KRW' as currency_code,
        "Fraud" = '1' as is_irregular,
        registered_at + interval 14 days as label_at,
        parse_filename(filename) as source_file,
        source_file as extract_id,
        row_number() over (partition by source_file order by declaration_id) as source_line
    from read_csv('{folder}/*.csv', all_varchar = true, filename = true)
"""


# After a day: a third of the items gone, the others with three times the value, another origin and, where the
# label was not known when the day began in Seoul, the other label; and a new item for every tenth.
MUTATED = """
    with items as ({items}),
    altered as (
        select * replace (
            if(registered_date > date '{day}', declared_value::double * 3, declared_value::double)
                as declared_value,
            if(registered_date > date '{day}', 'CN', origin_iso2) as origin_iso2,
            if(label_at >= timestamp '{day}' - interval 9 hours, not is_irregular, is_irregular)
                as is_irregular
        )
        from items
        where registered_date <= date '{day}' or hash(declaration_id) % 3 != 0
    )
    select * from altered
    union all
    select * replace ('new-' || declaration_id as declaration_id, source_line + 1000000 as source_line)
    from altered
    where registered_date > date '{day}' and hash(declaration_id) % 10 = 0
"""


def _build(warehouse: Any, mutated_after: str | None = None) -> Any:
    folder = Path(os.environ["TIDEWAITER_KOREA_DIR"])
    with duckdb.connect() as connection:
        items = KOREAN_ITEMS.format(folder=str(folder).replace("'", "''"))
        if mutated_after is not None:
            items = MUTATED.format(items=items, day=mutated_after)
        warehouse.land(connection, items, extra_rates="select 'KR', 'KRW', date '2019-01-01', 1180")
    warehouse.dbt("run", "--select", "+declaration_item_features", "declaration_item_labels")
    return warehouse


@pytest.fixture(scope="module")
def korean(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return _build(type(built)(tmp_path_factory.mktemp("korea")))


def test_identical_lines_foretell_their_outcome(korean: Any) -> None:
    """The set repeats lines with their label: the earlier outcome of the identical line ranks at AUC .978.

    That figure takes all of 2020 for the quarter after it; here each item sees the labels known by its day.
    """
    features = korean.mart("features/declaration_item_features")
    labels = korean.mart("features/declaration_item_labels")
    quarter = duckdb.sql(
        f"""
        select labels.is_irregular, features.profile__product_line_rate, features.profile__importer_rate
        from '{features}' as features
        join '{labels}' as labels using (member_iso2, declaration_id, item_no)
        where features.registered_date >= date '2021-01-01'
        """
    ).fetchnumpy()
    assert len(quarter["is_irregular"]) == 8134
    assert roc_auc_score(quarter["is_irregular"], quarter["profile__product_line_rate"]) > 0.97
    # Party columns of this set carry nothing: a rate of theirs that did would be a leak.
    assert abs(roc_auc_score(quarter["is_irregular"], quarter["profile__importer_rate"]) - 0.5) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_feature_sees_the_future(korean: Any, tmp_path: Path, seed: int) -> None:
    """Up to a day at random, features are the same bytes whatever is changed, removed or added after it."""
    day = f"{random.Random(seed).choice(range(2, 12)):02d}"
    day = f"2020-{day}-{random.Random(seed).choice(range(1, 29)):02d}"
    mutated = _build(type(korean)(tmp_path / "home"), mutated_after=day)

    def rows(warehouse: Any, condition: str) -> bytes:
        features = warehouse.mart("features/declaration_item_features")
        target = tmp_path / "rows.parquet"
        query = f"from '{features}' where registered_date {condition} date '{day}' order by declaration_id"
        duckdb.sql(query).write_parquet(str(target))
        return target.read_bytes()

    assert rows(mutated, "<=") == rows(korean, "<=")
    assert rows(mutated, ">") != rows(korean, ">")
