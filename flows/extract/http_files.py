"""Files of a web server, through fsspec: asked for with conditions, resumed with ranges, never half."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, timedelta
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from fsspec.implementations.http import HTTPFileSystem

from flows.extract.failures import SourceFailed, failed, interrupted, with_retries
from flows.extract.inbox import Arrival, Version
from flows.extract.source import Errand
from tidewaiter import files
from tidewaiter.contracts import HttpLocation
from tidewaiter.errors import Problems

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"^bytes (\d+)-\d+/(\d+)$")


@dataclass(frozen=True)
class _Download:
    """Bytes of one version of one URL that have come so far; the version lies in a file beside them."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def begun(self) -> tuple[int, Version]:
        """Return how much there is, and of what; nothing where it cannot be continued."""
        found = files.read_json(self.note)
        if found is None or not self.path.exists():
            return 0, Version()
        version = Version.model_validate(found)
        # A weak ETag says "much the same", which is not enough to join two parts (RFC 9110, 13.1.5).
        can_join = version.modified is not None or (version.etag or "W/").startswith('"')
        return (self.path.stat().st_size, version) if can_join else (0, Version())

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Answer:
    """A response whose body is still to be read."""

    stream: Any
    status: int
    headers: Any

    @property
    def version(self) -> Version:
        return Version(
            etag=self.headers.get("ETag"), modified=self.headers.get("Last-Modified"), size=self.total
        )

    @property
    def starts_at(self) -> int:
        found = _CONTENT_RANGE.match(self.headers.get("Content-Range", ""))
        return int(found[1]) if found and self.status == 206 else 0

    @property
    def total(self) -> int | None:
        """Length of the whole file, where the server says it."""
        if self.status == 206:
            found = _CONTENT_RANGE.match(self.headers.get("Content-Range", ""))
            return int(found[2]) if found else None
        length = self.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None

    @property
    def says_where_it_ends(self) -> bool:
        return self.total is not None or "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    def file_name(self, url: str) -> str:
        """Return the name the server gives, else the last part of the URL's path."""
        message = Message()
        message["Content-Disposition"] = self.headers.get("Content-Disposition", "")
        name = message.get_filename() or unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
        # We ask for no encoding; a server that uses one all the same has sent a compressed file.
        is_gzip = self.headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip")
        return f"{name}.gz" if is_gzip and not name.endswith(".gz") else name


