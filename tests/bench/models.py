"""What the models reach and how fast they are: figures for docs/reference/benchmarks.md.

Usage:
  python tests/bench/models.py speed [--rows 1e6] [--score-rows 1e7] [--threads 2]
  python tests/bench/models.py korea      (needs TIDEWAITER_KOREA_DIR; goes through the real commands)
  python tests/bench/models.py price      (needs TIDEWAITER_KOREA_DIR; size of the trees against accuracy)
  python tests/bench/models.py transfer   (needs TIDEWAITER_HOME with the marts of several members)
  python tests/bench/models.py scenarios [--seeds 2] [--items 6e4]   (synthetic members against their truth)
  python tests/bench/models.py write      (the page, from the latest of each)

Every measured step of `speed` is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from scenarios import measure_scenarios, scenarios_table

from ml.config import ModelConfig, choose_features, load_config
from ml.data import feature_mart_columns, features_path, labels_path, read_labelled
from tidewaiter.settings import PROJECT_ROOT, Settings
from tidewaiter.warehouse import quote_identifier, quote_literal

RESULTS = PROJECT_ROOT / "tests" / "bench" / "results"
PAGE = PROJECT_ROOT / "docs" / "reference" / "benchmarks.md"
WORK = Path(os.environ.get("TIDEWAITER_BENCH_DIR", PROJECT_ROOT / "data" / "bench-models"))
COMMAND = [sys.executable, "-m", "flows.cli"]
FEATURES = 60
_NOVEL = "AUC, novel lines"
_LABELS = ("Fraud", "Critical Fraud")
_LINE = (
    "HS6 Code",
    "Country of Departure",
    "Country of Origin",
    "Tax Rate",
    "Tax Type",
    "Net Mass",
    "Item Price",
)


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "what", choices=["speed", "korea", "price", "transfer", "scenarios", "write", *_STEPS]
    )
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--score-rows", type=float, default=1e7)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--items", type=float, default=6e4)
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2))
    arguments = parser.parse_args()
    if arguments.what in _STEPS:
        sys.stdout.write(json.dumps(_STEPS[arguments.what](arguments)) + "\n")
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    if arguments.what == "write":
        PAGE.write_text(_page(), encoding="utf-8")
        return
    measured = {"speed": _speed, "korea": _korea, "price": _price, "transfer": _transfer}
    found = (measured | {"scenarios": _scenarios})[arguments.what](arguments)
    (RESULTS / f"models-{arguments.what}.json").write_text(
        json.dumps(found, indent=2) + "\n", encoding="utf-8"
    )
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


# Speed -----------------------------------------------------------------------------------------------


def _speed(arguments: argparse.Namespace) -> dict[str, Any]:
    shutil.rmtree(WORK, ignore_errors=True)
    found: dict[str, Any] = {"threads": arguments.threads}
    try:
        for step in ("mart", "train", "whole", "reasons", "big", "score"):
            words = [sys.executable, __file__, step, "--rows", str(arguments.rows)]
            words += ["--score-rows", str(arguments.score_rows), "--threads", str(arguments.threads)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{step} failed:\n{done.stderr}")
            sys.stderr.write(f"{step} done\n")
            if step not in ("mart", "big"):
                found[step] = json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    return found


def _settings(arguments: argparse.Namespace, name: str = "small") -> Settings:
    return Settings(home=WORK / name, threads=arguments.threads, memory_limit="2GB")


def _config() -> ModelConfig:
    config = load_config()
    baselines = config.baselines.model_copy(update={"risk_profile": ("importer",)})
    return config.model_copy(update={"baselines": baselines})


def _write_mart(settings: Settings, rows: int) -> None:
    """Write marts of one member over two years: sixty features, six of which matter."""
    names = ["profile__importer_rate", "profile__importer_items_n", "novelty__is_product_line_new"]
    names += ["novelty__importer_days_since_first_seen"]
    names += [f"value__x{number:02d}" for number in range(FEATURES - len(names))]
    columns = ", ".join(
        f"{'cast(random() < 0.2 as integer)' if name == names[2] else 'floor(random() * 1000) / 1000'}"
        f" as {quote_identifier(name)}"
        for name in names
    )
    folder = settings.paths.marts / "features"
    folder.mkdir(parents=True)
    connection = duckdb.connect(config={"threads": settings.threads, "memory_limit": "2GB"})
    connection.execute("select setseed(0.5)")
    connection.execute(
        f"""
        copy (
            select 'XT' as member_iso2, 'D' || range as declaration_id, cast(1 as integer) as item_no,
                'O' || (range % 20) as office_code, '010121' as hs6, 'CN' as origin_iso2,
                date '2024-01-01' + cast(range * 730 / {rows} as integer) as registered_date,
                cast(date '2024-01-01' + cast(range * 730 / {rows} as integer) as timestamp) as registered_at,
                100.0 * random() as declared_tax_usd, {columns}
            from range({rows})
        ) to {quote_literal(features_path(settings))} (format parquet, row_group_size 122880)
        """
    )
    connection.execute(
        f"""
        copy (
            with items as (
                select *, random() < 1 / (1 + exp(-(-4 + 3 * profile__importer_rate + 2 * value__x00
                    + 2 * value__x01 * value__x02 - 2 * value__x03 + novelty__is_product_line_new))) as found
                from read_parquet({quote_literal(features_path(settings))})
            )
            select member_iso2, declaration_id, item_no, registered_at, registered_date,
                registered_at + interval 5 day as label_at, found as is_irregular, false as is_serious,
                case when found then exp(3 + 2 * value__x04 + random()) else 0 end as recovered_tax_usd,
                'ALL' as label_source_code
            from items
        ) to {quote_literal(labels_path(settings))} (format parquet)
        """
    )


def _measured(work: Callable[[], Any], rows: int) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    work()
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "rows_per_second": round(rows / seconds),
        "rows_per_cpu_second": round(rows / cpu),
        "peak_gib": round(after.ru_maxrss / 2**20, 2),
    }


def _mart_step(arguments: argparse.Namespace) -> dict[str, Any]:
    _write_mart(_settings(arguments), int(arguments.rows))
    return {}


def _big_step(arguments: argparse.Namespace) -> dict[str, Any]:
    _write_mart(_settings(arguments, "big"), int(arguments.score_rows))
    return {}


def _fitted(arguments: argparse.Namespace) -> Any:
    from ml.boosting import fit_bundle
    from ml.splits import split_items

    settings, config = _settings(arguments), _config()
    items = read_labelled(settings, config, "XT", choose_features(feature_mart_columns(settings), config))
    return items, fit_bundle(items, split_items(items, config), config, 7, settings.threads)


def _train_step(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the marts and fit both models, calibration and lanes."""
    kept: list[Any] = []
    measured = _measured(lambda: kept.append(_fitted(arguments)), int(arguments.rows))
    _, fitted = kept[0]
    folder = WORK / "bundle"
    folder.mkdir()
    fitted.bundle.save(folder)
    return measured | {"features": FEATURES, "rounds": fitted.rounds}


