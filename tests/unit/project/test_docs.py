"""The pages: links lead somewhere, commands exist, the worked example lands, nothing is of one machine."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from flows.cli import app
from tidewaiter.settings import PROJECT_ROOT

PAGES = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]
_NAMES = [page.relative_to(PROJECT_ROOT).as_posix() for page in PAGES]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)
_NOT_FOR_PAGES = re.compile(
    r"/(?:work|farm|root|tmp|home/\w+)/|pypi|index-url|localhost|\b(?:issue|session|helper) \d", re.IGNORECASE
)
_RUN_BY_SHELL = {"", "sh", "bash"}


def _blocks(page: Path, languages: set[str]) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [body for language, body in _FENCE.findall(text) if language in languages]


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _command_lines(page: Path, program: str) -> list[list[str]]:
    """Return the calls of a program in blocks and in `code` that begins with it."""
    lines = [line.strip() for block in _blocks(page, _RUN_BY_SHELL) for line in block.splitlines()]
    # A heading names a command; it is no call.
    prose = "\n".join(line for line in _prose(page).splitlines() if not line.startswith("#"))
    inline = re.findall(rf"`({program} [^`]+)`", prose)
    found = []
    for line in [*lines, *inline]:
        line = re.sub(r"^.*&& (?:\.venv/bin/)?", "", line)
        if re.match(rf"{program} [a-z-]", line):
            found.append(shlex.split(line.split(" > ")[0], comments=True))
    return found


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_prose(page))
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _complaint(words: list[str]) -> str:
    """Return what the command line has against a call, or nothing; parses and runs nothing."""
    command: Any = typer.main.get_command(app)
    name, rest = words[0], words[1:]
    try:
        while hasattr(command, "commands"):
            named = next((index for index, word in enumerate(rest) if not word.startswith("-")), len(rest))
            command.make_context(name, rest[: named + 1])
            name, rest = rest[named], rest[named + 1 :]
            command = command.commands[name]
        command.make_context(name, rest)
    except typer.Exit:  # --help and --version are answered while parsing
        return ""
    except KeyError:
        return f"there is no command '{name}'"
    except Exception as error:  # Typer brings its own copy of Click, whose errors have no public name
        return str(error) or repr(error)
    return ""


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_commands_exist_with_their_options(page: Path) -> None:
    for words in _command_lines(page, "tidewaiter"):
        assert not _complaint(words), " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_make_targets_exist(page: Path) -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert {words[1] for words in _command_lines(page, "make")} <= targets


def test_commands_are_found_at_all() -> None:
    """Else the tests above would parse nothing."""
    assert sum(len(_command_lines(page, "tidewaiter")) for page in PAGES) > 30
    assert sum(len(_command_lines(page, "make")) for page in PAGES) > 5


@pytest.mark.parametrize(
    "call",
    [
        "tidewaiter runs",
        "tidewaiter --loud status",
        "tidewaiter run --form 2025-01-01",
        "tidewaiter run --from yesterday",
        "tidewaiter models sell irregularity-xa",
        "tidewaiter models promote irregularity-xa",
        "tidewaiter validate harbour",
    ],
)
def test_a_wrong_call_would_be_noticed(call: str) -> None:
    assert _complaint(shlex.split(call))


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_no_page_is_of_one_machine(page: Path) -> None:
    found = _NOT_FOR_PAGES.search(page.read_text(encoding="utf-8"))
    assert found is None, found and found[0]


@pytest.mark.parametrize("page", PAGES, ids=_NAMES)
def test_deployments_named_are_those_of_prefect_yaml(page: Path) -> None:
    spec = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    known = {deployment["name"] for deployment in spec["deployments"]}
    named = re.findall(r"prefect deployment run '[\w-]+/([\w-]+)'", page.read_text(encoding="utf-8"))
    assert set(named) <= known


def test_every_page_is_in_the_index() -> None:
    index = PROJECT_ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in _LINK.findall(_prose(index))}
    assert {page for page in PAGES if page.parent.parent == index.parent} <= linked
