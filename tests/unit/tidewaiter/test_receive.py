"""A long file is read once as it arrives, and ends as it would have in two readings."""

from __future__ import annotations

import os

import pytest

from tidewaiter import files, fingerprint
from tidewaiter.errors import TidewaiterError
from tidewaiter.landing import raw, receive, recognise


@pytest.fixture
def read(monkeypatch):
    """Every file counts as long; the names of those that are read for nothing but their digest."""
    monkeypatch.setattr(receive, "_COPIED_FIRST_BYTES", 0)
    monkeypatch.setattr(recognise, "NOTED_BYTES", 1)
    monkeypatch.setattr(recognise, "_TICK_NS", 0)
    found: list[str] = []
    digest = fingerprint.of_file
    monkeypatch.setattr(fingerprint, "of_file", lambda path: found.append(path.name) or digest(path))
    return found


@pytest.fixture
def content(landing_header):
    return f"{landing_header}\nA1,1,2024-03-01,S,010121,Acme,1\nA2,1,2024-03-01,S,010121,Acme,x\n"


def kept(bench):
    """Return every file under the raw folder of the member, leftovers included."""
    folder = bench.settings.paths.raw / "XT"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def bytes_of(landed):
    return {path.name: path.read_bytes() for path in landed.folder.glob("*.parquet")}


def test_one_reading_lands_what_two_do(bench, content, read, monkeypatch):
    once = bench.land(content)
    assert read == []
    monkeypatch.setattr(receive, "_COPIED_FIRST_BYTES", 1 << 40)
    there = bench.elsewhere()
    twice = there.land(content)
    assert read == ["file.csv"]
    assert once.receipt.source_sha256 == twice.receipt.source_sha256
    assert bytes_of(once) == bytes_of(twice)
    sha256 = once.receipt.source_sha256
    assert kept(bench) == kept(there) == [sha256, f"{sha256}/file.csv", f"{sha256}/received.json"]


def test_a_long_file_is_known_again_without_a_reading(bench, content, read):
    first = bench.land(content)
    path = bench.root / "sent" / "file.csv"
    assert bench.land_path(path).receipt == first.receipt
    assert read == []


def test_bytes_that_may_be_there_already_are_not_copied(bench, content, read, monkeypatch):
    first = bench.land(content, name="a.csv")
    copied = raw._copy
    monkeypatch.setattr(raw, "_copy", lambda *_: pytest.fail("copied again"))
    assert bench.land(content, name="b.csv").receipt == first.receipt
    assert read == ["b.csv"]
    monkeypatch.setattr(raw, "_copy", copied)
    other = bench.land(content.replace("A1", "B1"), name="c.csv")  # as long, and other bytes
    assert read == ["b.csv", "c.csv"]
    assert other.receipt.source_sha256 != first.receipt.source_sha256


def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_run(bench, content, read, monkeypatch):
    copied = raw._copy

    def grow(source, target, look):
        digest = copied(source, target, look)
        with source.open("a") as handle:
            handle.write("A3,1,2024-03-01,S,010121,Acme,1\n")
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(raw, "_copy", grow)
        with pytest.raises(TidewaiterError, match="changed while it was read"):
            bench.land(content)
    assert kept(bench) == []
    assert bench.land_path(bench.root / "sent" / "file.csv").receipt.rows_in == 3


def test_what_a_killed_copy_left_is_swept(bench, content, read, monkeypatch):
    copied = raw._copy

    def die(source, target, look):
        copied(source, target, look)
        os._exit(9)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(raw, "_copy", die)
        bench.land(content)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert any(name.startswith(files.PARTIAL_PREFIX) for name in kept(bench))
    assert bench.land(content).receipt.rows_in == 2
    assert not any(files.PARTIAL_PREFIX in name for name in kept(bench))


@pytest.mark.parametrize("size", [5, 64, 4096])
def test_a_copy_is_the_file_and_its_digest_whatever_its_length(tmp_path, monkeypatch, size):
    monkeypatch.setattr(raw, "_CHUNK_BYTES", size)
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(128))
    seen = bytearray()
    assert raw._copy(source, target, seen.extend) == fingerprint.of_file(source)
    assert target.read_bytes() == source.read_bytes() == bytes(seen)
