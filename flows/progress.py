"""Saying what a run is doing: one line per step, live in a terminal, plain in a log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

logger = logging.getLogger(__name__)


class Step(Protocol):
    """A step under way."""

    def count(self, done: int, total: int) -> None:
        """Say that `done` of `total` parts are finished."""

    def note(self, text: str) -> None:
        """Say in a few words how the step ended; shown behind its name."""


class Reporter(Protocol):
    """Where steps are reported."""

    def begin(self, label: str) -> Step:
        """Announce a step."""

    def end(self, step: Step, *, failed: bool) -> None:
        """Announce that it is over."""


@dataclass
class _LoggedStep:
    label: str
    started: float = field(default_factory=time.monotonic)
    text: str = ""

    def count(self, done: int, total: int) -> None:
        logger.debug("%s: %d of %d", self.label, done, total)

    def note(self, text: str) -> None:
        self.text = text


class LogReporter:
    """Reports to the log: what a worker or a cron job wants."""

    def begin(self, label: str) -> Step:
        """Log the start at level debug."""
        logger.debug("%s: begins", label)
        return _LoggedStep(label)

    def end(self, step: Step, *, failed: bool) -> None:
        """Log the end with its duration."""
        if not isinstance(step, _LoggedStep):
            raise TypeError("a step of another reporter")
        seconds = time.monotonic() - step.started
        level = logging.ERROR if failed else logging.INFO
        logger.log(
            level, "%s: %s in %.1f s %s", step.label, "failed" if failed else "done", seconds, step.text
        )


@dataclass
class _ShownStep:
    display: TerminalReporter
    label: str
    bar: int
    started: float = field(default_factory=time.monotonic)
    text: str = ""

    def count(self, done: int, total: int) -> None:
        self.display.progress.update(self.bar, completed=done, total=total)  # type: ignore[arg-type]

    def note(self, text: str) -> None:
        self.text = text


class TerminalReporter:
    """Shows steps on standard error: spinners and bars in a terminal, one line each elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> TerminalReporter:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin(self, label: str) -> Step:
        """Add a line with a spinner."""
        return _ShownStep(self, label, self.progress.add_task(label, total=None))

    def end(self, step: Step, *, failed: bool) -> None:
        """Replace the spinner by a tick or a cross, with the duration."""
        if not isinstance(step, _ShownStep):
            raise TypeError("a step of another reporter")
        self.progress.remove_task(step.bar)  # type: ignore[arg-type]
        mark = "[red]✗[/red]" if failed else "[green]✓[/green]"
        seconds = time.monotonic() - step.started
        self.console.print(
            f" {mark} {step.label:<34}{seconds:6.1f} s  [dim]{step.text}[/dim]",
            highlight=False,
            soft_wrap=True,
        )


_lock = threading.Lock()
_current: Reporter = LogReporter()


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Send the steps of the block to `reporter`. Process-wide, because Prefect runs tasks in threads."""
    global _current
    with _lock:
        previous, _current = _current, reporter
    try:
        yield
    finally:
        with _lock:
            _current = previous


@contextmanager
def step(label: str) -> Iterator[Step]:
    """Report the block as one step; an exception marks it as failed and goes on its way."""
    reporter = _current
    running = reporter.begin(label)
    try:
        yield running
    except BaseException:
        reporter.end(running, failed=True)
        raise
    reporter.end(running, failed=False)


def terminal_reporter() -> TerminalReporter:
    """Return a reporter for standard error."""
    return TerminalReporter(Console(stderr=True, force_terminal=None if sys.stderr.isatty() else False))
