"""Remote locations: what a contract may say about a web server, object storage, SFTP or a database."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tidewaiter.contracts.strict import Credential, Strict, inside, may_hold_a_secret, public_url

_GIB = 1024**3
_DATE_FIELD = re.compile(r"\{date(?::([^{}]*))?\}")
_GLOB_SIGNS = re.compile(r"[*?\[\]]")


class _Remote(Strict):
    """What all remote locations share.

    Attributes:
        timeout_s: Seconds without an answer after which an attempt counts as failed.
        attempts: How often a transient failure is tried in all, with growing pauses.
    """

    # What identifies the source: another of these is another source, and its record starts afresh.
    identity: ClassVar[tuple[str, ...]] = ()

    timeout_s: float = Field(default=60, gt=0, le=3600)
    attempts: int = Field(default=4, ge=1, le=20)

    def describe(self) -> str:
        """Return where this is, in words that hold no secret."""
        raise NotImplementedError


class _Files(_Remote):
    """What all locations of whole files share.

    Attributes:
        max_bytes: Size of one file above which it is not fetched.
    """

    max_bytes: int = Field(default=50 * _GIB, ge=1)


class HttpDates(Strict):
    """The dates that a URL with `{date}` is asked for.

    Attributes:
        first: First date.
        last: Last date; left out, today less `lag_days`.
        every: Step; of a month, its first day.
        lag_days: How many days after its date a file is expected.
        recheck_days: Dates older than this whose file has arrived are not asked for again.
    """

    first: date
    last: date | None = None
    every: Literal["day", "month"] = "day"
    lag_days: int = Field(default=0, ge=0)
    recheck_days: int = Field(default=31, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError("last is before first")
        return self


class HttpLocation(_Files):
    """Files of a web server, over HTTP or HTTPS. A file that has not changed is not sent again.

    Attributes:
        url: One URL or several. `{date}` or `{date:%Y%m%d}` is filled from `dates`.
        dates: Which dates a URL with `{date}` is asked for; one that is not there yet is left for
            the next run.
        headers: Sent with each request; nothing secret.
        secret_headers: Header to the credential that holds its whole value, such as
            `Authorization: {env: XX_AUTHORIZATION}`. Not sent to another host after a redirect.
        username: Credential of HTTP basic authentication.
        password: Credential of HTTP basic authentication.
    """

    identity: ClassVar[tuple[str, ...]] = ("kind", "url")

    kind: Literal["http"]
    url: str | tuple[str, ...]
    dates: HttpDates | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    secret_headers: dict[str, Credential] = Field(default_factory=dict)
    username: Credential | None = None
    password: Credential | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """All URLs or URL templates."""
        return (self.url,) if isinstance(self.url, str) else self.url

    def describe(self) -> str:
        """Return the first URL, and how many more there are."""
        return self.urls[0] + (f" and {len(self.urls) - 1} more" if len(self.urls) > 1 else "")

    @field_validator("url")
    @classmethod
    def _urls_are_plain(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        urls = (value,) if isinstance(value, str) else value
        if not urls or len(set(urls)) != len(urls):
            raise ValueError("give at least one URL, each once")
        for url in urls:
            public_url(url, ("http", "https"))
            if "{" in _DATE_FIELD.sub("", url):
                raise ValueError("a URL knows no parameter but {date} and {date:<strftime format>}")
        return value

    @field_validator("headers")
    @classmethod
    def _headers_are_public(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if may_hold_a_secret(name):
                raise ValueError(f"header '{name}' may hold a credential: name one under secret_headers")
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if any(_DATE_FIELD.search(url) for url in self.urls) != (self.dates is not None):
            raise ValueError("a URL with {date} needs dates, and dates a URL with {date}")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        return self

    def urls_between(self, today: date) -> list[tuple[str, date | None]]:
        """Return each URL to ask for and the date that filled it, oldest first."""
        plain: list[tuple[str, date | None]] = [
            (url, None) for url in self.urls if not _DATE_FIELD.search(url)
        ]
        templates = [url for url in self.urls if _DATE_FIELD.search(url)]
        return plain + [(_fill(url, day), day) for day in self._days(today) for url in templates]

    def _days(self, today: date) -> list[date]:
        if self.dates is None:
            return []
        last = date.fromordinal(today.toordinal() - self.dates.lag_days)
        last = last if self.dates.last is None else min(last, self.dates.last)
        days = (date.fromordinal(n) for n in range(self.dates.first.toordinal(), last.toordinal() + 1))
        if self.dates.every == "day":
            return list(days)
        return sorted({day.replace(day=1) for day in days})


class S3Location(_Files):
    """Objects of an S3-compatible store; the extract's `files` are patterns below the prefix.

    Attributes:
        bucket: Name of the bucket.
        prefix: Folder within the bucket.
        endpoint: URL of a store other than Amazon's.
        region: Region of the bucket.
        access_key: Credential; without one, what the machine's own role or environment gives.
        secret_key: Credential that goes with it.
        session_token: Credential of a temporary session.
        anonymous: The bucket is public: sign nothing.
    """

    identity: ClassVar[tuple[str, ...]] = ("kind", "bucket", "prefix", "endpoint")

    kind: Literal["s3"]
    bucket: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]+$")
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    access_key: Credential | None = None
    secret_key: Credential | None = None
    session_token: Credential | None = None
    anonymous: bool = False

    def describe(self) -> str:
        """Return the bucket and prefix as a URL."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @field_validator("prefix")
    @classmethod
    def _prefix_is_plain(cls, value: str) -> str:
        return _without_glob_signs(inside(value)) if value else value

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_plain(cls, value: str | None) -> str | None:
        return value if value is None else public_url(value, ("http", "https"))

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together")
        if self.anonymous and self.access_key is not None:
            raise ValueError("an anonymous location takes no keys")
        return self


