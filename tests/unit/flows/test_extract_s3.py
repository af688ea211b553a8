"""S3-compatible storage: objects come whole, once, and in the order in which they were written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flows.extract.failures import SourceFailed
from flows.extract.s3_peer import S3Peer

BODY = bytes(range(256)) * 80_000  # 20 MB: more than two blocks


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, monkeypatch) -> Iterator[Any]:
    """A bucket, filled with the client of Amazon's own library."""
    import boto3

    monkeypatch.setenv("XT_KEY", "AKIA-0000")
    monkeypatch.setenv("XT_SECRET", "geheim/4711+x")
    monkeypatch.setenv("XT_SESSION", "sitzung-0815")
    session = boto3.session.Session("AKIA-0000", "geheim/4711+x", region_name="us-east-1")
    found = session.resource("s3", endpoint_url=endpoint).Bucket("customs")
    found.create()
    yield found
    found.objects.all().delete()
    found.delete()


@pytest.fixture
def s3(endpoint) -> dict[str, Any]:
    return {
        "kind": "s3",
        "bucket": "customs",
        "prefix": "out",
        "endpoint": endpoint,
        "region": "us-east-1",
        "access_key": {"env": "XT_KEY"},
        "secret_key": {"env": "XT_SECRET"},
        "session_token": {"env": "XT_SESSION"},
        "timeout_s": 5,
    }


def put(bucket, **objects):
    for name, body in objects.items():
        bucket.put_object(Key=f"out/{name}.csv", Body=body)


def test_objects_come_whole_and_once(sources, bucket, s3):
    put(bucket, a=BODY, b=b"b")
    bucket.put_object(Key="out/readme.txt", Body=b"not asked for")
    bucket.put_object(Key="elsewhere/c.csv", Body=b"not asked for")
    assert [path.read_bytes() for path in sources.fetch(s3)] == [BODY, b"b"]
    assert sources.fetch(s3) == []
    put(bucket, b=b"another b")
    assert [(path.name, path.read_bytes()) for path in sources.fetch(s3)] == [("b.csv", b"another b")]
    assert len(sources.inbox()) == 3


def test_patterns_reach_below_the_prefix(sources, bucket, s3):
    bucket.put_object(Key="out/2024/01/a.csv", Body=b"a")
    bucket.put_object(Key="out/2024/.b.csv", Body=b"an upload in progress")
    assert [path.read_bytes() for path in sources.fetch(s3, files=["**/*.csv", "2024/*/a.csv"])] == [b"a"]


def test_a_prefix_without_objects_is_empty_and_a_missing_bucket_is_not(sources, bucket, s3):
    assert sources.fetch(s3) == []
    with pytest.raises(SourceFailed, match="no such bucket"):
        sources.fetch(s3 | {"bucket": "nowhere"})


def test_a_store_that_is_not_there_is_tried_again_and_told(sources, bucket, s3, caplog):
    with pytest.raises(SourceFailed, match="EndpointConnectionError"):
        sources.fetch(s3 | {"endpoint": "http://127.0.0.1:1", "attempts": 2})
    assert "attempt 1" in caplog.text


def test_an_object_above_the_limit_is_not_fetched_and_leaves_the_others(sources, bucket, s3):
    put(bucket, a=b"x" * 100, b=b"b")
    with pytest.raises(SourceFailed, match=r"customs/out/a\.csv: 100 bytes; expected at most 10"):
        sources.fetch(s3 | {"max_bytes": 10})
    assert [path.name for path in sources.inbox()] == ["b.csv"]


class Interrupting:
    """A reader that breaks off once, after `after` bytes."""

    def __init__(self, reader, after, then):
        self.reader, self.after, self.then = reader, after, then

    def read(self, size):
        if self.after <= 0:
            self.then()
        chunk = self.reader.read(min(size, max(self.after, 1)))
        self.after -= len(chunk)
        return chunk


@pytest.fixture
def breaks_off(monkeypatch):
    """Have the next reading of an object end after some bytes, with what `then` does."""
    from contextlib import contextmanager

    offsets: list[int] = []

    def arm(after, then):
        original, armed = S3Peer.reading, [True]

        @contextmanager
        def reading(self, file, offset):
            offsets.append(offset)
            with original(self, file, offset) as reader:
                yield Interrupting(reader, after, then) if armed and armed.pop() else reader

        monkeypatch.setattr(S3Peer, "reading", reading)
        return offsets

    return arm


def test_an_object_that_breaks_off_is_resumed(sources, bucket, s3, breaks_off):
    def cut():
        raise ConnectionResetError("connection reset")

    put(bucket, a=BODY)
    offsets = breaks_off(9_000_000, cut)
    (path,) = sources.fetch(s3)
    assert path.read_bytes() == BODY
    assert offsets == [0, 9_000_000]


def test_an_object_that_changes_while_it_is_read_is_never_mixed(sources, bucket, s3, breaks_off):
    changed = bytes(reversed(BODY))

    def change():
        put(bucket, a=changed)
        raise ConnectionResetError("connection reset")

    put(bucket, a=BODY)
    breaks_off(9_000_000, change)
    with pytest.raises(SourceFailed, match="changed while it was read"):
        sources.fetch(s3)
    assert [path for path in sources.inbox() if not path.name.startswith(".")] == []
    (path,) = sources.fetch(s3)
    assert path.read_bytes() == changed


def test_secrets_are_written_nowhere(sources, bucket, s3, caplog):
    caplog.set_level(logging.DEBUG)
    put(bucket, a=b"a")
    source = sources.source(s3)
    source.fetch()
    with pytest.raises(SourceFailed) as raised:
        sources.fetch(s3 | {"bucket": "nowhere"})
    told = caplog.text + str(raised.value) + repr(raised.value) + repr(source) + repr(vars(source))
    for secret in ("geheim/4711+x", "sitzung-0815"):
        assert secret not in told
        assert secret.encode() not in sources.everything_written()
