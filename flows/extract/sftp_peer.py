"""SFTP through fsspec and paramiko, to servers whose host key is known beforehand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem
from paramiko.ssh_exception import NoValidConnectionsError

from flows.extract.failures import failed, interrupted
from flows.extract.inbox import Version
from flows.extract.remote_files import RemoteFile
from flows.extract.source import Errand
from tidewaiter.contracts import SftpLocation

_BUFFER_BYTES = 1 << 20
_REQUESTS_AHEAD = 64  # of 32 KiB each: what is asked for before it is read


class _KnownHostsSystem(SFTPFileSystem):  # type: ignore[misc]
    """fsspec's SFTP, which by default trusts any server that it has not met."""

    cachable = False

    def __init__(self, host: str, known_hosts: Path, timeout_s: float, **login: Any) -> None:
        self._known_hosts = known_hosts
        self._timeout_s = timeout_s
        super().__init__(host, **login)

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        self.client.load_host_keys(str(self._known_hosts))
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        timeouts = dict.fromkeys(
            ("timeout", "banner_timeout", "auth_timeout", "channel_timeout"), self._timeout_s
        )
        # Only what the contract names is offered to the server, not what lies about on this machine.
        self.client.connect(self.host, allow_agent=False, look_for_keys=False, **timeouts, **self.ssh_kwargs)
        self.ftp = self.client.open_sftp()
        self.ftp.get_channel().settimeout(self._timeout_s)


class SftpPeer:
    """An SFTP server. Connects when it is first asked for something."""

    def __init__(self, location: SftpLocation, errand: Errand) -> None:
        self._location = location
        self._errand = errand
        self._system: _KnownHostsSystem | None = None

    def find(self, patterns: Collection[str]) -> list[RemoteFile]:
        """Return the files that match below the folder."""
        root = self._location.folder.rstrip("/")
        found: dict[str, Any] = {}
        with self._told():
            system = self._connected()
            system.ls(root or "/")  # glob takes a folder that is not there for an empty one
            for pattern in patterns:
                found |= system.glob(f"{root}/{pattern}", detail=True)
        return [
            RemoteFile(path, _version(info)) for path, info in sorted(found.items()) if info["type"] == "file"
        ]

    def version(self, path: str) -> Version:
        """Return size and time of a file as they are now."""
        with self._told():
            return _version(self._connected().info(path))

    @contextmanager
    def reading(self, file: RemoteFile, offset: int) -> Iterator[BinaryIO]:
        """Read a file from `offset` on, with requests sent ahead."""
        with self._told(), self._connected().open(file.path, "rb", block_size=_BUFFER_BYTES) as reader:
            reader.seek(offset)
            reader.prefetch(file.version.size, max_concurrent_requests=_REQUESTS_AHEAD)
            yield cast(BinaryIO, reader)

    def forget(self) -> None:
        """Close the connection."""
        if self._system is not None:
            self._system.client.close()
            self._system = None

    def _connected(self) -> _KnownHostsSystem:
        if self._system is None:
            location, secrets = self._location, self._errand.secrets
            self._system = _KnownHostsSystem(
                location.host,
                self._errand.member_folder / location.known_hosts,
                location.timeout_s,
                port=location.port,
                username=secrets.value(location.username),
                password=secrets.optional(location.password),
                key_filename=secrets.optional(location.private_key),
                passphrase=secrets.optional(location.passphrase),
            )
        return self._system

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the libraries raise into our failures, without secrets."""
        where, clean = self._errand.where, self._errand.secrets.clean
        try:
            yield
        except paramiko.BadHostKeyException:
            raise failed(
                "the server shows another host key than known_hosts has",
                where,
                next_step="ask its operator whether the key was changed; do not just replace it",
            ) from None
        except paramiko.AuthenticationException as error:
            raise failed(f"login refused: {clean(error)}", where, next_step="check the credentials") from None
        except (paramiko.SSHException, EOFError, TimeoutError, NoValidConnectionsError) as error:
            if "not found in known_hosts" in str(error):
                raise failed(
                    "the server's host key is not in known_hosts",
                    where,
                    next_step=f"ask its operator for the key and add it to {self._location.known_hosts}",
                ) from None
            raise interrupted(f"{type(error).__name__}: {clean(error)}", where) from None
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise failed(
                f"{type(error).__name__}: {clean(error)}",
                where,
                next_step="check folder, known_hosts and private_key",
            ) from None
        except OSError as error:
            raise interrupted(f"{type(error).__name__}: {clean(error)}", where) from None


def _version(info: dict[str, Any]) -> Version:
    return Version(modified=info["mtime"].isoformat(), size=int(info["size"]))