def _whole_step(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same with everything a training judges: intervals, baselines, slices, audit, counterfactual."""
    from ml import train

    settings, config = _settings(arguments), _config()
    features = choose_features(feature_mart_columns(settings), config)
    return _measured(lambda: train._learn(settings, "XT", config, features), int(arguments.rows))


def _reasons_step(arguments: argparse.Namespace) -> dict[str, Any]:
    """Exact contributions, sums checked, of the model that `train` fitted; then the words."""
    from ml.bundle import load_bundle
    from ml.explain import contributions, reasons

    bundle = load_bundle(WORK / "bundle", arguments.threads)
    settings, config = _settings(arguments), _config()
    matrix = read_labelled(settings, config, "XT", bundle.features).matrix[:20_000]
    exact = _measured(lambda: contributions(bundle, matrix), len(matrix))
    return {
        **exact,
        "trees": bundle.probability.num_boosted_rounds(),
        "with_words": _measured(lambda: reasons(bundle, matrix), len(matrix)),
    }


def _score_step(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score a whole mart: read, two models, calibration, ranks, lanes, written in order of the keys."""
    from ml.batches import Batch, write_score_batch
    from ml.bundle import load_bundle

    settings, config = _settings(arguments, "big"), _config()
    scoring = config.scoring.model_copy(update={"explained_top_share": 0.0, "explained_ranks": 0})
    config = config.model_copy(update={"scoring": scoring})
    bundle = load_bundle(WORK / "bundle", arguments.threads)
    labels_path(settings).unlink()
    connection = duckdb.connect()
    connection.execute(
        f"""
        copy (
            select member_iso2, declaration_id, item_no, registered_at, registered_date,
                registered_at as label_at, false as is_irregular, false as is_serious,
                0.0 as recovered_tax_usd, 'ALL' as label_source_code
            from read_parquet({quote_literal(features_path(settings))}) limit 0
        ) to {quote_literal(labels_path(settings))} (format parquet)
        """
    )
    batch = Batch(
        member_iso2="XT",
        window_from=date(2024, 1, 1),
        window_to=date(2026, 1, 1),
        judged_from=date(2024, 1, 1),
        model_name="irregularity-xt",
        model_version="1",
        run_id="0" * 32,
        scored_at=datetime(2026, 1, 1),
        target=WORK / "scores.parquet",
    )
    rows = int(arguments.score_rows)
    return _measured(lambda: write_score_batch(settings, config, bundle, batch), rows)


_STEPS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "mart": _mart_step,
    "train": _train_step,
    "whole": _whole_step,
    "reasons": _reasons_step,
    "big": _big_step,
    "score": _score_step,
}


