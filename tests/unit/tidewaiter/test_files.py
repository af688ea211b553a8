"""Atomic files and folders, fingerprints, quoting, and errors for people."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewaiter import files, fingerprint
from tidewaiter.errors import ExitCode, GateRefused, Problem, Problems, TidewaiterError, UsageProblem, closest
from tidewaiter.settings import Settings
from tidewaiter.warehouse import open_duckdb, quote_identifier, quote_literal


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "deep" / "target"
    for content in ("one", "two"):
        with files.folder_replaced_atomically(target) as partial:
            (partial / content).write_text(content)
            assert not (target / content).exists()
        assert [path.name for path in target.iterdir()] == [content]
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_failed_writer_leaves_the_old_folder(tmp_path):
    target = tmp_path / "target"
    with files.folder_replaced_atomically(target) as partial:
        (partial / "old").touch()

    def fail_half_way():
        with files.folder_replaced_atomically(target) as partial:
            (partial / "new").touch()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_half_way()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["old"]


def test_what_a_killed_writer_left_is_swept(tmp_path):
    leftover = tmp_path / f"{files.PARTIAL_PREFIX}target-abc"
    other = tmp_path / f"{files.PARTIAL_PREFIX}another-abc"
    leftover.mkdir()
    other.mkdir()
    with files.folder_replaced_atomically(tmp_path / "target"):
        pass
    assert not leftover.exists()
    assert other.exists()


def test_a_swap_killed_between_its_renames_is_undone(tmp_path, monkeypatch):
    target = tmp_path / "target"
    with files.folder_replaced_atomically(target) as partial:
        (partial / "old").touch()
    renamed = Path.rename

    def die_after_the_first(path, to):
        renamed(path, to)
        os._exit(9)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "rename", die_after_the_first)
        with files.folder_replaced_atomically(target) as partial:
            (partial / "new").touch()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not target.exists()
    with files.folder_replaced_atomically(target) as partial:
        # A writer that builds on the old content finds it.
        assert [path.name for path in target.iterdir()] == ["old"]
        (partial / "newer").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["newer"]


def test_text_and_json_are_written_whole_with_their_mode(tmp_path):
    path = tmp_path / "a" / "b.json"
    assert files.read_json(path) is None
    files.write_json_atomically(path, {"b": 1, "a": "é"})
    assert files.read_json(path) == {"a": "é", "b": 1}
    files.write_text_atomically(path, "secret", mode=0o600)
    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["b.json"]


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """What is flushed to disk and what is renamed, in order, by path below the test's folder."""
    found: list[tuple[str, str]] = []
    synced, renamed, replaced = os.fsync, Path.rename, Path.replace

    def named(path) -> str:
        parts = Path(path).relative_to(tmp_path).parts
        return "/".join("partial" if part.startswith(files.PARTIAL_PREFIX) else part for part in parts)

    def note_sync(descriptor):
        inode = os.fstat(descriptor).st_ino
        (path,) = [one for one in (tmp_path, *tmp_path.rglob("*")) if one.lstat().st_ino == inode]
        found.append(("flush", named(path)))
        synced(descriptor)

    def note_rename(path, target):
        found.append(("rename", named(target)))
        return renamed(path, target)

    def note_replace(path, target):
        found.append(("rename", named(target)))
        return replaced(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    monkeypatch.setattr(Path, "replace", note_replace)
    return found


def test_a_folder_gets_its_name_once_all_in_it_is_on_disk(tmp_path, calls):
    with files.folder_replaced_atomically(tmp_path / "deep" / "target") as partial:
        (partial / "rows").write_text("1")
        (partial / "more").mkdir()
        (partial / "more" / "rows").write_text("2")
        (partial / "link").symlink_to("/nowhere")
        assert calls == [("flush", "")]  # the name of the folder above
        calls.clear()
    named = calls.index(("rename", "deep/target"))
    inside = calls[:named]
    assert set(inside) == {
        ("flush", path)
        for path in ("deep/partial", "deep/partial/rows", "deep/partial/more", "deep/partial/more/rows")
    }
    assert inside[-1] == ("flush", "deep/partial")
    assert inside.index(("flush", "deep/partial/more/rows")) < inside.index(("flush", "deep/partial/more"))
    assert calls[named + 1 :] == [("flush", "deep")]


def test_the_old_folder_goes_once_the_new_name_is_on_disk(tmp_path, calls, monkeypatch):
    target = tmp_path / "target"
    with files.folder_replaced_atomically(target):
        pass
    calls.clear()
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: calls.append(("remove", path.name[:8])))
    with files.folder_replaced_atomically(target):
        pass
    renames = [("rename", "partial"), ("rename", "target")]
    assert calls == [("flush", "partial"), *renames, ("flush", ""), ("remove", files.PARTIAL_PREFIX[:8])]


