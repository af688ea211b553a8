"""The version of worlds and looks covers what decides a signal, and nothing that only reads signals."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.integrity.evaluate.record import SOURCES
from ml.integrity.run import SHARED_MODULES
from tidewaiter.settings import PROJECT_ROOT

ROOM = PROJECT_ROOT / "ml" / "integrity"


def files(root: Path, patterns: tuple[str, ...]) -> set[Path]:
    return {path for pattern in patterns for path in root.glob(pattern)}


def imported(path: Path) -> Iterator[Path]:
    """Yield the modules of this room that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ml.integrity."):
            yield PROJECT_ROOT / f"{node.module.replace('.', '/')}.py"  # type: ignore[union-attr]


def reached(first: set[Path]) -> set[Path]:
    found, waiting = set(first), list(first)
    while waiting:
        following = {path for path in imported(waiting.pop()) if path.is_file()} - found
        found |= following
        waiting += following
    return found


def test_a_look_is_of_all_modules_that_compute_it() -> None:
    indicators = files(ROOM, ("indicators/[a-z]*.py",))
    shared = files(ROOM, SHARED_MODULES)

    assert len(indicators) == 20
    assert reached({ROOM / "run.py", *indicators}) - shared - indicators - {ROOM / "__init__.py"} == set()


@pytest.mark.parametrize("reader", ["dossier.py", "funnel.py", "timeline.py", "combine.py"])
def test_what_reads_signals_makes_no_world_stale(reader: str) -> None:
    assert (ROOM / reader).is_file()
    assert ROOM / reader not in files(PROJECT_ROOT, SOURCES)


@pytest.mark.parametrize(
    "source",
    [
        "ml/integrity/indicators/a1.py",
        "ml/integrity/indicators/_strata.py",
        "ml/integrity/catalogue.yaml",
        "dbt_project/models/marts/integrity/integrity_findings.sql",
        "tidewaiter/synthetic/schemes.py",
    ],
)
def test_what_decides_a_signal_does(source: str) -> None:
    assert PROJECT_ROOT / source in files(PROJECT_ROOT, SOURCES)


def test_macros_of_the_counts_decide_too() -> None:
    macros = {
        name: path
        for path in (PROJECT_ROOT / "dbt_project" / "macros").glob("*.sql")
        for name in re.findall(r"macro (\w+)\(", path.read_text(encoding="utf-8"))
    }
    models = (PROJECT_ROOT / "dbt_project" / "models").glob("*/integrity/*.sql")
    called = {name for path in models for name in re.findall(r"\b(\w+)\(", path.read_text(encoding="utf-8"))}
    used = {macros[name] for name in called & macros.keys()}

    assert len(used) >= 3
    assert used - files(PROJECT_ROOT, SOURCES) == set()
