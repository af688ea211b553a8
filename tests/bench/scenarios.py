"""What scores find of planted irregularities: by scenario, against the truth, the oracle and the baselines.

The world is generated, landed, gated, transformed, trained on and scored by the real commands; its truth, of
inspected and uninspected items alike, is opened after the scores are written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

from ml.data import features_path
from tidewaiter.settings import PROJECT_ROOT, Settings
from tidewaiter.warehouse import quote_literal

COMMAND = [sys.executable, "-m", "flows.cli"]
MEMBERS = ("XA", "XB", "XC")
MONTHS = 24
SHARE = 0.05
# Name of a ranking to what it sorts by, highest first. `random` is not ranked: its expectation is known.
RANKINGS = {
    "model": "scored.score",
    "expected_recovery": "scored.expected_recovery_usd",
    "risk_profile": "feature.risk",
    "declared_duty": "feature.declared_tax_usd",
    "oracle": "truth.short_usd",
}
WORDS = {
    "model": "model, by probability",
    "expected_recovery": "model, by expected recovery",
    "risk_profile": "risk profile",
    "declared_duty": "declared duty",
    "random": "random",
    "oracle": "oracle: sorted by the tax that is short",
}


def measure_scenarios(work: Path, seeds: int, items: int, threads: int) -> dict[str, Any]:
    """Return figures of each member and seed, and of each scenario over all of them.

    Args:
        work: Folder for the homes; emptied before and after.
        seeds: Worlds, seeds 1 to this.
        items: Goods lines of each member over two years.
        threads: Threads of every command.
    """
    worlds, parts = [], []
    shutil.rmtree(work, ignore_errors=True)
    try:
        for seed in range(1, seeds + 1):
            home = work / f"seed-{seed}"
            _run_world(home, seed, items, threads)
            for member in MEMBERS:
                one = _judged(home, member)
                worlds.append({"seed": seed, "member": member, **one["overall"]})
                parts += [{"seed": seed, "member": member, **part} for part in one["scenarios"]]
            shutil.rmtree(home)
            sys.stderr.write(f"seed {seed} done\n")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {"items": items, "months": MONTHS, "seeds": seeds, "worlds": worlds, "scenarios": parts}


def _run_world(home: Path, seed: int, items: int, threads: int) -> None:
    members = [word for member in MEMBERS for word in ("--member", member)]
    environment = {**os.environ, "TIDEWAITER_HOME": str(home), "TIDEWAITER_THREADS": str(threads)}
    synth = ["--members", ",".join(MEMBERS), "--items", str(items), "--months", str(MONTHS)]
    for words in (
        ["synth", "generate", *synth, "--seed", str(seed)],
        ["ingest", *members],
        ["validate", "landing", *members],
        ["transform"],
        ["train", *members],
        ["score", *members],
    ):
        subprocess.run([*COMMAND, *words], env=environment, check=True, cwd=PROJECT_ROOT, stdout=sys.stderr)


def _judged(home: Path, member: str) -> dict[str, Any]:
    """Judge the newest batch of one member: all its items, inspected or not."""
    scores = home / "scores" / f"member={member}" / "run=*" / "rows.parquet"
    truth = home / "synthetic" / member.lower() / "truth" / "items.parquet"
    ranked = ",\n".join(
        f"row_number() over (order by {by} desc nulls last, hash(scored.declaration_id, scored.item_no))"
        f" <= ceil({SHARE} * count(*) over ()) as is_top_{name}"
        for name, by in RANKINGS.items()
    )
    connection = duckdb.connect()
    connection.execute(
        f"""
        create table items as
        with truth as (
            select declaration_id, item_no, scenario, is_irregular,
                greatest(true_tax_usd - declared_tax_usd, 0) as short_usd
            from read_parquet({quote_literal(truth)})
        ),
        feature as (
            select declaration_id, item_no, declared_tax_usd,
                list_avg([profile__importer_rate, profile__declarant_rate, profile__seller_rate,
                    profile__hs6_rate, profile__origin_rate, profile__office_rate]) as risk
            from read_parquet({quote_literal(features_path(Settings(home=home)))})
            where member_iso2 = {quote_literal(member)}
        )
        select truth.scenario, truth.is_irregular, truth.short_usd, {ranked}
        from read_parquet({quote_literal(scores)}) as scored
        inner join truth using (declaration_id, item_no)
        inner join feature using (declaration_id, item_no)
        """
    )
    names = [*RANKINGS]
    found = ", ".join(
        f"avg(is_irregular::int) filter (is_top_{name}) as precision_{name},"
        f" sum(short_usd) filter (is_top_{name}) / sum(short_usd) as revenue_{name}"
        for name in names
    )
    caught = ", ".join(
        f"avg(is_top_{name}::int) as recall_{name},"
        f" coalesce(sum(short_usd) filter (is_top_{name}), 0) / sum(short_usd) as revenue_{name}"
        for name in names
    )
    overall = connection.execute(
        f"select count(*) as items_n, avg(is_irregular::int) as base_rate, {found} from items"
    ).to_arrow_table()
    scenarios = connection.execute(
        f"select scenario, count(*) as items_n, sum(short_usd) as short_usd, {caught}"
        " from items where is_irregular group by scenario order by scenario"
    ).to_arrow_table()
    return {"overall": overall.to_pylist()[0], "scenarios": scenarios.to_pylist()}


def scenarios_table(found: dict[str, Any]) -> str:
    """Return the tables of the page, means over worlds with their range."""
    worlds, parts = found["worlds"], found["scenarios"]
    n, rate = _spread([one["items_n"] for one in worlds], 0), _spread([one["base_rate"] for one in worlds])
    lines = [
        f"{found['seeds']} seeds of {', '.join(MEMBERS)} with {found['items']:,} items each over"
        f" {found['months']} months; the newest batch of each is judged, {n} items, {rate} of them irregular."
        " Mean over members and seeds, with the lowest and the highest.",
        "",
        "| ranking | precision at 5 % | revenue at 5 % |",
        "| --- | --- | --- |",
    ]
    for name, words in WORDS.items():
        if name == "random":
            lines.append(f"| {words} | {rate} | {SHARE:.3f} |")
            continue
        cells = [_spread([one[f"{kind}_{name}"] for one in worlds]) for kind in ("precision", "revenue")]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    lines += [
        "",
        "Of what each scenario planted in those windows, the share that lies in the first 5 % of a ranking;"
        " all members and seeds together. Random order finds 5 %.",
        "",
        "| scenario | items | found: model | risk profile | declared duty | oracle |"
        " revenue found: model, by expected recovery | risk profile | declared duty | oracle |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for scenario in sorted({one["scenario"] for one in parts}, key=lambda name: int(name[1:])):
        own = [one for one in parts if one["scenario"] == scenario]
        items = sum(one["items_n"] for one in own)
        recall = [
            sum(one[f"recall_{name}"] * one["items_n"] for one in own) / items
            for name in ("model", "risk_profile", "declared_duty", "oracle")
        ]
        short = sum(one["short_usd"] for one in own)
        revenue = [
            sum(one[f"revenue_{name}"] * one["short_usd"] for one in own) / short
            for name in ("expected_recovery", "risk_profile", "declared_duty", "oracle")
        ]
        cells = [f"{value:.2f}" for value in [*recall, *revenue]]
        lines.append(f"| {scenario} | {items:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float], digits: int = 3) -> str:
    low, high = min(values), max(values)
    mean = sum(values) / len(values)
    return f"{mean:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
