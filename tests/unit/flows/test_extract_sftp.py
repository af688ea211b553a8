"""SFTP: files come whole and once, from a server that is who the contract says it is."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from pathlib import Path

import paramiko
import pytest

from flows.extract.failures import SourceFailed
from tidewaiter.errors import TidewaiterError

# paramiko's own thread, which asks ahead, dies of the hanging up; what reads is told by an error.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

BODY = bytes(range(256)) * 12_000  # 3 MB
PASSWORD = "geheim 4711"


class Login(paramiko.ServerInterface):
    """Lets one user in, by password or key."""

    def __init__(self, server):
        self.server = server

    def check_auth_password(self, username, password):
        self.server.logins += 1
        right = (username, password) == ("xt", PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key == self.server.user_key else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username):
        return "password,publickey"

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED


class Files(paramiko.SFTPServerInterface):
    """Shows one folder."""

    def __init__(self, login, *args, **kwargs):
        super().__init__(login, *args, **kwargs)
        self.server = login.server

    def local(self, path):
        return self.server.folder / path.lstrip("/")

    def list_folder(self, path):
        try:
            found = []
            for entry in self.local(path).iterdir():
                attributes = paramiko.SFTPAttributes.from_stat(entry.stat())
                attributes.filename = entry.name
                found.append(attributes)
            return found
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def stat(self, path):
        try:
            return paramiko.SFTPAttributes.from_stat(self.local(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path, flags, attr):
        handle = Handle(flags)
        handle.server, handle.readfile = self.server, self.local(path).open("rb")
        return handle


class Handle(paramiko.SFTPHandle):
    """Reads a file, and hangs up where the server is told to."""

    def read(self, offset, length):
        self.server.offsets.append(offset)
        if self.server.hang_up_at is not None and offset >= self.server.hang_up_at:
            self.server.hang_up_at = None
            if self.server.on_hang_up:
                self.server.on_hang_up()
            self.server.transport.close()
            return paramiko.SFTP_FAILURE
        return super().read(offset, length)


class SftpServer:
    """An SFTP server on loopback."""

    def __init__(self, folder):
        self.folder = folder
        self.host_key = paramiko.RSAKey.generate(2048)
        self.user_key = paramiko.RSAKey.generate(2048)
        self.hang_up_at = self.on_hang_up = self.transport = None
        self.offsets: list[int] = []
        self.logins = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.transport = paramiko.Transport(connection)
            self.transport.add_server_key(self.host_key)
            self.transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
            try:
                self.transport.start_server(server=Login(self))
            except (paramiko.SSHException, EOFError, OSError):
                continue  # the client has hung up; the next one is served all the same

    def stop(self):
        self.listener.close()
        if self.transport:
            self.transport.close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    folder = tmp_path / "remote"
    (folder / "out").mkdir(parents=True)
    found = SftpServer(folder)
    members = tmp_path / "members" / "xt"
    members.mkdir(parents=True)
    (members / "known_hosts").write_text(
        f"[127.0.0.1]:{found.port} {found.host_key.get_name()} {found.host_key.get_base64()}\n"
    )
    found.user_key.write_private_key_file(str(tmp_path / "key"), password="losung")
    for name, value in {
        "XT_USER": "xt",
        "XT_PASSWORD": PASSWORD,
        "XT_KEY_FILE": str(tmp_path / "key"),
        "XT_PASSPHRASE": "losung",
    }.items():
        monkeypatch.setenv(name, value)
    yield found
    found.stop()


@pytest.fixture
def sftp(server):
    return {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": server.port,
        "folder": "/out",
        "known_hosts": "known_hosts",
        "username": {"env": "XT_USER"},
        "password": {"env": "XT_PASSWORD"},
        "timeout_s": 5,
    }


def put(server, name, body, modified=1_700_000_000):
    path = server.folder / "out" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (modified, modified))


@pytest.fixture
def once_some_is_written(sources):
    """What the server waits for before it hangs up, so that there is something to resume."""

    def wait():
        deadline = time.monotonic() + 60
        # In the server's thread an assertion would be an answer to the client. Beginning again is told below.
        while time.monotonic() < deadline and not any(path.stat().st_size for path in sources.inbox()):
            time.sleep(0.01)

    return wait


def test_files_come_whole_once_and_oldest_first(sources, server, sftp):
    put(server, "b.csv", BODY, modified=1_700_000_000)
    put(server, "a.csv", b"a", modified=1_700_000_100)
    put(server, ".c.csv", b"an upload in progress")
    put(server, "d.txt", b"not asked for")
    assert [path.read_bytes() for path in sources.fetch(sftp)] == [BODY, b"a"]
    assert sources.fetch(sftp) == []
    put(server, "a.csv", b"z", modified=1_700_000_200)
    assert [path.read_bytes() for path in sources.fetch(sftp)] == [b"z"]


def test_patterns_reach_below_the_folder(sources, server, sftp):
    put(server, "2024/a.csv", b"a")
    assert [path.read_bytes() for path in sources.fetch(sftp, files=["*/*.csv"])] == [b"a"]


def test_a_key_lets_in_as_well(sources, server, sftp):
    put(server, "a.csv", b"a")
    location = sftp | {"private_key": {"env": "XT_KEY_FILE"}, "passphrase": {"env": "XT_PASSPHRASE"}}
    del location["password"]
    assert len(sources.fetch(location)) == 1


@pytest.mark.parametrize("hang_up_at", [100_000, 2_000_000])
def test_a_file_that_breaks_off_is_resumed(sources, server, sftp, once_some_is_written, hang_up_at):
    put(server, "a.csv", BODY)
    server.hang_up_at, server.on_hang_up = hang_up_at, once_some_is_written
    (path,) = sources.fetch(sftp)
    assert path.read_bytes() == BODY
    assert server.logins == 2
    assert server.offsets.count(0) == 1  # not begun again


def test_what_broke_off_in_one_run_is_resumed_in_the_next(sources, server, sftp, once_some_is_written):
    put(server, "a.csv", BODY)
    server.hang_up_at, server.on_hang_up = 2_000_000, once_some_is_written
    with pytest.raises(TidewaiterError):
        sources.fetch(sftp | {"attempts": 1})
    server.offsets.clear()
    (path,) = sources.fetch(sftp)
    assert path.read_bytes() == BODY
    assert min(server.offsets) > 0


def test_a_file_that_changes_while_it_is_read_is_never_mixed(sources, server, sftp):
    changed = bytes(reversed(BODY))
    put(server, "a.csv", BODY)
    server.hang_up_at = 2_000_000
    server.on_hang_up = lambda: put(server, "a.csv", changed, modified=1_700_000_300)
    with pytest.raises(SourceFailed, match="changed while it was read"):
        sources.fetch(sftp)
    (path,) = sources.fetch(sftp)
    assert path.read_bytes() == changed


def test_a_server_that_is_not_known_is_not_talked_to(sources, server, sftp):
    known = sources.root / "members" / "xt" / "known_hosts"
    known.write_text("")
    with pytest.raises(SourceFailed, match="host key is not in known_hosts"):
        sources.fetch(sftp)
    other = paramiko.RSAKey.generate(2048)
    known.write_text(f"[127.0.0.1]:{server.port} {other.get_name()} {other.get_base64()}\n")
    with pytest.raises(SourceFailed, match="another host key than known_hosts has"):
        sources.fetch(sftp)
    known.unlink()
    with pytest.raises(SourceFailed, match="FileNotFoundError"):
        sources.fetch(sftp)
    assert server.logins == 0  # no password was ever shown to it


def test_a_refused_login_is_not_repeated_and_secrets_are_told_to_nobody(
    sources, server, sftp, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    put(server, "a.csv", b"a")
    sources.fetch(sftp)
    before = server.logins
    monkeypatch.setenv("XT_PASSWORD", "falsch-0815")
    source = sources.source(sftp)
    with pytest.raises(SourceFailed, match="login refused") as raised:
        source.fetch()
    assert server.logins == before + 1
    told = caplog.text + str(raised.value) + repr(raised.value) + repr(source) + repr(vars(source))
    for secret in (PASSWORD, "falsch-0815"):
        assert secret not in told
        assert secret.encode() not in sources.everything_written()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folder": "/nowhere"}, "FileNotFoundError"),
        ({"port": 1, "attempts": 2}, "NoValidConnectionsError"),
        ({"max_bytes": 10}, "expected at most 10"),
    ],
)
def test_what_is_not_there_or_too_much_is_named(sources, server, sftp, change, message):
    put(server, "a.csv", BODY)
    with pytest.raises(SourceFailed, match=message):
        sources.fetch(sftp | change)
    assert not [path for path in sources.inbox() if path.suffix == ".csv"]


def test_names_from_a_server_are_data(sources, server, sftp):
    put(server, "a\\..\\b;rm -rf $HOME.csv", b"a")
    (path,) = sources.fetch(sftp)
    assert path.parent.parent == next(iter((sources.settings.paths.inbox / "XT").iterdir()))
    assert Path(path.name).name == "b_rm -rf _HOME.csv"
