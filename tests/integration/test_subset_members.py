"""Members that send next to nothing, or leave out what others have: each goes through the whole pipeline.

All read the same files of a synthetic member; their contracts map different subsets of the columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from flows.publish import DUCKDB_FILE
from tidewaiter.settings import PROJECT_ROOT
from tidewaiter.synthetic import generate_members

pytestmark = pytest.mark.slow

ITEMS = 3000
# Value, commodity and day: what an item cannot be without.
LEAST = {
    "declaration_id",
    "item_no",
    "registered_at",
    "office_code",
    "hs6",
    "declared_value",
    "currency_code",
}
LABELS = {"is_irregular", "label_at"}
PARTIES = {"importer_id", "declarant_id"}
SUBSETS: dict[str, set[str] | None] = {
    "XM": LEAST,  # and nothing to learn from
    "XN": LEAST | LABELS,
    "XO": LEAST | LABELS | PARTIES | {"origin_iso2", "dispatch_iso2", "tax_rate_pct", "declared_tax"},
    "XP": LEAST | LABELS | PARTIES | {"net_kg", "gross_kg", "origin_iso2"},
    "XQ": None,  # everything, and every other dataset
}
# These take their values as they stand in one currency; the others have no rates for theirs.
IN_USD = {"XM", "XN", "XQ"}
NOT_SUPPORTED = {
    "XM": {"training a model", "value features", "price against a reference", "tax ratio", "route"},
    "XN": {"value features", "novelty", "revenue recovered", "unbiased rates from the random draw"},
    "XO": {"value features", "values in USD"},
    "XP": {"tax ratio", "values in USD", "leniency (B1)"},
}


def contract_of(member: str, full: dict[str, Any]) -> dict[str, Any]:
    """Return XA's contract for another member, with the fields of its subset only."""
    wanted = SUBSETS[member]
    if wanted is None:
        return full | {"member": member}
    items = next(entry for entry in full["extracts"] if entry["dataset"] == "declaration_items")
    fields = {name: mapping for name, mapping in items["fields"].items() if name in wanted}
    if member in IN_USD:
        fields["currency_code"] = {"constant": "USD"}
    return full | {"member": member, "extracts": [items | {"fields": fields}]}


def write_contracts(home: Path, members: Iterable[str]) -> str:
    """Write the contracts of these members and return the folder that they are in."""
    full = yaml.safe_load((PROJECT_ROOT / "members" / "xa" / "contract.yaml").read_text(encoding="utf-8"))
    for member in members:
        folder = home / "members" / member.lower()
        folder.mkdir(parents=True)
        (folder / "contract.yaml").write_text(yaml.safe_dump(contract_of(member, full)), encoding="utf-8")
    return str(home / "members")


@pytest.fixture(scope="module")
def ran(install) -> Any:
    """A home with the five members, on which `tidewaiter run` ended well."""
    there = install("subsets")
    generate_members(there.settings.paths, ["XA"], {"XA": ITEMS})
    there.call_well("run", TIDEWAITER_MEMBERS_DIR=write_contracts(there.home, SUBSETS))
    return there


def told(there: Any, *arguments: str) -> Any:
    members = str(there.home / "members")
    return json.loads(there.call_well(*arguments, "--json", TIDEWAITER_MEMBERS_DIR=members))


@pytest.mark.parametrize("member", SUBSETS)
def test_every_subset_is_published(ran, member):
    with duckdb.connect(str(ran.publication / DUCKDB_FILE), read_only=True) as published:
        items, featured, scored = (
            published.execute(f"select count(*) from {table} where member_iso2 = ?", [member]).fetchone()[0]
            for table in (
                "trade.declaration_items",
                "features.declaration_item_features",
                "scores.declaration_items",
            )
        )
    assert items > 0.9 * ITEMS
    assert featured == items
    assert 0 < scored <= items


@pytest.mark.parametrize("member", NOT_SUPPORTED)
def test_what_a_subset_cannot_do_is_said(ran, member):
    shown = {row["not_supported"] for row in told(ran, "members", "show", member)["not_supported"]}
    assert shown >= NOT_SUPPORTED[member]


def test_what_is_not_sent_is_null_and_nothing_else_is_made_of_it(ran):
    with duckdb.connect(str(ran.publication / DUCKDB_FILE), read_only=True) as published:
        known = {
            row[0]: row[1:]
            for row in published.execute(
                "select member_iso2, count(value__ln_net_kg), count(declared_value_usd),"
                " count(tax__rate_pct), count(profile__importer_rate), count(origin_iso2)"
                " from features.declaration_item_features group by all"
            ).fetchall()
        }
    assert {member: [found > 0 for found in counts] for member, counts in known.items()} == {
        "XM": [False, True, False, False, False],
        "XN": [False, True, False, False, False],
        "XO": [False, False, True, True, True],
        "XP": [True, False, False, True, True],
        "XQ": [True, True, True, True, True],
    }


def test_a_member_without_labels_is_scored_by_the_pooled_model(ran):
    with duckdb.connect(str(ran.publication / DUCKDB_FILE), read_only=True) as published:
        models = dict(
            published.execute(
                "select member_iso2, any_value(model_name) from scores.declaration_items group by all"
            ).fetchall()
        )
    assert models["XM"].endswith("pooled")
    assert models["XN"].endswith("xn")


def test_a_member_that_nobody_can_score_is_published_without_scores(install):
    """No label of its own, and no other member: there is nothing to learn from."""
    there = install("alone")
    generate_members(there.settings.paths, ["XA"], {"XA": ITEMS})
    members = write_contracts(there.home, ["XM"])
    outcome = json.loads(there.call_well("run", "--json", TIDEWAITER_MEMBERS_DIR=members))
    (row,) = outcome["members"]
    assert (row["member"], row["state"]) == ("XM", "published")
    assert "no label to learn from" in json.dumps(outcome)
    with duckdb.connect(str(there.publication / DUCKDB_FILE), read_only=True) as published:
        counts = [
            published.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("trade.declaration_items", "scores.declaration_items")
        ]
    assert counts[0] > 0.9 * ITEMS
    assert counts[1] == 0
