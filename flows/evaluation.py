"""Worlds with planted truth, sent through the real pipeline in a home of their own, one after the other.

Landing, gate, dbt and indicators are those of any member; of the dbt project runs what the indicators read.
The home is taken away when the world is on record. dbt's parsed project stays for the next one.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import gates, transform
from flows.environment import prepare_environment
from flows.ingest import ingest_member
from flows.lock import home_locked
from flows.manifest import write_manifest
from tidewaiter.contracts import load_contract
from tidewaiter.errors import Problem, TidewaiterError, UsageProblem, closest
from tidewaiter.files import read_json, write_json_atomically
from tidewaiter.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from ml.integrity.evaluate.targets import Target
    from ml.integrity.evaluate.worlds import WorldSpec

logger = logging.getLogger(__name__)

# Called with how many worlds of how many are on record, and the last one's name and CPU seconds.
Told = Callable[[int, int, str, float], None]


def collect(
    settings: Settings, folder: Path, specs: Sequence[WorldSpec], jobs: int = 1, told: Told | None = None
) -> list[Path]:
    """Put every world on record that is not yet, by the present code; return the files of all.

    Args:
        settings: Threads, which the jobs share, and memory of each; the home is not touched.
        folder: Where records are kept, one folder per version of the code.
        specs: The worlds.
        jobs: Processes at a time, each with a home of its own.
        told: Told after every world.

    Raises:
        TidewaiterError: Worlds that failed; the others are on record.
    """
    from ml.integrity.evaluate.record import world_path

    shared = settings.model_copy(update={"threads": max(1, settings.threads // jobs)})
    paths = {spec: world_path(folder, spec) for spec in specs}
    missing = [spec for spec in specs if not _stands(paths[spec], spec)]
    done = len(specs) - len(missing)
    problems = []
    for spec, run in _records(shared, missing, jobs):
        try:
            record = run()
        except Exception as error:  # the other worlds are worth having; all failures are raised at the end
            logger.exception("world %s failed", spec.name)
            problems.append(Problem(f"{type(error).__name__}: {error}", where=f"world {spec.name}"))
            continue
        write_json_atomically(paths[spec], record)
        done += 1
        if told is not None:
            told(done, len(specs), spec.name, record["cost"]["cpu_s"])
    if problems:
        raise TidewaiterError(problems)
    return list(paths.values())


def _stands(path: Path, spec: WorldSpec) -> bool:
    found = read_json(path)
    return found is not None and found["world"] == spec.as_json()


def _records(
    settings: Settings, specs: Sequence[WorldSpec], jobs: int
) -> Iterator[tuple[WorldSpec, Callable[[], dict[str, Any]]]]:
    """Yield each world with what returns its record, or raises what went wrong in it."""
    if jobs == 1:
        with _workplace() as place:
            for spec in specs:
                yield spec, partial(run_world, settings, spec, place)
        return
    # Fresh processes: dbt's environment and DuckDB's threads belong to one home each.
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_settle, initargs=(settings,)
    ) as pool:
        pending = {pool.submit(_run_in_worker, spec): spec for spec in specs}
        for future in as_completed(pending):
            yield pending[future], future.result


_worker: dict[str, Any] = {}


def _settle(settings: Settings) -> None:
    place = _workplace()
    _worker.update(settings=settings, place=place.__enter__(), leave=place)


def _run_in_worker(spec: WorldSpec) -> dict[str, Any]:
    return run_world(_worker["settings"], spec, _worker["place"])


@contextmanager
def _workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tidewaiter-worlds-") as folder:
        yield Path(folder)


def run_world(settings: Settings, spec: WorldSpec, place: Path) -> dict[str, Any]:
    """Draw a world, send it through the pipeline, and return what is kept of it.

    Args:
        settings: Threads and memory.
        spec: The world.
        place: Folder for its home, which is taken away at the end.
    """
    from ml.integrity.evaluate.record import make_record
    from ml.integrity.evaluate.truth import read_world
    from ml.integrity.evaluate.worlds import MEMBER
    from ml.integrity.run import run_member
    from tidewaiter.synthetic.generate import make_requests, write_members

    clock = _Clock()
    own = settings.model_copy(update={"home": place / "home"})
    with _environment_of(own), home_locked(own, f"world {spec.name}"):
        try:
            clock.begin("draw")
            requests = make_requests([MEMBER], spec.items, spec.months, spec.seed, spec.plan())
            write_members(own.paths.synthetic, requests)
            clock.begin("land")
            ingest_member(own, MEMBER)
            clock.begin("gate")
            gates.gate_landing(own, MEMBER)
            write_manifest(own)
            clock.begin("transform")
            transform.build_only(own, _tables(spec))
            parameters = load_contract(own.members_dir, MEMBER).parameters
            run_member(own, MEMBER, parameters, spec.indicators or None, clock.begin)
            clock.begin("judge")
            return make_record(own, spec, MEMBER, read_world(own, MEMBER), clock.stop)
        finally:
            _clear(own)


class _Clock:
    """CPU seconds of each part of a world, dbt's included."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._part = ""
        self._since, self._started = _cpu_s(), time.monotonic()

    def begin(self, part: str) -> None:
        """Say that another part begins."""
        now = _cpu_s()
        if self._part:
            self._parts[self._part] = round(now - self._since, 1)
        self._part, self._since = part, now

    def stop(self) -> dict[str, Any]:
        """Return CPU seconds in all and of each part, and seconds on the wall."""
        self.begin("")
        total = round(sum(self._parts.values()), 1)
        return {"cpu_s": total, "wall_s": round(time.monotonic() - self._started, 1), "parts_s": self._parts}