@pytest.mark.parametrize("writer", ["text", "file"])
def test_a_file_gets_its_name_once_it_is_on_disk(tmp_path, calls, writer):
    path = tmp_path / "a" / "b.json"
    if writer == "text":
        files.write_text_atomically(path, "1")
    else:
        with files.replace_file_atomically(path) as partial:
            partial.write_text("1")
    assert calls == [("flush", ""), ("flush", "a/partial"), ("rename", "a/b.json"), ("flush", "a")]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_chunks_are_the_file(tmp_path, size):
    path = tmp_path / "a"
    path.write_bytes(bytes(range(7)))
    with path.open("rb") as handle:
        assert b"".join(map(bytes, files.read_chunks(handle, size))) == bytes(range(7))


def test_fingerprints_follow_content_and_names(tmp_path):
    (tmp_path / "a.sql").write_text("1")
    (tmp_path / "b.sql").write_text("2")
    before = fingerprint.of_tree(tmp_path, ["*.sql"])
    assert before == fingerprint.of_tree(tmp_path, ["a*", "*.sql"])
    (tmp_path / "b.sql").rename(tmp_path / "c.sql")
    assert before != fingerprint.of_tree(tmp_path, ["*.sql"])
    assert fingerprint.of_file(tmp_path / "a.sql") == (
        "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    )
    assert fingerprint.of_json({"a": 1, "b": 2}) == fingerprint.of_json({"b": 2, "a": 1})


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
def test_any_text_is_quoted_as_data(text):
    with duckdb.connect() as connection:
        query = f"select {quote_literal(text)} as {quote_identifier(text)}"
        assert connection.execute(query).fetchall() == [(text,)]
        assert connection.execute(query).description[0][0] == text


def test_the_database_is_bounded_and_in_utc(tmp_path):
    with open_duckdb(Settings(home=tmp_path, threads=1, memory_limit="256MB")) as connection:
        query = "select current_setting(?)"
        assert connection.execute(query, ["TimeZone"]).fetchone() == ("UTC",)
        assert connection.execute(query, ["threads"]).fetchone() == (1,)
        assert connection.execute(query, ["memory_limit"]).fetchone() == ("244.1 MiB",)
        assert connection.execute(query, ["autoinstall_known_extensions"]).fetchone() == (False,)


def test_problems_are_collected_and_raised_once_with_their_exit_code():
    problems = Problems(UsageProblem)
    problems.raise_if_any()
    problems.add("one", where="here", expected="this", next_step="do that")
    problems.add("two")
    with pytest.raises(UsageProblem) as raised:
        problems.raise_if_any()
    assert str(raised.value) == "here: one; expected this; next: do that\ntwo"
    assert raised.value.exit_code == ExitCode.USAGE
    assert GateRefused("no").exit_code == 3
    assert TidewaiterError(Problem("x")).exit_code == 1


def test_the_closest_name_is_offered_only_where_it_is_close():
    assert closest("office_cod", ["office_code", "hs6"]) == " (did you mean 'office_code'?)"
    assert closest("zzz", ["office_code", "hs6"]) == ""


@pytest.mark.parametrize("is_read_again", [True, False])
def test_a_file_written_early_holds_what_was_written(tmp_path, monkeypatch, is_read_again):
    monkeypatch.setattr(files, "_WRITTEN_AT_ONCE_BYTES", 10_000)
    monkeypatch.setattr(files, "_ON_ITS_WAY_BYTES", 25_000)
    let_go, parts = [], [bytes([n]) * 4_999 for n in range(20)]
    forget = files.let_go
    monkeypatch.setattr(files, "let_go", lambda *told: (let_go.append(told[1:]), forget(*told)))
    with (tmp_path / "long").open("wb") as writer:
        early = files.WrittenEarly(writer.fileno(), is_read_again=is_read_again)
        for part in parts:
            writer.write(part)
            early.wrote(writer.tell())
    assert (tmp_path / "long").read_bytes() == b"".join(parts)
    calls = 1 if is_read_again else 2  # the second is for what came before
    assert let_go[::calls] == [(start * 14_997, 14_997) for start in range(6)]
    if not is_read_again:
        assert let_go[1::2][-1] == (5 * 14_997 - 25_000, 25_000)