class SftpLocation(_Files):
    """Files of an SFTP server; the extract's `files` are patterns below the folder.

    Attributes:
        host: Name or address of the server.
        port: Port of the server.
        folder: Absolute folder on the server.
        known_hosts: File in OpenSSH's format with the server's host key: absolute, or relative to
            the member's folder. A server whose key is not in it is not talked to.
        username: Credential that holds the user's name.
        password: Credential that holds the password.
        private_key: Credential that holds the *path* of a private key file.
        passphrase: Credential that holds that key's passphrase.
    """

    identity: ClassVar[tuple[str, ...]] = ("kind", "host", "port", "folder")

    kind: Literal["sftp"]
    host: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_-]*$")
    port: int = Field(default=22, ge=1, le=65535)
    folder: str = "/"
    known_hosts: Path
    username: Credential
    password: Credential | None = None
    private_key: Credential | None = None
    passphrase: Credential | None = None

    def describe(self) -> str:
        """Return host, port and folder as a URL."""
        return f"sftp://{self.host}:{self.port}{self.folder}"

    @field_validator("folder")
    @classmethod
    def _folder_is_plain(cls, value: str) -> str:
        if not PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
            raise ValueError("folder must be absolute, without '..'")
        return _without_glob_signs(value)

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if (self.password is None) == (self.private_key is None):
            raise ValueError("give exactly one of password, private_key")
        return self


class Watermark(Strict):
    """The column that tells which rows are new: fetched are the rows above what has landed.

    Attributes:
        column: Name of the column; it never falls, and is never null.
        type: How its values compare.
        overlap: Rows this far below the mark are read again, in seconds for timestamps, days for
            dates, units for integers: for sources that commit rows out of order.
    """

    column: str = Field(min_length=1)
    type: Literal["timestamp", "date", "integer", "text"]
    overlap: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _text_has_no_distance(self) -> Self:
        if self.type == "text" and self.overlap:
            raise ValueError("a text watermark takes no overlap")
        return self


class DatabaseLocation(_Remote):
    """A database that the member lets us read. Each fetch is one Parquet file.

    Attributes:
        url: Credential that holds an SQLAlchemy URL. PostgreSQL and SQLite are read by DuckDB,
            others by the driver that the URL names, which must be installed.
        sqlite: An SQLite file instead: absolute, or relative to the member's folder.
        table: Table or view to read, `schema.table` where needed.
        query: A SELECT of the database's own dialect instead.
        watermark: Without one, every fetch reads everything and keeps it if it has changed.
        batch_rows: Rows held in memory at a time.
    """

    identity: ClassVar[tuple[str, ...]] = ("kind", "url", "sqlite", "table", "query")

    kind: Literal["database"]
    url: Credential | None = None
    sqlite: Path | None = None
    table: str | None = Field(default=None, min_length=1)
    query: str | None = Field(default=None, min_length=1)
    watermark: Watermark | None = None
    batch_rows: int = Field(default=50_000, ge=1, le=1_000_000)

    def describe(self) -> str:
        """Return where the database is named, and what is read of it."""
        source = self.sqlite if self.url is None else f"the database in {self.url}"
        return f"{source}, {f'table {self.table}' if self.table else 'query'}"

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.url is None) == (self.sqlite is None):
            raise ValueError("give exactly one of url, sqlite")
        if (self.table is None) == (self.query is None):
            raise ValueError("give exactly one of table, query")
        return self


def _without_glob_signs(path: str) -> str:
    if _GLOB_SIGNS.search(path):
        raise ValueError("patterns belong under files")
    return path


def _fill(url: str, day: date) -> str:
    return _DATE_FIELD.sub(lambda found: day.strftime(found[1] or "%Y-%m-%d"), url)
