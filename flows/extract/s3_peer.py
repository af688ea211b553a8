"""S3-compatible storage through s3fs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, cast

from botocore.exceptions import (
    BotoCoreError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
)
from s3fs import S3FileSystem
from s3fs.utils import FileExpired

from flows.extract.failures import failed, interrupted
from flows.extract.inbox import Version
from flows.extract.remote_files import RemoteFile
from flows.extract.source import Errand
from tidewaiter.contracts import S3Location

_BLOCK_BYTES = 8 << 20
_RETRIES_OF_ITS_OWN = 1  # the attempts of the contract are ours to count

# At level debug botocore writes requests with their session token.
logging.getLogger("botocore").setLevel(logging.INFO)


class S3Peer:
    """A bucket. Connects when it is first asked for something."""

    def __init__(self, location: S3Location, errand: Errand) -> None:
        self._location = location
        self._errand = errand
        self._system: S3FileSystem | None = None

    def find(self, patterns: Collection[str]) -> list[RemoteFile]:
        """Return the objects that match below the prefix."""
        root = f"{self._location.bucket}/{self._location.prefix}".rstrip("/")
        found: dict[str, Any] = {}
        with self._told():
            system = self._connected()
            system.call_s3("head_bucket", Bucket=self._location.bucket)
            for pattern in patterns:
                found |= system.glob(f"{root}/{pattern}", detail=True)
        return [
            RemoteFile(path, _version(info)) for path, info in sorted(found.items()) if info["type"] == "file"
        ]

    def version(self, path: str) -> Version:
        """Return ETag, size and time of an object as they are now."""
        with self._told():
            return _version(self._connected().info(path, refresh=True))

    @contextmanager
    def reading(self, file: RemoteFile, offset: int) -> Iterator[BinaryIO]:
        """Read an object block by block; each request asks for the version listed."""
        with (
            self._told(),
            self._connected().open(
                file.path, "rb", block_size=_BLOCK_BYTES, cache_type="readahead"
            ) as reader,
        ):
            reader.seek(offset)
            yield cast(BinaryIO, reader)

    def forget(self) -> None:
        """Drop the connection."""
        self._system = None

    def _connected(self) -> S3FileSystem:
        if self._system is None:
            location, secrets = self._location, self._errand.secrets
            self._system = S3FileSystem(
                anon=location.anonymous,
                key=secrets.optional(location.access_key),
                secret=secrets.optional(location.secret_key),
                token=secrets.optional(location.session_token),
                endpoint_url=location.endpoint,
                client_kwargs={"region_name": location.region} if location.region else {},
                config_kwargs={
                    "connect_timeout": location.timeout_s,
                    "read_timeout": location.timeout_s,
                    "retries": {"max_attempts": _RETRIES_OF_ITS_OWN},
                },
                use_listings_cache=False,
                skip_instance_cache=True,
            )
            self._system.retries = _RETRIES_OF_ITS_OWN
        return self._system

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the libraries raise into our failures, without secrets."""
        where, clean = self._errand.where, self._errand.secrets.clean
        try:
            yield
        except FileExpired:
            raise interrupted("the object changed while it was read", where) from None
        except (PermissionError, NoCredentialsError) as error:
            raise failed(
                f"not allowed: {clean(error)}",
                where,
                next_step="check the credentials and the bucket's policy",
            ) from None
        except FileNotFoundError as error:
            raise failed(
                f"no such bucket or object: {clean(error)}", where, next_step="check bucket and prefix"
            ) from None
        except (ConnectionError, HTTPClientError, TimeoutError) as error:
            raise interrupted(f"{type(error).__name__}: {clean(error)}", where) from None
        except OSError as error:  # s3fs makes it of any other answer of the server
            raise interrupted(clean(error), where) from None
        except BotoCoreError as error:
            raise failed(clean(error), where) from None


def _version(info: dict[str, Any]) -> Version:
    modified = info.get("LastModified")
    return Version(
        etag=str(info["ETag"]).strip('"') if info.get("ETag") else None,
        modified=modified.isoformat() if isinstance(modified, datetime) else None,
        size=int(info["size"]),
    )