class HttpSource:
    """Takes in what its URLs have that has not come yet."""

    def __init__(self, location: HttpLocation, errand: Errand) -> None:
        self._location = location
        self._errand = errand
        self._system: HTTPFileSystem | None = None

    def fetch(self) -> list[Path]:
        """Take in new and changed files in the order of their dates. One that fails leaves the others."""
        inbox, problems, arrived = self._errand.inbox, Problems(SourceFailed), []
        with inbox.held(self._errand.settings.lock_timeout_s):
            for url, day in self._location.urls_between(self._errand.today):
                try:
                    arrived += self._take_in(url, day)
                except SourceFailed as error:
                    problems.found += error.problems
            if not problems.found:
                inbox.sweep()
        problems.raise_if_any()
        return arrived

    def settle(self, landed: Collection[str]) -> None:
        """Do nothing: what has come is not asked for again, whether or not it lands."""

    def _take_in(self, url: str, day: date | None) -> list[Path]:
        inbox = self._errand.inbox
        known = inbox.record().files.get(url)
        if known is not None and self._is_settled(day):
            return []
        download = _Download(inbox.partial(url))
        come = with_retries(
            self._location.attempts,
            lambda: self._download(url, download, known.version if known else Version(), day),
        )
        if come is None:
            return []
        version, name = come
        arrival: Arrival = inbox.take_in(download.path, name)
        download.drop()
        inbox.note_file(url, version, arrival)
        _log.info("%s: %s as %s", self._errand.where, url, arrival.key)
        return [arrival.path] if arrival.is_new else []

    def _is_settled(self, day: date | None) -> bool:
        dates = self._location.dates
        return (
            dates is not None
            and day is not None
            and day < self._errand.today - timedelta(days=dates.recheck_days)
        )

    def _download(
        self, url: str, download: _Download, known: Version, day: date | None
    ) -> tuple[Version, str] | None:
        """Bring a file home whole and return what it is, or None where nothing new is there."""
        done, begun = download.begun()
        answer = self._ask(url, _conditions(done, begun, known))
        try:
            if answer.status == 304 or (answer.status == 404 and day is not None):
                download.drop()
                return None
            self._check(answer, url, download)
            version = answer.version
            if answer.status == 206 and (answer.starts_at != done or not version.matches(begun)):
                download.drop()
                raise interrupted("the server continued another file than the one begun", self._where(url))
            if version.size is not None and version.size > self._location.max_bytes:
                raise self._too_large(url)
            if answer.status != 206:
                download.drop()
                files.write_json_atomically(download.note, version.model_dump(mode="json"))
            self._read(answer, url, download)
            self._check_digest(answer, url, download)
            return version, answer.file_name(url)
        finally:
            answer.stream.close()

    def _read(self, answer: _Answer, url: str, download: _Download) -> None:
        where = self._where(url)
        try:
            with download.path.open("ab") as writer:
                while chunk := answer.stream.read(_CHUNK_BYTES):
                    writer.write(chunk)
                    if writer.tell() > self._location.max_bytes:
                        download.drop()
                        raise self._too_large(url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise interrupted(f"broke off: {type(error).__name__}", where) from None
        done = download.path.stat().st_size
        if answer.total is not None and done != answer.total:
            if done > answer.total:
                download.drop()
            raise interrupted(f"{done} bytes came of {answer.total} that the server announced", where)

    def _check(self, answer: _Answer, url: str, download: _Download) -> None:
        """Raise where the answer is no file."""
        where = self._where(url)
        if answer.status == 416:
            download.drop()
            raise interrupted("the file has become shorter than what came of it", where)
        if answer.status in _WORTH_ANOTHER_TRY:
            raise interrupted(f"the server answers {answer.status}", where)
        if answer.status not in (200, 206):
            raise failed(
                f"the server answers {answer.status}", where, next_step="check the URL and credentials"
            )
        if not answer.says_where_it_ends:
            raise failed(
                "the server says neither how long the file is nor where it ends",
                where,
                expected="a Content-Length, or chunks",
            )

    def _check_digest(self, answer: _Answer, url: str, download: _Download) -> None:
        """Compare with the digest that the server gives of the whole file (RFC 9530, RFC 1864)."""
        stated = _stated_digest(answer)
        if stated is None:
            return
        algorithm, expected = stated
        with download.path.open("rb") as handle:
            found = hashlib.file_digest(handle, algorithm).digest()
        if found != expected:
            download.drop()
            raise interrupted(
                f"the bytes do not have the {algorithm} that the server states", self._where(url)
            )

    def _ask(self, url: str, conditions: dict[str, str]) -> _Answer:
        """Send a GET and follow redirects; what is secret goes to the host of the contract only."""
        secret, target = self._secret_headers(), url
        for _ in range(_MOST_REDIRECTS + 1):
            headers = {**self._location.headers, "Accept-Encoding": "identity", **conditions}
            if urlsplit(target)[:2] == urlsplit(url)[:2]:
                headers |= secret
            answer = self._send(target, headers, url)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                return answer
            answer.stream.close()
            target = urljoin(target, answer.headers["Location"])
            allowed = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
            if urlsplit(target).scheme not in allowed:
                raise failed("the server redirects to another protocol", self._where(url))
        raise failed(f"more than {_MOST_REDIRECTS} redirects", self._where(url))

    def _send(self, target: str, headers: dict[str, str], url: str) -> _Answer:
        where = self._where(url)
        try:
            # A size given in advance keeps fsspec from asking for it with a request of its own.
            stream = self._connected().open(
                target, "rb", block_size=0, size=1, headers=headers, allow_redirects=False
            )
        except FileNotFoundError:
            return replace(_NOTHING, status=404)
        except aiohttp.ClientResponseError as error:
            return replace(_NOTHING, status=error.status)
        except aiohttp.ClientConnectorCertificateError:
            raise failed("the server's certificate is not trusted", where) from None
        except aiohttp.InvalidURL:
            raise failed("not a URL that can be asked for", where) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise interrupted(f"not reached: {type(error).__name__}", where) from None
        return _Answer(stream, stream.r.status, stream.r.headers)

    def _connected(self) -> HTTPFileSystem:
        if self._system is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=self._location.timeout_s, sock_read=self._location.timeout_s
            )
            # The bytes are wanted as they are; proxies come from the environment as everywhere else.
            client = {"timeout": timeout, "auto_decompress": False, "trust_env": True}
            self._system = HTTPFileSystem(
                client_kwargs=client, encoded=True, use_listings_cache=False, skip_instance_cache=True
            )
        return self._system

    def _secret_headers(self) -> dict[str, str]:
        location, secrets = self._location, self._errand.secrets
        found = {name: secrets.value(credential) for name, credential in location.secret_headers.items()}
        if location.username and location.password:
            found["Authorization"] = secrets.basic_authorization(location.username, location.password)
        return found

    def _where(self, url: str) -> str:
        return f"member {self._errand.member_iso2}, {url}"

    def _too_large(self, url: str) -> SourceFailed:
        return failed(
            "the file is too large",
            self._where(url),
            expected=f"at most {self._location.max_bytes} bytes",
            next_step="raise max_bytes in the contract, or have it sent in parts",
        )


class _NoStream:
    def close(self) -> None:
        """Nothing is open."""


_NOTHING = _Answer(_NoStream(), 0, {})


def _conditions(done: int, begun: Version, known: Version) -> dict[str, str]:
    """Return the headers that ask for the rest of what is begun, or for what differs from what is known."""
    if done:
        strong = begun.etag if begun.etag and begun.etag.startswith('"') else begun.modified
        return {"Range": f"bytes={done}-", "If-Range": str(strong)}
    conditions = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
    return {name: value for name, value in conditions.items() if value}


def _stated_digest(answer: _Answer) -> tuple[str, bytes] | None:
    """Return algorithm and digest of the whole file, where the server states one that we know."""
    headers = answer.headers
    for name in ("Repr-Digest", "Digest"):
        if found := re.search(r"(?i)\bsha-256=:?([A-Za-z0-9+/=]+)", headers.get(name, "")):
            return "sha256", base64.b64decode(found[1])
    if answer.status == 200 and "Content-MD5" in headers:
        return "md5", base64.b64decode(headers["Content-MD5"])
    return None
