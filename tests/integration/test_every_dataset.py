"""A member that nobody generated sends every kind of data, in many forms: landed, gated, staged, shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tidewaiter.canonical import DATASETS

pytestmark = pytest.mark.slow

DAYS = [f"{day:02d}/05/2024" for day in range(1, 21)]
LANES = ("ROUGE", "JAUNE", "VERT", "VERT")
AT = {"location": {"home": "incoming/xj"}}
CSV = {"delimiter": ";", "encoding": "latin-1", "decimal_mark": ","}
INSTANT = ["%d/%m/%Y %H:%M"]

# One line an item, with times of three events and values of its header: items, events, declarations.
HEADER = "N°;Ligne;Enregistré;Bureau;Client;Code;Origine;Masse;Valeur;Fret;Circuit;Tiré;Affecté;Agent;Sorti"
ITEMS = [
    f"D{n // 2:03d};{n % 2 + 1};{DAYS[n // 2 % 20]} 08:00;K{n // 2 % 2};C{n // 2 % 7};"
    f"{('847130', '870323')[n % 2]};{('CN', 'DE', 'FR')[n % 3]};{n + 1},5;{(n + 3) * 90},25;"
    f"{100 + n // 2},00;"
    f"{LANES[n // 2 % 4]};"
    f"{DAYS[n // 2 % 20]} 08:05;{f'{DAYS[n // 2 % 20]} 09:00' if n // 2 % 4 < 2 else ''};"
    f"{f'A{n // 2 % 3}' if n // 2 % 4 < 2 else ''};{DAYS[n // 2 % 20]} 17:30"
    for n in range(80)
]
FILES: dict[str, str] = {
    "decl_2024.csv": "\n".join([HEADER, *ITEMS]) + "\n",
    "equipe.json": json.dumps(
        {
            "equipe": [
                {"bureau": f"K{office}", "jours": [{"jour": day, "agent": f"A{n}"} for n in range(3)]}
                for day in DAYS
                for office in (0, 1)
            ]
        }
    ),
    "tarif.txt": "".join(f"{code}20240101{rate:>6.2f}\n" for code, rate in (("847130", 5), ("870323", 20))),
    "cours.tsv": "devise\tdu\tcours\n" + "".join(f"EUR\t{day}\t0,9{n:02d}\n" for n, day in enumerate(DAYS)),
    "flux.xml": "<flux edition='2022'>"
    + "".join(
        f"<ligne><mois>2024-{month:02d}</mois><pays>{country}</pays><code>847130</code>"
        f"<caf>{month * 1000}</caf></ligne>"
        for month in range(1, 7)
        for country in ("156", "276")
    )
    + "</flux>",
}


def column(name: str, **more: Any) -> dict[str, Any]:
    return {"column": name, **more}


KEY = {"declaration_id": column("N°")}
LANE = column("Circuit", codes={"ROUGE": "RED", "JAUNE": "YELLOW", "VERT": "GREEN"})
HEAD = {
    "registered_at": column("Enregistré", formats=INSTANT),
    "office_code": column("Bureau"),
    "importer_id": column("Client"),
    "currency_code": {"constant": "EUR"},
    "lane_initial_code": LANE,
}
ENTRIES: list[dict[str, Any]] = [
    {
        "dataset": "declaration_items",
        "files": ["decl_*.csv"],
        "format": CSV,
        "fields": KEY
        | HEAD
        | {
            "item_no": column("Ligne"),
            "hs6": column("Code"),
            "origin_iso2": column("Origine"),
            "net_kg": column("Masse"),
            "declared_value": column("Valeur"),
        },
    },
    {
        "dataset": "declarations",
        "files": ["decl_*.csv"],
        "format": CSV,
        "one_row_per": ["declaration_id"],
        "fields": KEY | HEAD | {"total_freight": column("Fret")},
    },
    {
        "dataset": "declaration_events",
        "files": ["decl_*.csv"],
        "format": CSV
        | {
            "unpivot": {
                "name": "événement",
                "blocks": ["LANE_SET", "ASSIGNED", "RELEASED"],
                "columns": {"quand": ["Tiré", "Affecté", "Sorti"], "qui": [None, "Agent", "Agent"]},
                "row_if": ["quand"],
            }
        },
        "fields": KEY
        | {
            "item_no": column("Ligne"),
            "event_code": column("événement"),
            "event_at": column("quand", formats=INSTANT),
            "office_code": column("Bureau"),
            "inspector_id": column("qui"),
        },
    },
    {
        "dataset": "inspector_roster",
        "files": ["equipe.json"],
        "format": {
            "kind": "json",
            "layout": "document",
            "items": "equipe.jours",
            "header_fields": ["equipe.bureau"],
        },
        "fields": {
            "office_code": column("equipe.bureau"),
            "duty_date": column("jour", formats=["%d/%m/%Y"]),
            "inspector_id": column("agent"),
        },
    },
    {
        "dataset": "tariff_rates",
        "files": ["tarif.txt"],
        "format": {
            "kind": "fixed_width",
            "columns": [{"name": name, "width": width} for name, width in (("c", 6), ("d", 8), ("r", 6))],
        },
        "fields": {
            "hs_code": column("c"),
            "valid_from_date": column("d", formats=["%Y%m%d"]),
            "rate_pct": column("r"),
        },
    },
    {
        "dataset": "exchange_rates",
        "files": ["cours.tsv"],
        "format": {"delimiter": "\t", "decimal_mark": ","},
        "fields": {
            "currency_code": column("devise"),
            "valid_from_date": column("du", formats=["%d/%m/%Y"]),
            "units_per_usd": column("cours"),
        },
    },
    {
        "dataset": "aggregate_flows",
        "files": ["flux.xml"],
        "format": {"kind": "xml", "record": "ligne", "header_fields": {"edition": "flux/@edition"}},
        "fields": {
            "frequency_code": {"constant": "M"},
            "period_from_date": column("mois", formats=["%Y-%m"]),
            "flow_code": {"constant": "M"},
            "partner_code": column("pays", codes_list="iso3166_numeric"),
            "classification_code": column("edition", codes_list="hs_edition"),
            "hs_code": column("code"),
            "primary_value_usd": column("caf"),
        },
    },
]
# Rows in the files, and rows that are made of them where several become one.
ROWS = {
    "declaration_items": 80,
    "declarations": 40,
    "declaration_events": 2 * 80 + 40,
    "inspector_roster": 20 * 2 * 3,
    "tariff_rates": 2,
    "exchange_rates": 20,
    "aggregate_flows": 12,
}


@pytest.fixture(scope="module")
def there(install) -> Any:
    """A home in which the member's files were landed, judged and built upon, and the folder of members."""
    installation = install("every")
    incoming = installation.home / "incoming" / "xj"
    incoming.mkdir(parents=True)
    for name, content in FILES.items():
        (incoming / name).write_bytes(content.encode("latin-1" if name.endswith(".csv") else "utf-8"))
    folder = installation.home / "members" / "xj"
    folder.mkdir(parents=True)
    contract = {"member": "XJ", "name": "Invented", "owner": "tests", "source": "tests"}
    contract |= {"time_zone": "Africa/Abidjan", "extracts": [entry | AT for entry in ENTRIES]}
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract, allow_unicode=True), encoding="utf-8")
    return installation, {"TIDEWAITER_MEMBERS_DIR": str(folder.parent)}