def _tables(spec: WorldSpec) -> list[str]:
    """Return the marts that the world's indicators read."""
    from ml.integrity.catalogue import load_catalogue
    from ml.integrity.inputs import COVERAGE

    entries = [entry for entry in load_catalogue() if not spec.indicators or entry.id in spec.indicators]
    return sorted(
        {COVERAGE, *(table for entry in entries for table in [*entry.tables, *entry.optional_tables])}
    )


@contextmanager
def _environment_of(settings: Settings) -> Iterator[None]:
    """Point the process environment at a home, for dbt, and back."""
    before = dict(os.environ)
    prepare_environment(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _clear(settings: Settings) -> None:
    """Take away everything but the locks and dbt's parsed project."""
    kept = {settings.paths.state, settings.paths.dbt_target}
    for path in settings.home.iterdir():
        if path not in kept:
            shutil.rmtree(path)


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def chosen_worlds(seeds: str, kinds: str, items: int, months: int) -> list[WorldSpec]:
    """Return the worlds that the words of a command ask for.

    Args:
        seeds: `20` for 1 to 20, or `101-110`.
        kinds: Names with commas.
        items: Goods lines of each world.
        months: Length of the period.

    Raises:
        UsageProblem: Words that mean nothing; carries all problems.
    """
    from ml.integrity.evaluate.worlds import KINDS, worlds

    found = re.fullmatch(r"(\d+)(?:-(\d+))?", seeds.strip())
    asked = [name.strip().lower() for name in kinds.split(",") if name.strip()]
    problems = [
        Problem(
            f"unknown kind of world '{name}'{closest(name, KINDS)}", expected=f"one of {', '.join(KINDS)}"
        )
        for name in asked
        if name not in KINDS
    ]
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if last < max(first, 1):
        problems.append(
            Problem(f"'{seeds}' names no seeds", expected="a number, or the first and last as 101-110")
        )
    if problems or not asked:
        raise UsageProblem(problems or [Problem("no kind of world is named", expected=", ".join(KINDS))])
    numbers = range(first, last + 1) if found and found[2] else range(1, first + 1)
    return worlds(numbers, [name for name in KINDS if name in asked], items, months)


def write(folder: Path, page: Path | None, spec: WorldSpec) -> tuple[Path, list[Target]]:
    """Write the page of the worlds on record; return it and the targets.

    Args:
        folder: Where records are kept.
        page: Folder of the page; else `docs/reference` where the worlds are of the usual size.
        spec: A world, for the size.

    Raises:
        UsageProblem: No world is on record.
    """
    from ml.integrity.evaluate.page import write_page
    from ml.integrity.evaluate.rules import load_rules
    from ml.integrity.evaluate.summary import judge_all
    from ml.integrity.evaluate.targets import targets
    from ml.integrity.evaluate.worlds import ITEMS, MONTHS

    version, records = read_records(folder)
    is_usual = page is None and (spec.items, spec.months) == (ITEMS, MONTHS)
    place = PROJECT_ROOT / "docs" / "reference" if is_usual else page or folder
    figures = PROJECT_ROOT / "tests" / "bench" / "results" if is_usual else place
    written = write_page(records, version, place, figures / "detection.json")
    return written, targets(judge_all(records, load_rules()))


def read_records(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return a version of the code and its worlds: the present one, else the one with most worlds.

    Raises:
        UsageProblem: No world is on record.
    """
    from ml.integrity.evaluate.record import code_version

    present = code_version()
    folders = [one for one in sorted(folder.glob("*")) if one.is_dir() and _worlds(one)]
    if not folders:
        raise UsageProblem(
            Problem("no world is on record", where=str(folder), next_step="tidewaiter integrity evaluate")
        )
    chosen = max(folders, key=lambda one: (one.name == present, len(_worlds(one))))
    if chosen.name != present:
        logger.warning("the worlds on record are of version %s, the code is %s", chosen.name, present)
    return chosen.name, [read_json(path) or {} for path in _worlds(chosen)]


def _worlds(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-*.json"))
