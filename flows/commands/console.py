"""Printing: a table for people or JSON for programs, and errors with their exit code."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidewaiter.errors import TidewaiterError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MemberArgument = Annotated[str, typer.Argument(help="Member code, such as XA.", show_default=False)]
MembersOption = Annotated[
    list[str] | None,
    typer.Option("--member", "-m", help="Member code; may be repeated. All members if left out."),
]


# Wide enough that no cell is cut where nobody watches: in a pipe, a log or a file.
_COLUMNS_ELSEWHERE = 200
_LONGEST_CELL = 2000
# Control characters, and those that turn the direction of writing.
_NOT_SHOWN = frozenset(
    map(chr, (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)


def standard_output() -> Console:
    """Return a console on standard output, as wide as the terminal or wide enough for a file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _COLUMNS_ELSEWHERE)


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "") -> None:
    """Print rows with equal keys as one table, or as a JSON array."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        standard_output().print(plain(f"{title}: none" if title else "none"))
        return
    table = Table(
        title=plain(title) if title else None,
        title_justify="left",
        header_style="bold",
        box=None,
        pad_edge=False,
    )
    for name, value in rows[0].items():
        table.add_column(
            plain(name.replace("_", " ")), justify="right" if isinstance(value, int | float) else "left"
        )
    for row in rows:
        table.add_row(*(plain(_shortened(show(value))) for value in row.values()))
    standard_output().print(table)


def plain(text: str) -> Text:
    """Return a text as it stands: what a file says neither styles, moves nor clears the terminal."""
    return Text("".join(one if one == "\n" or one not in _NOT_SHOWN else _escaped(one) for one in text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_CELL:
        return text
    return f"{text[:_LONGEST_CELL]}… ({len(text):,} characters; --json has all)"


def print_json(value: Any) -> None:
    """Print a value as indented JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def show(value: Any) -> str:
    """Return a value as people read it: thousands apart, shares to three digits, nothing for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


@contextmanager
def errors_for_people(*, verbose: bool = False) -> Iterator[None]:
    """Turn a foreseen error into its problems on standard error and its exit code."""
    try:
        yield
    except TidewaiterError as error:
        print_problems(error)
        if verbose:
            raise
        raise SystemExit(int(error.exit_code)) from None


def print_problems(error: TidewaiterError) -> None:
    """Print every problem of an error on standard error; paths in it stay in one piece."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in error.problems:
        console.print("[red]✗[/red] ", end="")
        console.print(plain(f"{problem.where}: {problem.what}" if problem.where else problem.what))
        if problem.expected:
            console.print(plain(f"  expected {problem.expected}"))
        if problem.next_step:
            console.print(plain(f"  next: {problem.next_step}"))


def set_up_logging(*, verbose: bool) -> None:
    """Send the log to standard error: when verbose all of our own, otherwise warnings.

    What libraries log for debugging is not sent: those that speak with servers log whole requests, and a
    request holds credentials.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if verbose:
        for own in ("tidewaiter", "flows", "expectations", "ml"):
            logging.getLogger(own).setLevel(logging.DEBUG)
    for noisy in ("alembic", "matplotlib", "httpx", "httpcore", "great_expectations"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not verbose:
        # Prefect logs every problem that the command tells once at its end.
        for handler in logging.getLogger().handlers:
            handler.addFilter(lambda record: not record.name.startswith("prefect."))