@pytest.fixture(scope="module")
def landed(there) -> list[dict[str, Any]]:
    installation, environment = there
    found: list[dict[str, Any]] = json.loads(
        installation.call_well("ingest", "--member=XJ", "--json", **environment)
    )
    return found


@pytest.fixture(scope="module")
def warehouse(there, landed) -> Path:
    installation, environment = there
    installation.call_well("validate", "landing", "--member=XJ", **environment)
    installation.call_well("transform", **environment)
    path: Path = installation.settings.paths.warehouse
    return path


def test_every_dataset_is_landed_whole(landed):
    assert {row["dataset"] for row in landed} == set(DATASETS) == set(ROWS)
    for row in landed:
        assert row["rows_quarantined"] == 0
        repeated = 40 if row["dataset"] == "declarations" else 0
        assert row["rows_landed"] - repeated == ROWS[row["dataset"]]


def test_every_dataset_is_staged(warehouse):
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        found = {
            dataset: connection.execute(
                f"select count(*) from staging.stg_landing__{dataset} where member_iso2 = 'XJ'"
            ).fetchone()[0]
            for dataset in DATASETS
        }
        events = connection.execute(
            "select event_code, count(*), count(inspector_id) from staging.stg_landing__declaration_events"
            " group by all order by all"
        ).fetchall()
        value, rate = connection.execute(
            "select sum(declared_value_usd), any_value(tax__statutory_rate_pct)"
            f" from read_parquet('{warehouse.parents[1]}/marts/features/declaration_item_features.parquet/*')"
        ).fetchone()
        extracts = dict(
            connection.execute(
                "select dataset_name, rows_landed from trade.member_extracts order by all"
            ).fetchall()
        )
    assert found == ROWS
    assert events == [("ASSIGNED", 40, 40), ("LANE_SET", 80, 0), ("RELEASED", 80, 40)]
    # Values at the rates of the day, and rates of the tariff beside them.
    assert value > sum((n + 3) * 90 for n in range(80))
    assert rate in (5, 20)
    assert set(extracts) == set(DATASETS)


def test_what_it_sends_is_shown(there, warehouse):
    installation, environment = there
    shown = json.loads(installation.call_well("members", "show", "XJ", "--json", **environment))
    assert {row["dataset"] for row in shown["extracts"] if row["accepted"]} == set(DATASETS)
    lacking = {row["not_supported"] for row in shown["not_supported"]}
    assert "training a model" in lacking
    assert not {"values in USD", "value features", "price against a reference"} & lacking
