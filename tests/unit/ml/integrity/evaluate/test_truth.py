"""Parts against the truth and the landed rows, read the plain way."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import date

import pyarrow.parquet as pq
import pytest

from flows.ingest import ingest_member
from ml.integrity.evaluate.traces import (
    HIGH_DUTY_PCT,
    PLANTED_GAP,
    PLANTED_RISE,
    SPLIT_FILES,
    SPLIT_SHARE,
)
from ml.integrity.evaluate.truth import read_world
from tidewaiter.settings import Settings
from tidewaiter.synthetic.generate import make_requests, write_members
from tidewaiter.synthetic.parameters import plan


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A small world of XA that is landed, with enough splitting, shopping and short weight to see."""
    settings = Settings(home=tmp_path_factory.mktemp("world"), threads=1, memory_limit="1GB")
    chosen = plan("all", "all", ["S7.share=1", "S4.share=0.05", "S10.uplifted=1", "S5.per_month=3"])
    write_members(settings.paths.synthetic, make_requests(["XA"], 6_000, 6, 11, chosen))
    ingest_member(settings, "XA")
    return settings


@pytest.fixture(scope="module")
def items(home):
    """Truth and landed row of every item that was landed."""
    folder = home.paths.synthetic / "xa" / "truth"
    landed = {
        (row["declaration_id"], row["item_no"]): row
        for path in (home.paths.landing / "declaration_items" / "member=XA").glob("*/rows.parquet")
        for row in pq.ParquetFile(path).read().to_pylist()
    }
    truth = pq.ParquetFile(folder / "items.parquet").read().to_pylist()
    return [(one, landed[key]) for one in truth if (key := (one["declaration_id"], one["item_no"])) in landed]


@pytest.fixture(scope="module")
def parts(home):
    return read_world(home, "XA").parts


def units(parts, scenario, role):
    return {part.unit_id: part for part in parts if (part.scenario, part.role) == (scenario, role)}


def test_pairs_are_who_the_diverted_files_met(parts, items):
    met = {(row["declarant_id"], row["inspector_initial_id"]) for one, row in items if one["is_diverted"]}
    assert met
    assert met <= {(p.unit_id, p.counterpart_id) for p in parts if p.role == "pair"}
    files = Counter((row["declarant_id"], one["declaration_id"]) for one, row in items if one["is_diverted"])
    for pair in (part for part in parts if part.role == "pair"):
        assert pair.files == len([key for key in files if key[0] == pair.unit_id])
        assert pair.diversion in (0.05, 0.10, 0.20)


@pytest.mark.parametrize(
    ("scenario", "role", "mark", "column"),
    [
        ("S5", "importer", lambda one: one["scenario"] == "S5", "importer_id"),
        ("S7", "broker", lambda one: one["is_shopped"], "declarant_id"),
        ("S10", "inspector", lambda one: one["is_extorted"], "inspector_final_id"),
        ("S11", "broker", lambda one: one["is_passed_over"], "declarant_id"),
    ],
)
def test_who_plays_a_part_is_who_the_marked_items_name(parts, items, scenario, role, mark, column):
    named = Counter(row[column] for one, row in items if mark(one) and row[column])
    assert set(named) <= set(units(parts, scenario, role))
    assert sum(named.values()) > 0


def test_losses_are_the_taxes_that_items_were_short_of(parts, items):
    short = defaultdict(float)
    for one, row in items:
        if one["scenario"] == "S5":
            short[row["importer_id"]] += max(one["true_tax_usd"] - one["declared_tax_usd"], 0)
    for unit, part in units(parts, "S5", "importer").items():
        assert part.loss_usd == pytest.approx(short[unit])


def test_starts_are_those_of_the_plan(parts):
    for part in (one for one in parts if one.is_named):
        if part.scenario in ("S6", "S7", "S8", "S9", "S10"):
            assert date(2024, 2, 10) < part.starts_on < date(2024, 2, 20)
            assert part.ends_on is None
        if part.scenario == "S11":
            assert (part.ends_on - part.starts_on).days == 60


def test_flows_short_of_mass_are_those_that_plain_sums_find(parts, items):
    expected = set()
    for end in (date(2024, 3, 31), date(2024, 6, 30)):
        true_kg, declared_kg, planted = defaultdict(float), defaultdict(float), set()
        for one, row in items:
            if row["cancelled_at"] is None and row["registered_date"] <= end:
                flow = f"{one['true_hs6']} from {one['true_origin_iso2']}"
                true_kg[flow] += one["true_net_kg"]
                declared_kg[f"{row['hs6']} from {row['origin_iso2']}"] += float(row["net_kg"] or 0)
                if one["scenario"]:
                    planted.add(flow)
        expected |= {
            flow
            for flow in planted
            if declared_kg[flow] > 0 and math.log(true_kg[flow] / declared_kg[flow]) >= PLANTED_GAP
        }
    assert len(expected) > 20
    assert set_of_flows(parts, "flow short of mass") == expected


def set_of_flows(parts, role):
    return {part.unit_id for part in parts if part.role == role}


def test_units_bunch_where_parts_add_enough_to_the_others_under_the_threshold(parts, items):
    value, is_part, office = defaultdict(float), defaultdict(bool), {}
    for one, row in items:
        key = one["declaration_id"]
        value[key] += one["declared_value_usd"]
        is_part[key] |= one["scenario"] == "S5"
        office[key] = row["office_code"]
    highest = max(value[key] for key in value if is_part[key])
    counts = Counter((office[key], is_part[key]) for key in value if highest / 2 <= value[key] <= highest)
    expected = {
        unit
        for unit in set(office.values())
        if counts[unit, True] >= SPLIT_FILES and counts[unit, True] >= SPLIT_SHARE * counts[unit, False]
    }
    assert expected
    assert set(units(parts, "S5", "office")) == expected


def test_goods_are_short_by_duty_where_plain_sums_say_so(parts, items):
    sums = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])
    for one, row in items:
        if row["cancelled_at"] is None and (row["net_kg"] or 0) > 0 and row["hs6"]:
            for unit in (row["hs6"][:2], "all chapters"):
                total = sums[unit, one["true_rate_pct"] >= HIGH_DUTY_PCT]
                values = (
                    one["true_value_usd"],
                    one["true_net_kg"],
                    one["declared_value_usd"],
                    float(row["net_kg"]),
                )
                for place, value in enumerate(values):
                    total[place] += value
    gaps = {key: math.log(t[0] / t[1]) - math.log(t[2] / t[3]) for key, t in sums.items()}
    expected = {
        unit
        for unit, is_high in gaps
        if is_high and (unit, False) in gaps and gaps[unit, True] - gaps[unit, False] >= PLANTED_RISE
    }
    assert expected
    found = units(parts, "S1", "goods of a chapter") | units(parts, "S1", "all goods")
    assert set(found) == expected


def test_sets_hold_those_who_act_together(parts):
    ring = next(part for part in parts if (part.scenario, part.role) == ("S8", "set"))
    members = set(ring.counterpart_id.split())
    assert set(units(parts, "S8", "importer")) | set(units(parts, "S8", "supervisor")) == members


def test_evidence_counts_what_the_first_days_show(home, items):
    found = {(one["scenario"]): one for one in read_world(home, "XA").evidence}
    assert set(found) == {"S9", "S11"}
    assert found["S9"]["files"] >= found["S9"]["observed"] >= 0


def test_decoys_play_parts_of_their_own(parts):
    assert {part.scenario for part in parts if part.scenario.startswith("Z")} == {"Z1", "Z2", "Z3", "Z5"}