# The Korean set --------------------------------------------------------------------------------------


def _korea(arguments: argparse.Namespace) -> dict[str, Any]:
    """One quarter earlier than the set's own split: twelve months with labels on land, one quarter without.

    The model is trained as by default: the last ninety days of labels are its test window, so it learns from
    the nine months before. The quarter that is scored is January to March 2021.
    """
    source = Path(os.environ["TIDEWAITER_KOREA_DIR"])
    shutil.rmtree(WORK, ignore_errors=True)
    files, home = WORK / "files", WORK / "home"
    files.mkdir(parents=True)
    try:
        shutil.copyfile(source / "train.csv", files / "train.csv")
        left_out = ", ".join(quote_identifier(name) for name in _LABELS)
        read = f"read_csv({quote_literal(source / 'valid.csv')}, all_varchar = true, nullstr = '')"
        duckdb.sql(f"select * exclude ({left_out}) from {read}").write_csv(str(files / "valid.csv"))
        environment = {**os.environ, "TIDEWAITER_HOME": str(home), "TIDEWAITER_KOREA_DIR": str(files)}
        for words in (
            ["ingest", "--member", "KR"],
            ["validate", "landing", "--member", "KR"],
            ["transform"],
            ["train", "--member", "KR", "--no-pooled"],
            ["score", "--member", "KR"],
        ):
            subprocess.run([*COMMAND, *words], env=environment, check=True, cwd=PROJECT_ROOT)
        return {
            "rehearsal": _judged_quarter(home, source),
            "backtest": _backtest(home),
        }
    finally:
        shutil.rmtree(WORK, ignore_errors=True)


def _judged_quarter(home: Path, source: Path) -> dict[str, Any]:
    """Judge accepted scores by the labels that were never on land; novel: the line is not in train.csv."""
    from ml.assessment import Scored, assess
    from ml.baselines import simple_baselines

    line = ", ".join(quote_identifier(name) for name in _LINE)
    train, valid = (
        f"read_csv({quote_literal(source / name)}, all_varchar = true, nullstr = '')"
        for name in ("train.csv", "valid.csv")
    )
    found = duckdb.sql(
        f"""
        with known as (select distinct {line}, true as is_known from {train}),
        quarter as (
            select "Declaration ID" as declaration_id, "Fraud" = '1' as is_irregular,
                known.is_known is null as is_novel
            from {valid} left join known using ({line})
        )
        select scored.declaration_id, score, probability, expected_recovery_usd, scored.registered_date,
            quarter.is_irregular, quarter.is_novel, feature.declared_tax_usd, feature.risk
        from read_parquet({quote_literal(home / "scores/member=KR/run=*/rows.parquet")}) as scored
        inner join quarter using (declaration_id)
        inner join (
            select declaration_id, declared_tax_usd,
                coalesce(list_avg([profile__importer_rate, profile__declarant_rate, profile__seller_rate,
                    profile__hs6_rate, profile__origin_rate, profile__office_rate]), 0) as risk
            from read_parquet({quote_literal(features_path(Settings(home=home)))})
        ) as feature using (declaration_id)
        order by scored.declaration_id
        """
    ).fetchnumpy()
    found = {name: np.asarray(values) for name, values in found.items()}
    n = len(found["score"])
    from ml.data import LabelledItems

    nothing = np.asarray([None] * n, dtype=object)
    truth = found["is_irregular"].astype(bool)
    items = LabelledItems(
        features=(),
        matrix=np.zeros((n, 0), dtype=np.float32),
        member_iso2=np.asarray(["KR"] * n, dtype=object),
        registered_day=found["registered_date"].astype("datetime64[D]"),
        label_at=found["registered_date"].astype("datetime64[us]"),
        is_irregular=truth,
        recovered_usd=np.where(truth, found["declared_tax_usd"].astype(float), 0.0),
        declared_tax_usd=found["declared_tax_usd"].astype(float),
        risk_profile=found["risk"].astype(float),
        is_novel_line=found["is_novel"].astype(bool),
        office_code=nothing,
        hs6=nothing,
        origin_iso2=nothing,
        importer_items_n=np.full(n, np.nan),
        importer_days=np.full(n, np.nan),
        label_source_code=np.asarray(["ALL"] * n, dtype=object),
        selection_probability=np.full(n, np.nan),
    )
    scored = Scored(items, found["score"], found["probability"], found["expected_recovery_usd"])
    baselines = simple_baselines(items.declared_tax_usd, items.risk_profile, 7)
    return assess(scored, baselines, load_config(), 7, with_slices=False).as_json()


