"""What the tests of whole runs share: the real command on a home of its own, and one finished run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tidewaiter.settings import Settings, load_settings
from tidewaiter.synthetic import generate_members

# Two homes with the same key hold the same pseudonyms and can be compared.
PSEUDONYM_KEY = "6b" * 32
# As few items as the models' minimum of labels allows.
ITEMS = {"XA": 3000, "XC": 2000}

_FOREIGN = ("TIDEWAITER_", "PREFECT_", "MLFLOW_")
_SECONDS_TO_END = 20


@dataclass(frozen=True)
class Finished:
    """A command that ended: its exit code, its standard output, and what it told people meanwhile."""

    code: int
    printed: str
    said: str


@dataclass
class Installation:
    """A home folder and the command `tidewaiter` on it, as a process of its own."""

    home: Path

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def settings(self) -> Settings:
        """What the command resolves."""
        return load_settings({"home": self.home}, environment={}, local_file=self.home / "none.yaml")

    @property
    def publication(self) -> Path:
        """Folder of the current published set."""
        return (self.home / "published").resolve(strict=True)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command. It speaks to files: a pipe would be held open by what outlives a kill."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        own = {"TIDEWAITER_HOME": str(self.home), "TIDEWAITER_PSEUDONYM_KEY": PSEUDONYM_KEY, "COLUMNS": "200"}
        with self._log("out").open("wb") as printed, self._log("err").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=said,
                cwd=self.home.parent,
                env=inherited | own | environment,
            )

    def call(self, *arguments: str, **environment: str) -> Finished:
        """Run a command to its end."""
        code = self.start(*arguments, **environment).wait()
        return Finished(code, *(self._log(name).read_text(encoding="utf-8") for name in ("out", "err")))

    def call_well(self, *arguments: str, **environment: str) -> str:
        """Run a command that has to end well and return what it printed."""
        done = self.call(*arguments, **environment)
        assert done.code == 0, done.said + done.printed
        return done.printed

    def left_running(self) -> dict[int, str]:
        """Return the processes that work on this home: id to command line."""
        mark = f"TIDEWAITER_HOME={self.home}".encode()
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = command
            except OSError:
                continue  # ended meanwhile, or another user's
        return found

    def end_all(self) -> None:
        """End what a killed command left running."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.left_running():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            deadline = time.monotonic() + _SECONDS_TO_END
            while self.left_running() and time.monotonic() < deadline:
                time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self.home.with_name(f"{self.home.name}.{name}")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, and all that need the finished run together: it is made once."""
    for item in items:
        needs_run = "undisturbed" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("runs" if needs_run else str(item.path)))


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The function that makes a new home; whatever still works on it is ended with the session."""
    made: list[Installation] = []

    def install(name: str) -> Installation:
        made.append(Installation(tmp_path_factory.mktemp(name).resolve() / "home"))
        return made[-1]

    yield install
    for installation in made:
        installation.end_all()


@pytest.fixture(scope="session")
def undisturbed(install) -> Installation:
    """A home on which `tidewaiter run` was called once and ended well. Nobody may change it.

    The truth behind the synthetic extracts is removed before, so nothing can have read it.
    """
    installation = install("undisturbed")
    generate_members(installation.settings.paths, list(ITEMS), ITEMS)
    for folder in installation.home.glob("synthetic/*/truth"):
        shutil.rmtree(folder)
    installation.call_well("run", *(f"--member={member}" for member in ITEMS))
    return installation
