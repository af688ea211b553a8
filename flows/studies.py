"""Studies of models that register nothing: backtests, searches, transfer between members."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from flows.manifest import read_manifest
from flows.progress import Step, step
from flows.versions import data_version
from tidewaiter.files import write_json_atomically
from tidewaiter.settings import Settings

BACKTESTS = "backtests"
_METRICS = (
    "auc",
    "average_precision",
    "precision_at_05",
    "precision_at_10",
    "calibration_error",
    "calibration_slope",
)


def backtest_rows(
    settings: Settings, member: str | None, config_path: Path | None, origins: int, days: int
) -> tuple[list[dict[str, Any]], Path, str | None]:
    """Run a rolling-origin backtest; return its rows, the JSON with everything, and the banner."""
    from ml.backtest import backtest, figure_rows

    config = _config(config_path)
    with step(f"{member or 'pooled'} backtest") as running:
        found = backtest(settings, config, member, origins, days, told=_teller(running))
        running.note(f"{len(found.origins)} origins")
    rows = figure_rows(found, _METRICS)
    for row, one in zip(rows, [*(origin.assessment for origin in found.origins), found.pooled], strict=True):
        novel = one.segments.get("novel", {}).get("model")
        row["novel_auc"] = novel.figures["auc"].as_text() if novel and "auc" in novel.figures else ""
        for name in ("logistic_regression", "risk_profile"):
            row[f"{name}_average_precision"] = one.rankings[name]["average_precision"].as_text()
    path = settings.home / BACKTESTS / f"{config.registered_name(member)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(path, found.as_json())
    return rows, path, found.pooled.banner


def search_rows(
    settings: Settings, member: str | None, config_path: Path | None, trials: int | None
) -> tuple[list[dict[str, Any]], str]:
    """Search hyper-parameters; return the outcome and the configuration with the best, as YAML."""
    from ml.search import search

    config = _config(config_path)
    with step(f"{member or 'pooled'} search") as running:
        found = search(
            settings,
            config,
            member,
            data_version(read_manifest(settings), member),
            told=_teller(running),
            trials=trials,
        )
        running.note(f"{found.trials} trials, {found.pruned} given up early, best {found.best_value:.4f}")
    row = {
        "search": found.search_id,
        "trials": found.trials,
        "pruned": found.pruned,
        config.search.metric: found.best_value,
        "with_the_configuration_as_it_is": found.start_value,
        **found.best,
        "mlflow_run_id": found.mlflow_run_id,
    }
    return [row], found.configuration


def transfer_rows(
    settings: Settings, members: list[str] | None, config_path: Path | None, labels: list[int] | None
) -> list[dict[str, Any]]:
    """Let each member be taught by the others; return one row per member and number of own labels."""
    from ml.transfer import LABELS, leave_one_out

    config = _config(config_path)
    with step("transfer between members") as running:
        found = leave_one_out(settings, config, members, tuple(labels or LABELS), told=_teller(running))
        running.note(f"{len(found)} trainings compared")
    return [_transfer_row(one) for one in found]


def _transfer_row(one: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"member": one.member_iso2, "own_labels": one.labels, "test_items": one.test_items}
    for metric in ("revenue_at_05", "average_precision"):
        for way in ("local", "transfer", "pooled", "risk_profile"):
            figure = one.figures.get(way, {}).get(metric)
            row[f"{way}_{metric}"] = "" if figure is None else figure.as_text()
    ratio = one.ratio()
    row["times_local_revenue"] = "" if math.isnan(ratio) else f"{ratio:.2f}"
    row["negative_transfer"] = one.is_negative
    return row


def _config(path: Path | None) -> Any:
    from ml.config import load_config

    return load_config() if path is None else load_config(path)


def _teller(running: Step) -> Any:
    def tell(done: int, of: int, words: str) -> None:
        running.count(done, of)
        if words:
            running.note(words)

    return tell
