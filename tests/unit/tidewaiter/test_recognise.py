"""A file is known again only where nothing can have touched it."""

from __future__ import annotations

import os

import pytest

from tidewaiter import fingerprint
from tidewaiter.home import Home
from tidewaiter.landing import recognise


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """A file that was written long enough ago, noted, and the number of times that files were read."""
    monkeypatch.setattr(recognise, "NOTED_BYTES", 1)
    monkeypatch.setattr(recognise, "_TICK_NS", 0)
    read = []
    digest = fingerprint.of_file
    monkeypatch.setattr(fingerprint, "of_file", lambda path: read.append(path) or digest(path))
    path = tmp_path / "items.csv"
    path.write_bytes(b"a,b\n1,2\n")
    home = Home(tmp_path / "home")
    assert recognise.digest_of(path, home) == digest(path)
    return path, home, read, digest


def test_an_untouched_file_is_not_read_again(noted):
    path, home, read, digest = noted
    assert recognise.digest_of(path, home) == digest(path)
    assert len(read) == 1


def test_other_bytes_of_the_same_length_and_time_are_seen(noted):
    path, home, read, digest = noted
    times = path.stat()
    path.write_bytes(b"a,b\n1,3\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert recognise.digest_of(path, home) == digest(path)
    assert len(read) == 2


def test_another_file_put_in_its_place_is_seen(noted):
    path, home, read, digest = noted
    other = path.with_name("other.csv")
    other.write_bytes(b"a,b\n9,9\n")
    other.replace(path)
    assert recognise.digest_of(path, home) == digest(path)
    assert len(read) == 2


def test_a_file_written_just_now_is_not_noted(noted, monkeypatch):
    path, home, read, digest = noted
    monkeypatch.setattr(recognise, "_TICK_NS", 10**12)
    path.write_bytes(b"a,b\n1,4\n")
    for _ in range(2):
        assert recognise.digest_of(path, home) == digest(path)
    assert len(read) == 3
