"""A drop folder that anybody may write into: whatever lies there, the sound files land."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.commands.console import print_problems, print_rows
from flows.ingest import ingest_member
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.landing import landed_receipts

NOBODY = 65534


@pytest.fixture
def drop(sources, csv_header) -> Path:
    """The folder, with one sound file in it."""
    contract = sources.contract({"home": "drop"}).model_dump(mode="json", exclude_defaults=True)
    contract["extracts"][0]["files"] = ["*"]
    member = sources.settings.members_dir / "xt"
    member.mkdir(parents=True)
    (member / "contract.yaml").write_text(yaml.safe_dump(contract))
    folder = sources.settings.home / "drop"
    folder.mkdir(parents=True)
    (folder / "sound.csv").write_text(rows(csv_header, "sound"))
    return folder


def rows(header: str, key: str) -> str:
    return f"{header}{key},2024-03-01,S,010121,A,1\n"


def landed_files(sources) -> set[str]:
    return {receipt.source_file for receipt in landed_receipts(sources.settings.paths) if receipt.rows_landed}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.symlink_to(path.parents[2] / "secret.csv"), "leads out of the folder"),
        (lambda path: path.symlink_to("/dev/zero"), "leads out of the folder"),
        (lambda path: path.symlink_to("nowhere"), "leads nowhere"),
        (lambda path: path.symlink_to(path), "leads nowhere"),
        (os.mkfifo, "a pipe"),
    ],
)
def test_what_is_no_file_of_the_folder_is_told_and_not_read(
    sources, drop, csv_header, make: Callable[[Path], None], told
):
    (drop.parents[1] / "secret.csv").write_text(rows(csv_header, "secret"))
    make(drop / "odd.csv")
    with pytest.raises(TidewaiterError, match=f"odd.csv: .*{told}"):
        ingest_member(sources.settings, "XT")
    assert landed_files(sources) == {"sound.csv"}


def test_folders_and_links_within_the_folder_are_no_mistake(sources, drop):
    (drop / "later.csv").mkdir()
    (drop / "again.csv").symlink_to("sound.csv")
    assert ingest_member(sources.settings, "XT").landed_now == 1


@pytest.mark.parametrize(
    "name",
    ["a\nb.csv", "-rf.csv", "q\"'.csv", "[a].csv", "*.csv", "\x1b[31m.csv", "$(x).csv", "received.json"],
)
def test_any_name_lands(sources, drop, csv_header, name):
    (drop / name).write_text(rows(csv_header, "odd"))
    report = ingest_member(sources.settings, "XT")
    assert sum(receipt.rows_landed for receipt in report.receipts) == 2


def test_a_name_that_is_no_text_lands(sources, drop, csv_header):
    with open(os.fsencode(drop) + b"/caf\xe9.csv", "w") as handle:  # noqa: PTH123
        handle.write(rows(csv_header, "odd"))
    ingest_member(sources.settings, "XT")
    assert landed_files(sources) == {"sound.csv", r"caf\xe9.csv"}
    assert ingest_member(sources.settings, "XT").landed_now == 0


def test_a_file_that_may_not_be_read_is_told(sources, drop, csv_header, monkeypatch):
    (drop / "shut.csv").write_text(rows(csv_header, "shut"))
    (drop / "shut.csv").chmod(0)
    if os.access(drop / "shut.csv", os.R_OK):  # as the superuser: refuse as the machine would
        opened = Path.open

        def refuse(path: Path, *arguments, **more):
            if path.name == "shut.csv":
                raise PermissionError(13, "Permission denied", str(path))
            return opened(path, *arguments, **more)

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TidewaiterError, match=r"shut.csv: Permission denied"):
        ingest_member(sources.settings, "XT")
    assert landed_files(sources) == {"sound.csv"}


def test_a_full_disk_is_told_of_its_file_and_the_next_run_lands_it(sources, drop, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tidewaiter.landing.raw._copy", full)
        with pytest.raises(TidewaiterError, match=r"sound.csv: No space left on device"):
            ingest_member(sources.settings, "XT")
    assert ingest_member(sources.settings, "XT").landed_now == 1


def test_what_a_file_says_neither_styles_nor_clears_the_terminal(capsys):
    print_rows([{"value": "[/red] [bold]x \x1b[2J\x07 \u202e", "long": "y" * 5000}], as_json=False)
    print_problems(TidewaiterError(Problem("\x1b[2J", where="[/x]")))
    shown = capsys.readouterr()
    assert "[/red] [bold]x \\x1b[2J\\x07 \\u202e" in shown.out
    assert "5,000 characters" in " ".join(shown.out.split())
    assert "[/x]: \\x1b[2J" in shown.err
    assert "\x1b" not in shown.out + shown.err
