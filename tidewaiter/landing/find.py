"""Finding the files of an extract: which bytes are there to be landed."""

from __future__ import annotations

import os
from pathlib import Path

from tidewaiter.contracts import Contract, Extract, FolderLocation, source_name
from tidewaiter.errors import Problem, UsageProblem
from tidewaiter.files import PARTIAL_PREFIX
from tidewaiter.settings import ENVIRONMENT_PREFIX, Settings


def find_files(extract: Extract, contract: Contract, settings: Settings) -> list[Path]:
    """Return the files that are there to be landed.

    Of a folder they are those that match, sorted by name; of a remote source those that have arrived,
    in the order in which they came.

    An environment variable that is unset and a folder that does not exist yet give an empty list:
    that member has nothing to land here (see `missing_location`). Hidden files are uploads in
    progress and left alone.

    Raises:
        UsageProblem: The environment variable names something that is not a folder.
    """
    if not isinstance(extract.location, FolderLocation):
        return arrived_files(inbox_folder(extract, contract, settings))
    folder = _folder(extract.location, contract, settings)
    if folder is None or not folder.is_dir():
        if folder is not None and extract.location.env:
            raise UsageProblem(
                Problem(
                    "no such folder",
                    where=f"member {contract.member}, {extract.location.env}={folder}",
                    next_step=f"correct {extract.location.env}, or unset it to go on without this source",
                )
            )
        return []
    return [path for path in _entries(folder, extract) if _why_left_out(path, folder) is None]


def left_out(extract: Extract, contract: Contract, settings: Settings) -> list[Problem]:
    """Return a problem for everything in the folder that matches, is no folder, and is not landed.

    Who may write into a drop folder may make a link to any file, or a pipe that never ends: neither is
    read.
    """
    if not isinstance(extract.location, FolderLocation):
        return []
    folder = _folder(extract.location, contract, settings)
    if folder is None or not folder.is_dir():
        return []
    return [
        Problem(
            why,
            where=f"member {contract.member}, file {path}",
            expected="a file that lies in the folder itself",
            next_step="remove it, or put the file there",
        )
        for path in _entries(folder, extract)
        if (why := _why_left_out(path, folder))
    ]


def _entries(folder: Path, extract: Extract) -> list[Path]:
    """Return what matches and is not hidden, sorted by name."""
    found = {path for pattern in extract.files for path in folder.glob(pattern)}
    return sorted(
        (path for path in found if not path.name.startswith(".")), key=lambda path: (path.name, str(path))
    )


def _why_left_out(path: Path, folder: Path) -> str | None:
    """Return why an entry is not landed; empty for a folder, which is no mistake, None for a file."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a link to itself, before Python 3.13
        return "a link that leads nowhere" if path.is_symlink() else "it cannot be looked at"
    if not target.is_relative_to(folder.resolve()):
        return "a link that leads out of the folder"
    if target.is_dir():
        return ""
    return None if target.is_file() else "a pipe, a socket or a device and no file"


def missing_location(extract: Extract, contract: Contract, settings: Settings) -> str | None:
    """Return why there can be no files, in words for a person, or None where the folder is there."""
    if not isinstance(extract.location, FolderLocation):
        if find_files(extract, contract, settings):
            return None
        return f"nothing has come from {extract.location.describe()} yet"
    folder = _folder(extract.location, contract, settings)
    if folder is None:
        return f"{contract.member} is not available here: set {extract.location.env} to its folder"
    if not folder.is_dir():
        return f"{contract.member} has sent nothing yet: {folder} does not exist"
    return None


def inbox_folder(extract: Extract, contract: Contract, settings: Settings) -> Path:
    """Return the folder in which the arrivals of a remote extract are kept.

    Raises:
        TypeError: The extract lies in a folder, where nothing is fetched.
    """
    if isinstance(extract.location, FolderLocation):
        raise TypeError("a folder has no inbox")
    return settings.paths.inbox / contract.member / source_name(extract.location, extract.files)


def arrived_files(inbox: Path) -> list[Path]:
    """Return the files of an inbox in the order in which they came.

    Each lies in a folder of its own, `<number of arrival>-<first digits of its SHA-256>`.
    """
    return sorted(
        path
        for path in inbox.glob("[0-9]*-*/*")
        if path.is_file() and not path.name.startswith(PARTIAL_PREFIX)
    )


def _folder(location: FolderLocation, contract: Contract, settings: Settings) -> Path | None:
    if location.env is not None:
        return _folder_from_environment(location.env, settings)
    if location.home is not None:
        return settings.home / location.home
    if location.path is not None:
        return location.path
    return settings.members_dir / contract.member.lower() / (location.member or ".")


def _folder_from_environment(variable: str, settings: Settings) -> Path | None:
    # A variable that is also a setting may have come from the YAML file or a flag.
    setting = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
    if variable.startswith(ENVIRONMENT_PREFIX) and (value := getattr(settings, setting, None)):
        return Path(value)
    return Path(value).expanduser().resolve() if (value := os.environ.get(variable)) else None
