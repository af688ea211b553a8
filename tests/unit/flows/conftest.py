"""What the tests of sources share: a contract with any location, and peers on loopback."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.extract import failures, open_source
from tidewaiter.contracts import Contract
from tidewaiter.settings import Settings

ROWS = "id,registered,office,hs,importer,value\n"
FIELDS = {
    "declaration_id": {"column": "id"},
    "item_no": {"constant": 1},
    "registered_at": {"column": "registered"},
    "office_code": {"column": "office"},
    "hs6": {"column": "hs"},
    "importer_id": {"column": "importer"},
    "declared_value": {"column": "value"},
    "currency_code": {"constant": "USD"},
}


@dataclass
class SourceBench:
    """Fetches under a small contract of member XT, into a home of its own."""

    root: Path

    @property
    def settings(self) -> Settings:
        return Settings(
            home=self.root / "home",
            members_dir=self.root / "members",
            threads=1,
            memory_limit="512MB",
            lock_timeout_s=5,
        )

    def contract(self, *locations: dict[str, Any], **extract: Any) -> Contract:
        extracts = []
        for location in locations:
            entry: dict[str, Any] = {"dataset": "declaration_items", "location": location, "fields": FIELDS}
            if location.get("kind", "folder") in ("folder", "s3", "sftp"):
                entry["files"] = ["*.csv"]
            extracts.append(entry | extract)
        found = {"member": "XT", "name": "Test", "owner": "tests", "source": "tests", "extracts": extracts}
        return Contract.model_validate(found)

    def source(self, location: dict[str, Any], **extract: Any) -> Any:
        contract = self.contract(location, **extract)
        return open_source(contract.extracts[0], contract, self.settings)

    def fetch(self, location: dict[str, Any], **extract: Any) -> list[Path]:
        found: list[Path] = self.source(location, **extract).fetch()
        return found

    def inbox(self) -> list[Path]:
        return sorted(path for path in (self.root / "home" / "inbox").rglob("*") if path.is_file())

    def everything_written(self) -> bytes:
        """All bytes below the home, but for DuckDB's own extensions."""
        home = self.root / "home"
        return b"".join(
            str(path).encode() + path.read_bytes()
            for path in sorted(home.rglob("*"))
            if path.is_file() and "duckdb" not in path.parts
        )


@pytest.fixture
def sources(tmp_path: Path) -> SourceBench:
    return SourceBench(tmp_path)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr(failures, "FIRST_PAUSE_S", 0)


@dataclass
class Page:
    """One file of the web server, and how it misbehaves.

    Attributes:
        break_after: For each next request, bytes after which the connection is cut; None for none.
        announced: A Content-Length that is not the truth.
        statuses: Status of each next request, instead of the file.
    """

    body: bytes
    etag: str | None = None
    modified: str | None = None
    takes_ranges: bool = True
    break_after: list[int | None] = field(default_factory=list)
    announced: int | None = None
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    length: str = "stated"  # or chunked, or unsaid

    @classmethod
    def of(cls, body: bytes, **more: Any) -> Page:
        return cls(body, **{"etag": f'"{hashlib.sha256(body).hexdigest()[:8]}"'} | more)


class WebHandler(BaseHTTPRequestHandler):
    """Sends a page, well or badly."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.web.requests.append((self.path, dict(self.headers)))
        page = self.server.web.pages.get(self.path.partition("?")[0])
        if page is None or page.statuses:
            self.answer(404 if page is None else page.statuses.pop(0), {})
            return
        self.send_page(page)

    def send_page(self, page: Page) -> None:
        headers = {"ETag": page.etag, "Last-Modified": page.modified} | page.headers
        headers = {name: value for name, value in headers.items() if value}
        if "Location" in headers:
            self.answer(302, headers)
            return
        if page.etag and self.headers.get("If-None-Match") == page.etag:
            self.answer(304, headers)
            return
        start = 0
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (page.etag, page.modified)
        if asked and page.takes_ranges and same:
            start = int(asked[1])
            if start >= len(page.body):
                self.answer(416, {})
                return
            headers["Content-Range"] = f"bytes {start}-{len(page.body) - 1}/{len(page.body)}"
        self.send_body(page, headers, start)

    def send_body(self, page: Page, headers: dict[str, str], start: int) -> None:
        body = page.body[start:]
        cut = page.break_after.pop(0) if page.break_after else None
        self.send_response(206 if "Content-Range" in headers else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        if page.length == "stated":
            self.send_header("Content-Length", str(page.announced or len(body)))
        if page.length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            time.sleep(0.1)  # so that what was sent is read before the connection ends
        self.close_connection = True

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


class WebServer:
    """A web server on loopback that knows ETags and ranges."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), WebHandler)
        self._server.web = self
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Any:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def page() -> Any:
    """The class of a file on the web server."""
    return Page


@pytest.fixture(scope="session")
def csv_header() -> str:
    return ROWS
