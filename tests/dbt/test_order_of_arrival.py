"""Original, late and corrected extracts end in the same tables in whatever order they arrive."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows import manifest
from tidewaiter.contracts import Contract
from tidewaiter.landing import land_file, write_schema_files
from tidewaiter.pseudonyms import Pseudonymiser
from tidewaiter.settings import Settings

CONTRACT = {
    "member": "XT",
    "name": "T",
    "owner": "tests",
    "source": "tests",
    "time_zone": "Africa/Nairobi",
    "extracts": [
        {
            "dataset": "declaration_items",
            "location": {"home": "drop"},
            "files": ["items_*.csv"],
            "header": "apart",
            "sequence_by": {"file_name": r"_(\d{8})\.csv"},
            "fields": {
                "declaration_id": {"column": "id"},
                "item_no": {"column": "item"},
                "item_version": {"column": "version"},
                "hs6": {"column": "hs"},
                "origin_iso2": {"column": "origin", "codes_list": "iso3166_alpha3"},
                "declared_value": {"column": "value", "unit": "thousand"},
                "net_kg": {"column": "mass", "unit": "t"},
                "is_irregular": {"column": "irregular"},
                "label_at": {"column": "known"},
            },
        },
        {
            "dataset": "declarations",
            "location": {"home": "drop"},
            "files": ["headers_*.csv"],
            "sequence_by": {"column": "changed", "formats": ["%Y-%m-%d"]},
            "fields": {
                "declaration_id": {"column": "id"},
                "registered_at": {"column": "registered"},
                "office_code": {"column": "office"},
                "importer_id": {"column": "importer"},
                "currency_code": {"constant": "EUR"},
                "value_basis_code": {"constant": "FOB"},
                "total_freight": {"column": "freight"},
                "total_insurance": {"constant": 0},
            },
        },
        {
            "dataset": "exchange_rates",
            "location": {"home": "drop"},
            "files": ["rates_*.csv"],
            "sequence_by": {"file_name": r"_(\d+)\.csv"},
            "fields": {
                "currency_code": {"column": "currency"},
                "valid_from_date": {"column": "from"},
                "units_per_usd": {"column": "rate"},
            },
        },
    ],
}
ITEMS = "id,item,version,hs,origin,value,mass,irregular,known\n"
HEADERS = "id,registered,office,importer,freight,changed\n"
RATES = "currency,from,rate\n"
FILES = {
    "items_20240110.csv": ITEMS
    + "A,1,1,010121,KEN,1.5,0.25,,\nA,2,1,870323,DEU,20,1,,\nB,1,1,010121,KEN,3,0.5,,\n",
    # Late; and A/2 again, now with its label.
    "items_20240120.csv": ITEMS + "C,1,1,010121,UGA,2,0.4,,\nA,2,1,870323,DEU,20,1,true,2024-01-15\n",
    # B/1 corrected by its sender, A/1 amended after inspection.
    "items_20240201.csv": ITEMS + "B,1,1,010121,KEN,4,0.5,,\nA,1,2,010129,UGA,9,0.25,true,2024-01-20\n",
    "headers_1.csv": HEADERS + "A,2024-01-09T10:00,S,Acme,10,2024-01-09\nC,2024-01-18,S,,5,2024-01-18\n",
    "headers_2.csv": HEADERS
    + "B,2024-01-08,T,Beta,,2024-01-08\nA,2024-01-09T10:00,S,Acme Ltd,12,2024-01-30\n",
    "rates_1.csv": RATES + "EUR,2024-01-01,0.9\n",
    "rates_2.csv": RATES + "EUR,2024-01-01,0.8\nEUR,2024-01-10,0.85\n",
}
SAME = ("trade/declarations.parquet",)
BY_MONTH = (
    "trade/declaration_items.parquet/",
    "features/declaration_item_features.parquet/",
    "features/declaration_item_labels.parquet/",
)
BUILT = (
    "trade__declarations",
    "trade__declaration_items",
    "declaration_item_features",
    "declaration_item_labels",
    "trade__member_extracts",
)

Arrive = Callable[[Sequence[str]], Any]


@pytest.fixture(scope="module")
def arrive(warehouse_at: Any, tmp_path_factory: pytest.TempPathFactory) -> Arrive:
    """The function that lands files in the order given and builds the warehouse on them."""

    def arrive(names: Sequence[str]) -> Any:
        root = tmp_path_factory.mktemp("arrival")
        warehouse = warehouse_at(root / "home")
        settings = Settings(home=warehouse.home, members_dir=root, threads=2, memory_limit="1GB")
        contract = Contract.model_validate(CONTRACT)
        write_schema_files(settings.paths)
        receipts = []
        for number, name in enumerate(names):
            (root / name).write_text(FILES[name])
            (extract,) = [one for one in contract.extracts if Path(name).match(one.files[0])]
            receipt = land_file(root / name, extract, contract, settings, Pseudonymiser(b"k" * 32))
            assert receipt.rows_quarantined == 0, receipt.reasons
            arrived = datetime(2025, 1, 1) + timedelta(hours=number)
            receipts.append(receipt.model_copy(update={"received_at": arrived}))
        path = settings.paths.landing / "extracts" / "manifest.parquet"
        path.parent.mkdir(parents=True)
        rows = [asdict(row) for row in manifest.build_rows(receipts, lambda _: True)]
        pq.write_table(pa.Table.from_pylist(rows, schema=manifest._SCHEMA), path)
        warehouse._write_scores(duckdb.connect())
        for folder in ("warehouse", "marts/trade", "marts/features", "marts/scores", "marts/integrity"):
            (warehouse.home / folder).mkdir(parents=True, exist_ok=True)
        warehouse.dbt("run", "--select", *(f"+{model}" for model in BUILT))
        return warehouse

    return arrive


@pytest.fixture(scope="module")
def in_order(arrive: Arrive) -> Any:
    return arrive(list(FILES))


def tables(warehouse: Any) -> dict[str, str]:
    return {
        name: digest
        for name, digest in warehouse.mart_digests().items()
        if name in SAME or name.startswith(BY_MONTH)
    }


def orders(count: int) -> list[list[str]]:
    source = random.Random(3)
    return [source.sample(list(FILES), len(FILES)) for _ in range(count)]


def test_the_tables_hold_what_was_sent_last(in_order: Any) -> None:
    found = duckdb.sql(f"""
        select declaration_id, item_no, item_version, hs6, assessed_hs6, origin_iso2, office_code,
            declared_value::integer, net_kg::integer, units_per_usd, cif_value_usd::integer, is_irregular,
            sendings_n, registered_date::varchar
        from '{in_order.mart("trade/declaration_items")}' order by all
    """).fetchall()
    assert found == [
        # Freight of 12 goes to the items of A by their value.
        ("A", 1, 2, "010121", "010129", "KE", "S", 1500, 250, 0.8, 1876, True, 2, "2024-01-09"),
        ("A", 2, 1, "870323", "870323", "DE", "S", 20000, 1000, 0.8, 25014, True, 2, "2024-01-09"),
        ("B", 1, 1, "010121", "010121", "KE", "T", 4000, 500, 0.8, None, None, 2, "2024-01-08"),
        ("C", 1, 1, "010121", "010121", "UG", "S", 2000, 400, 0.85, 2359, None, 1, "2024-01-18"),
    ]
    headers = duckdb.sql(
        f"select declaration_id, total_freight::integer, items_n, sendings_n"
        f" from '{in_order.mart('trade/declarations')}' order by all"
    ).fetchall()
    assert headers == [("A", 12, 2, 2), ("B", None, 1, 1), ("C", 5, 1, 1)]


@pytest.mark.parametrize("order", [list(reversed(FILES)), *orders(1)], ids=["reversed", "shuffled"])
def test_the_order_of_arrival_changes_no_byte(in_order: Any, arrive: Arrive, order: list[str]) -> None:
    names = set(tables(in_order))
    assert names >= set(SAME)
    assert all(any(name.startswith(folder) for name in names) for folder in BY_MONTH)
    assert tables(arrive(order)) == tables(in_order)


@pytest.mark.slow
@pytest.mark.parametrize("order", orders(25)[1:], ids=str)
def test_no_order_of_arrival_changes_a_byte(in_order: Any, arrive: Arrive, order: list[str]) -> None:
    assert tables(arrive(order)) == tables(in_order)


def test_items_wait_until_their_header_comes(arrive: Arrive) -> None:
    names = [name for name in FILES if name != "headers_2.csv"]
    warehouse = arrive(names)
    found = duckdb.sql(f"""
        select source_file, items_waiting_n from '{warehouse.mart("trade/member_extracts")}'
        where items_waiting_n > 0 order by all
    """).fetchall()
    assert found == [("items_20240110.csv", 1), ("items_20240201.csv", 1)]
    ids = duckdb.sql(
        f"select distinct declaration_id from '{warehouse.mart('trade/declaration_items')}' order by 1"
    )
    assert ids.fetchall() == [("A",), ("C",)]
