"""Killing a fetch at any instant, and fetching again, ends with everything in the inbox, whole and once."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tidewaiter import files

PROGRAM = """
import sys
from pathlib import Path
import flows.extract.database, flows.extract.http_files, pyarrow.parquet, sqlalchemy
from flows.extract import open_source
from tidewaiter.contracts import load_contract
from tidewaiter.fingerprint import of_file
from tidewaiter.landing import find_files
from tidewaiter.settings import Settings

home, members = Path(sys.argv[1]), Path(sys.argv[2])
settings = Settings(home=home, members_dir=members, threads=1, memory_limit="512MB")
contract = load_contract(members, "XT")
print("ready", flush=True)
for extract in contract.extracts:
    source = open_source(extract, contract, settings)
    source.fetch()
    source.settle({of_file(path) for path in find_files(extract, contract, settings)})
"""
CONTRACT = """
member: XT
name: Test
owner: tests
source: tests
extracts:
  - dataset: declaration_items
    location: {kind: http, url: ["URL/a.csv", "URL/b.csv"]}
    fields: &fields
      declaration_id: {column: id}
      item_no: {constant: 1}
      registered_at: {column: registered}
      office_code: {column: office}
      hs6: {constant: "010121"}
      importer_id: {column: importer}
      declared_value: {column: value}
      currency_code: {constant: USD}
  - dataset: declaration_items
    location:
      kind: database
      sqlite: items.db
      table: items
      watermark: {column: id, type: integer}
    format: {kind: parquet}
    fields: *fields
"""
KILLS = 7
ROWS = 60_000
BODIES = {f"/{name}.csv": random.Random(name).randbytes(3 << 20) for name in "ab"}
PIECE_BYTES = 1 << 16


class Handler(BaseHTTPRequestHandler):
    """Sends slowly, and from the middle where it is asked to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = BODIES[self.path]
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range") == etag else 0
        known = self.headers.get("If-None-Match") == etag
        self.send_response(304 if known else 206 if start else 200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", "0" if known else str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        try:
            for position in range(start, 0 if known else len(body), PIECE_BYTES):
                self.wfile.write(body[position : position + PIECE_BYTES])
                time.sleep(0.005)
        except OSError:
            self.close_connection = True  # the reader was killed

    def log_message(self, *_):
        """Be quiet."""


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def members(tmp_path, server):
    folder = tmp_path / "members" / "xt"
    folder.mkdir(parents=True)
    url = f"http://127.0.0.1:{server.server_port}"
    (folder / "contract.yaml").write_text(CONTRACT.replace("URL", url))
    add_rows(folder.parent, 0)
    return folder.parent


def add_rows(members, start):
    with sqlite3.connect(members / "xt" / "items.db") as connection:
        connection.execute("create table if not exists items (id integer, importer text)")
        connection.executemany(
            "insert into items values (?, ?)", [(n, f"P{n % 999}") for n in range(start, start + ROWS)]
        )
    connection.close()


def start(home, members):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), str(members)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    process.stdout.readline()
    return process


def arrivals(home: Path):
    return [
        path
        for path in sorted((home / "inbox").rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(home).parts)
    ]


def ids(home: Path):
    return [
        int(number)
        for path in arrivals(home)
        if path.suffix == ".parquet"
        for number in pq.read_table(path).column("id").to_pylist()
    ]


@pytest.mark.faults
def test_a_killed_fetch_is_finished_by_the_next_one(tmp_path, members):
    process = start(tmp_path / "undisturbed", members)
    began = time.monotonic()
    assert process.wait() == 0
    whole = time.monotonic() - began

    home, source, interrupted = tmp_path / "killed", random.Random(11), 0
    for attempt in range(KILLS):
        process = start(home, members)
        time.sleep(source.uniform(0, whole))
        process.send_signal(signal.SIGKILL)
        interrupted += process.wait() == -signal.SIGKILL
        for path in arrivals(home):  # whatever is visible is whole
            assert path.suffix == ".parquet" or path.read_bytes() in BODIES.values()
        if attempt == KILLS // 2:
            add_rows(members, ROWS)
    assert start(home, members).wait() == 0
    assert interrupted > 0
    assert sorted(path.read_bytes() for path in arrivals(home) if path.suffix == ".csv") == sorted(
        BODIES.values()
    )
    found = ids(home)
    assert len(found) == len(set(found))
    assert sorted(found) == list(range(2 * ROWS))
    assert not list((home / "inbox").rglob(f"{files.PARTIAL_PREFIX}*"))
    before = arrivals(home)
    assert start(home, members).wait() == 0
    assert arrivals(home) == before


@pytest.mark.faults
def test_two_fetches_at_once_bring_everything_once(tmp_path, members):
    home = tmp_path / "shared"
    both = [start(home, members), start(home, members)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(arrivals(home)) == 3
    assert sorted(ids(home)) == list(range(ROWS))