def _backtest(home: Path) -> dict[str, Any]:
    """Rolling origins within 2020: what choices of the configuration were made on."""
    from ml.backtest import backtest

    settings = Settings(home=home, threads=2)
    return backtest(settings, load_config(), "KR", 3, 60, until=date(2020, 12, 31)).as_json()


def _price(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trees of several sizes on rolling origins within 2020: accuracy, and exact reasons per second."""
    from ml.backtest import origin_splits
    from ml.boosting import fit_bundle
    from ml.evaluate import evaluate
    from ml.explain import contributions

    home = Path(os.environ["TIDEWAITER_HOME"])
    settings, base = Settings(home=home, threads=arguments.threads), load_config()
    items = read_labelled(settings, base, "KR", choose_features(feature_mart_columns(settings), base))
    planned = origin_splits(items, base, 3, 60, date(2020, 12, 31))
    table = []
    for depth, rate, parallel in (
        (2, 0.1, 1),
        (3, 0.1, 1),
        (4, 0.1, 1),
        (4, 0.05, 1),
        (4, 0.1, 4),
        (6, 0.1, 1),
        (6, 0.05, 1),
        (8, 0.05, 1),
    ):
        boosting = base.boosting.model_copy(
            update={
                "max_depth": depth,
                "learning_rate": rate,
                "num_parallel_tree": parallel,
                "max_rounds": 1500,
            }
        )
        config = base.model_copy(update={"boosting": boosting})
        figures, speed, trees = [], [], []
        for _, _, split in planned:
            fitted = fit_bundle(items, split, config, 7, arguments.threads)
            test = items.take(split.test)
            score = fitted.bundle.score(test.matrix)
            figures.append(
                evaluate(
                    score,
                    test.is_irregular,
                    test.recovered_usd,
                    (0.1,),
                    fitted.bundle.calibrator.apply(score),
                    test.is_novel_line,
                ).flat()
            )
            rows = test.matrix[:4000]
            measured = _measured(partial(contributions, fitted.bundle, rows), len(rows))
            speed.append(measured["rows_per_cpu_second"])
            trees.append(fitted.rounds * parallel)
        table.append(
            {
                "max_depth": depth,
                "learning_rate": rate,
                "num_parallel_tree": parallel,
                "trees": round(float(np.mean(trees))),
                **{
                    name: round(float(np.mean([one[name] for one in figures])), 4)
                    for name in ("auc", "average_precision", "novel/auc", "calibration_error")
                },
                "exact_reasons_per_cpu_second": round(float(np.mean(speed))),
            }
        )
    return {"rows": table}


# Members teaching each other -------------------------------------------------------------------------


def _transfer(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `tidewaiter models transfer` says of the home in `TIDEWAITER_HOME`."""
    command = [*COMMAND, "models", "transfer", "--json"]
    environment = os.environ | {"TIDEWAITER_THREADS": str(arguments.threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return {"rows": json.loads(done.stdout)}


def _scenarios(arguments: argparse.Namespace) -> dict[str, Any]:
    return measure_scenarios(WORK, arguments.seeds, int(arguments.items), arguments.threads)


# The page --------------------------------------------------------------------------------------------


def _page() -> str:
    template = (PROJECT_ROOT / "tests" / "bench" / "models.md").read_text(encoding="utf-8")
    parts = {}
    tables = {"speed": _speed_table, "korea": _korea_table, "price": _price_table}
    for name, render in (tables | {"transfer": _transfer_table, "scenarios": scenarios_table}).items():
        path = RESULTS / f"models-{name}.json"
        if path.is_file():
            parts[name] = render(json.loads(path.read_text(encoding="utf-8")))
        else:
            parts[name] = f"Not measured yet: `python tests/bench/models.py {name}`."
    for name, text in parts.items():
        template = template.replace("{{ " + name + " }}", text)
    return template


def _speed_table(found: dict[str, Any]) -> str:
    words = {
        "train": f"train: read the marts, fit both models, calibrate ({found['train']['features']} features)",
        "whole": "the same with intervals, baselines, slices, audit and counterfactual model",
        "score": "score: two models, calibration, ranks, lanes, written by key; no reasons",
        "reasons": f"exact reasons ({found['reasons']['trees']} trees), sums checked",
    }
    lines = [
        f"Threads: {found['threads']}. Wall time was taken on a shared machine; CPU seconds are steadier.",
        "",
        "| step | rows | seconds | CPU seconds | rows per second | rows per CPU second | peak GiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, text in words.items():
        one = found[name]
        lines.append(
            f"| {text} | {one['rows']:,} | {one['seconds']} | {one['cpu_seconds']} |"
            f" {one['rows_per_second']:,} | {one['rows_per_cpu_second']:,} | {one['peak_gib']} |"
        )
    return "\n".join(lines)


def _korea_table(found: dict[str, Any]) -> str:
    lines = []
    rehearsal = found["rehearsal"]
    lines += [
        f"January to March 2021, {rehearsal['n']:,} items, labels never on land:",
        "",
        *_head(
            "ranking", "AUC", "average precision", "at 1 %", "at 5 %", "at 10 %", "calibration error", _NOVEL
        ),
    ]
    names = {
        "model": "model",
        "risk_profile": "risk profile",
        "declared_duty": "declared duty",
        "random_expected": "random",
    }
    metrics = (
        "auc",
        "average_precision",
        "precision_at_01",
        "precision_at_05",
        "precision_at_10",
        "calibration_error",
    )
    for name, words in names.items():
        own = rehearsal["rankings"][name]
        novel = rehearsal["segments"]["novel"][name]["figures"].get("auc")
        cells = [_words(own.get(metric)) for metric in metrics]
        lines.append(f"| {words} | {' | '.join(cells)} | {_words(novel)} |")
    n = rehearsal["segments"]["novel"]["model"]["n"]
    lines += ["", f"Novel: the line occurs in no row of 2020; {n:,} items.", ""]
    lines += [
        "Rolling origins within 2020, the rows that choices were made on:",
        "",
        *_head(
            "judged", "items", "AUC", "average precision", "calibration error", _NOVEL, f"{_NOVEL}, logistic"
        ),
    ]
    for origin in found["backtest"]["origins"]:
        one = origin["assessment"]
        own, parts = one["rankings"]["model"], one["segments"]["novel"]
        cells = [_words(own.get(metric)) for metric in ("auc", "average_precision", "calibration_error")]
        cells += [_words(parts[name]["figures"].get("auc")) for name in ("model", "logistic_regression")]
        lines.append(
            f"| {origin['first_day']} to {origin['last_day']} | {one['n']:,} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _price_table(found: dict[str, Any]) -> str:
    lines = [
        *_head(
            *("depth", "learning rate", "trees a round", "trees kept", "AUC", "average precision", _NOVEL),
            *("calibration error", "exact reasons per CPU second"),
        ),
    ]
    for one in found["rows"]:
        lines.append(
            f"| {one['max_depth']} | {one['learning_rate']} | {one['num_parallel_tree']} | {one['trees']} |"
            f" {one['auc']:.4f} | {one['average_precision']:.4f} | {one['novel/auc']:.4f} |"
            f" {one['calibration_error']:.4f} | {one['exact_reasons_per_cpu_second']:,} |"
        )
    return "\n".join(lines)


def _transfer_table(found: dict[str, Any]) -> str:
    ways = ("local", "transfer", "pooled", "risk_profile")
    lines = _head(
        *("member", "own labels", *(f"{way.replace('_', ' ')}: revenue at 5 %" for way in ways)),
        *("times local", *(f"{way.replace('_', ' ')}: average precision" for way in ways)),
        "negative",
    )
    for one in found["rows"]:
        cells = [one["member"], f"{one['own_labels']:,}"]
        cells += [one[f"{way}_revenue_at_05"] for way in ways] + [one["times_local_revenue"]]
        cells += [one[f"{way}_average_precision"] for way in ways]
        lines.append(f"| {' | '.join(cells)} | {'yes' if one['negative_transfer'] else 'no'} |")
    return "\n".join(lines)


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]


def _words(one: list[float | None] | None) -> str:
    if one is None or one[0] is None:
        return ""
    if one[1] is None:
        return f"{one[0]:.3f}"
    return f"{one[0]:.3f} ({one[1]:.3f} to {one[2]:.3f})"


if __name__ == "__main__":
    main()
