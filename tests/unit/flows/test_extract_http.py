"""Web servers: whole files once, whatever the server does in between."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from base64 import b64encode

import pytest

from flows.extract.failures import SourceFailed
from tidewaiter.errors import TidewaiterError, UsageProblem

BODY = bytes(range(256)) * 4000  # about 1 MB, so that a cut falls inside


def http(web, path="/a.csv", **more):
    return {"kind": "http", "url": web.url(path), "timeout_s": 5} | more


def test_a_file_comes_whole_and_is_not_sent_again(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY)
    (path,) = sources.fetch(http(web))
    assert (path.name, path.read_bytes()) == ("a.csv", BODY)
    assert sources.fetch(http(web)) == []
    assert web.requests[1][1]["If-None-Match"] == web.pages["/a.csv"].etag
    assert sources.inbox() == [path]
    assert path.stat().st_mode & 0o077 == 0


def test_another_version_comes_beside_the_first(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY)
    (first,) = sources.fetch(http(web))
    web.pages["/a.csv"] = page.of(b"other" + BODY)
    (second,) = sources.fetch(http(web))
    assert (first.read_bytes(), second.read_bytes()) == (BODY, b"other" + BODY)
    assert sources.inbox() == [first, second]  # in the order in which they came


def test_the_same_bytes_under_another_etag_are_one_arrival(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY)
    sources.fetch(http(web))
    web.pages["/a.csv"] = page.of(BODY, etag='"new"')
    assert sources.fetch(http(web)) == []
    assert len(sources.inbox()) == 1


def test_a_server_without_etags_is_asked_by_time(sources, web, page):
    web.pages["/a.csv"] = page(BODY, modified="Mon, 01 Jan 2024 00:00:00 GMT")
    sources.fetch(http(web))
    sources.fetch(http(web))
    assert web.requests[1][1]["If-Modified-Since"] == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_a_download_that_breaks_off_is_resumed(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, break_after=[300_000, 200_000, None])
    (path,) = sources.fetch(http(web))
    assert path.read_bytes() == BODY
    starts = [int(asked[6:-1]) for asked in web.ranges() if asked]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] < len(BODY)
    assert not [found for found in sources.inbox() if found.name.startswith(".")]


def test_what_broke_off_in_one_run_is_resumed_in_the_next(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, break_after=[300_000])
    with pytest.raises(SourceFailed, match="broke off"):
        sources.fetch(http(web, attempts=1))
    (path,) = sources.fetch(http(web, attempts=1))
    assert path.read_bytes() == BODY
    assert web.ranges()[1] is not None


@pytest.mark.parametrize("more", [{"takes_ranges": False}, {"etag": None}, {"etag": 'W/"weak"'}])
def test_where_a_server_cannot_resume_the_file_is_begun_again(sources, web, page, more):
    web.pages["/a.csv"] = page.of(BODY, break_after=[300_000, None], **more)
    (path,) = sources.fetch(http(web))
    assert path.read_bytes() == BODY


def test_a_file_that_changes_between_two_attempts_is_never_mixed(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, break_after=[300_000])
    with pytest.raises(SourceFailed):
        sources.fetch(http(web, attempts=1))
    changed = bytes(reversed(BODY))
    web.pages["/a.csv"] = page.of(changed)
    (path,) = sources.fetch(http(web))
    assert path.read_bytes() == changed


def test_a_server_that_resumes_another_version_is_not_believed(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, etag='"one"', break_after=[300_000])
    with pytest.raises(SourceFailed):
        sources.fetch(http(web, attempts=1))
    changed = bytes(reversed(BODY))
    # It answers the range of the old version with the bytes and the ETag of the new one.
    web.pages["/a.csv"] = page.of(changed, etag='"one"', headers={"ETag": '"two"'})
    (path,) = sources.fetch(http(web, attempts=2))
    assert path.read_bytes() == changed


def test_a_file_that_became_shorter_is_begun_again(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, etag='"one"', break_after=[300_000])
    with pytest.raises(SourceFailed):
        sources.fetch(http(web, attempts=1))
    web.pages["/a.csv"] = page.of(b"short", etag='"one"')
    (path,) = sources.fetch(http(web))
    assert path.read_bytes() == b"short"


def test_a_server_that_announces_more_than_it_sends_is_never_believed(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, announced=len(BODY) + 10, takes_ranges=False)
    with pytest.raises(SourceFailed, match=r"broke off|announced"):
        sources.fetch(http(web, attempts=2))
    assert [path for path in sources.inbox() if not path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["Repr-Digest", "Digest", "Content-MD5"])
def test_a_server_that_announces_less_is_found_out_by_its_digest(sources, web, page, name):
    stated = {
        "Repr-Digest": f"sha-256=:{b64encode(hashlib.sha256(BODY).digest()).decode()}:",
        "Digest": f"SHA-256={b64encode(hashlib.sha256(BODY).digest()).decode()}",
        "Content-MD5": b64encode(hashlib.md5(BODY).digest()).decode(),
    }[name]
    web.pages["/a.csv"] = page.of(BODY, announced=len(BODY) - 10, headers={name: stated})
    with pytest.raises(SourceFailed, match="that the server states"):
        sources.fetch(http(web, attempts=2))
    web.pages["/a.csv"] = page.of(BODY, headers={name: stated})
    (path,) = sources.fetch(http(web))
    assert path.read_bytes() == BODY


def test_chunks_say_where_they_end_and_a_missing_end_is_noticed(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, length="chunked", break_after=[300_000, None])
    (path,) = sources.fetch(http(web))
    assert path.read_bytes() == BODY
    web.pages["/a.csv"] = page.of(BODY + b"x", length="unsaid")
    with pytest.raises(SourceFailed, match="nor where it ends"):
        sources.fetch(http(web))


def test_trouble_for_now_is_tried_again_and_a_refusal_is_not(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY, statuses=[503, 429])
    assert len(sources.fetch(http(web))) == 1
    web.pages["/b.csv"] = page.of(BODY, statuses=[403, 403])
    with pytest.raises(SourceFailed, match="answers 403"):
        sources.fetch(http(web, "/b.csv"))
    assert len(web.pages["/b.csv"].statuses) == 1
    with pytest.raises(SourceFailed, match="answers 404"):
        sources.fetch(http(web, "/nowhere.csv"))


@pytest.mark.parametrize("length", ["stated", "chunked"])
def test_a_file_above_the_limit_is_not_fetched(sources, web, page, length):
    web.pages["/a.csv"] = page.of(BODY, length=length)
    with pytest.raises(SourceFailed, match="too large"):
        sources.fetch(http(web, max_bytes=1000))
    assert sum(path.stat().st_size for path in sources.inbox()) < 2 << 20


def test_one_url_that_fails_leaves_the_others(sources, web, page):
    web.pages |= {"/a.csv": page.of(BODY), "/c.csv": page.of(b"c")}
    urls = [web.url(f"/{name}.csv") for name in "abc"]
    with pytest.raises(TidewaiterError) as raised:
        sources.fetch({"kind": "http", "url": urls})
    assert [problem.where for problem in raised.value.problems] == [f"member XT, {urls[1]}"]
    assert [path.name for path in sources.inbox()] == ["a.csv", "c.csv"]


def test_dates_fill_the_url_and_what_is_not_there_yet_is_left(sources, web, page):
    web.pages |= {"/2024-02-01.csv": page.of(b"feb"), "/2024-03-01.csv": page.of(b"mar")}
    location = {
        "kind": "http",
        "url": web.url("/{date}.csv"),
        "dates": {"first": "2024-01-15", "last": "2024-03-20", "every": "month", "recheck_days": 0},
    }
    assert [path.read_bytes() for path in sources.fetch(location)] == [b"feb", b"mar"]
    web.requests.clear()
    web.pages["/2024-01-01.csv"] = page.of(b"jan")
    assert [path.read_bytes() for path in sources.fetch(location)] == [b"jan"]
    assert [path for path, _ in web.requests] == ["/2024-01-01.csv"]  # the others are settled


def test_names_from_a_server_are_data(sources, web, page):
    tricks = {"Content-Disposition": 'attachment; filename="../../.ssh/authorized_keys"'}
    web.pages["/x"] = page.of(BODY, headers=tricks)
    (path,) = sources.fetch(http(web, "/x"))
    assert path.name == "authorized_keys"
    assert path.is_relative_to(sources.settings.paths.inbox)
    web.pages["/%2e%2e%2f%2e%2e"] = page.of(b"y")
    (path,) = sources.fetch(http(web, "/%2e%2e%2f%2e%2e"))
    assert path.name == "download"
    web.pages["/z.csv"] = page.of(b"z", headers={"Content-Encoding": "gzip"})
    assert sources.fetch(http(web, "/z.csv"))[0].name == "z.csv.gz"


def test_secrets_are_sent_and_written_nowhere(sources, web, page, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("XT_TOKEN", "Bearer geheim-4711")
    monkeypatch.setenv("XT_USER", "tidewaiter")
    monkeypatch.setenv("XT_PASSWORD", "pass/wort 0815")
    web.pages["/a.csv"] = page.of(BODY, statuses=[503])
    token = http(web, secret_headers={"X-Token": {"env": "XT_TOKEN"}})
    sources.fetch(token)
    basic = http(web, username={"env": "XT_USER"}, password={"env": "XT_PASSWORD"})
    sources.fetch(basic)
    sent = [headers for _, headers in web.requests]
    assert sent[0]["X-Token"] == os.environ["XT_TOKEN"]
    encoded = b64encode(b"tidewaiter:pass/wort 0815").decode()
    assert sent[-1]["Authorization"] == f"Basic {encoded}"
    with pytest.raises(TidewaiterError) as raised:
        sources.fetch(http(web, "/b.csv", secret_headers={"X-Token": {"env": "XT_TOKEN"}}))
    told = caplog.text + str(raised.value) + repr(raised.value) + repr(sources.source(token))
    for secret in ("geheim-4711", "pass/wort 0815", encoded):
        assert secret not in told
        assert secret.encode() not in sources.everything_written()
    assert "503" in caplog.text


def test_a_secret_does_not_follow_a_redirect_to_another_host(sources, web, page, monkeypatch):
    monkeypatch.setenv("XT_TOKEN", "geheim-4711")
    elsewhere = web.url("/b.csv").replace("127.0.0.1", "localhost")
    web.pages |= {
        "/a.csv": page(b"", headers={"Location": elsewhere}),
        "/c.csv": page(b"", headers={"Location": "/b.csv"}),
        "/b.csv": page.of(BODY),
    }
    for path in ("/a.csv", "/c.csv"):
        sources.fetch(http(web, path, secret_headers={"X-Token": {"env": "XT_TOKEN"}}))
    tokens = {
        (path, headers["Host"].partition(":")[0]): headers.get("X-Token") for path, headers in web.requests
    }
    assert tokens[("/b.csv", "localhost")] is None
    assert tokens[("/b.csv", "127.0.0.1")] == "geheim-4711"


def test_a_credential_that_is_not_set_is_named(sources, web, monkeypatch):
    monkeypatch.delenv("XT_TOKEN", raising=False)
    with pytest.raises(UsageProblem, match="environment variable XT_TOKEN is not set"):
        sources.fetch(http(web, secret_headers={"X-Token": {"env": "XT_TOKEN"}}))


def test_a_credential_may_be_a_prefect_block(sources, web, page, monkeypatch):
    from prefect.blocks.system import Secret

    blocks = {"xt-token": Secret(value="from-the-block")}
    monkeypatch.setattr(Secret, "load", lambda name, **_: blocks[name])
    web.pages["/a.csv"] = page.of(BODY)
    sources.fetch(http(web, secret_headers={"X-Token": {"block": "xt-token"}}))
    assert web.requests[0][1]["X-Token"] == "from-the-block"


def test_the_record_says_what_came(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY)
    (path,) = sources.fetch(http(web))
    (record,) = (sources.settings.paths.state / "extract" / "XT").glob("http-*.json")
    noted = json.loads(record.read_text())["files"][web.url("/a.csv")]
    assert noted["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert noted["version"] == {"etag": web.pages["/a.csv"].etag, "modified": None, "size": len(BODY)}
    assert noted["arrival"] == path.parent.name


def test_a_record_that_was_lost_brings_nothing_twice(sources, web, page):
    web.pages["/a.csv"] = page.of(BODY)
    sources.fetch(http(web))
    for record in (sources.settings.paths.state / "extract" / "XT").glob("*.json"):
        record.unlink()
    assert sources.fetch(http(web)) == []
    assert len(sources.inbox()) == 1
