"""Credentials of every kind of source, planted and looked for in all that the command says and writes."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
import yaml

# What each variable holds; the parts that are secret are looked for, in every spelling.
PLANTED = {
    "XT_TOKEN": "token-Zebra/4711+",
    "XT_USER": "user-Quokka",
    "XT_PASSWORD": "password Okapi=0815",
    "XT_ACCESS": "AKIAAXOLOTL00000",
    "XT_SECRET": "secret/Pangolin+key",
    "XT_SESSION": "session/Narwhal+token",
    "XT_SFTP": "sftp Tapir#pw",
    "XT_POSTGRES": "postgresql://reader:pg-Dugong%2F1@127.0.0.1:1/customs",
    "XT_MYSQL": "mysql+pymysql://reader:my-Kakapo@127.0.0.1:1/customs",
    "XT_NONSENSE": "reader:bare-Numbat@127.0.0.1/customs",
}
SECRETS = [
    *(value for name, value in PLANTED.items() if name not in ("XT_POSTGRES", "XT_MYSQL", "XT_NONSENSE")),
    *("pg-Dugong/1", "my-Kakapo", "bare-Numbat"),
]


def spellings(secret: str) -> set[bytes]:
    pair = f"{PLANTED['XT_USER']}:{PLANTED['XT_PASSWORD']}".encode()
    return {secret.encode(), quote(secret, safe="").encode(), repr(secret).encode(), base64.b64encode(pair)}


class Echo(BaseHTTPRequestHandler):
    """Refuses, and says in its answer what it was asked with: the least discreet of servers."""

    def do_GET(self) -> None:
        told = "".join(f"<{name}>{value}</{name}>\n" for name, value in self.headers.items())
        body = f"<Error><Code>AccessDenied</Code><Message>{told}</Message></Error>".encode()
        self.server.heard.append(dict(self.headers))
        self.send_response(403, f"refused {self.headers.get('X-Token', '')}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_) -> None:
        """Be quiet."""


@pytest.fixture
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.heard = []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def locations(address: str) -> list[dict]:
    def env(name: str) -> dict[str, str]:
        return {"env": name}

    web = {"kind": "http", "attempts": 2}
    database = {"kind": "database", "table": "items", "attempts": 1}
    return [
        web | {"url": f"{address}/a.csv", "secret_headers": {"X-Token": env("XT_TOKEN")}},
        web | {"url": f"{address}/b.csv", "username": env("XT_USER"), "password": env("XT_PASSWORD")},
        {
            "kind": "s3",
            "bucket": "customs",
            "endpoint": address,
            "region": "us-east-1",
            "attempts": 1,
            "access_key": env("XT_ACCESS"),
            "secret_key": env("XT_SECRET"),
            "session_token": env("XT_SESSION"),
        },
        {
            "kind": "sftp",
            "host": "127.0.0.1",
            "port": 1,
            "known_hosts": "known_hosts",
            "attempts": 1,
            "username": env("XT_USER"),
            "password": env("XT_SFTP"),
        },
        *(database | {"url": env(name)} for name in ("XT_POSTGRES", "XT_MYSQL", "XT_NONSENSE")),
    ]


@pytest.mark.parametrize("flags", [(), ("-v",)], ids=["quiet", "verbose"])
def test_no_credential_is_said_or_written(sources, echo, flags):
    address = f"http://127.0.0.1:{echo.server_port}"
    folder = sources.root / "members" / "xt"
    folder.mkdir(parents=True)
    (folder / "known_hosts").write_text("")
    contract = sources.contract(*locations(address)).model_dump(mode="json", exclude_none=True)
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWAITER_")}
    own = {
        "TIDEWAITER_HOME": str(sources.root / "home"),
        "TIDEWAITER_MEMBERS_DIR": str(sources.root / "members"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *flags, "ingest", "--member", "XT"],
        env=inherited | own | PLANTED,
        capture_output=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said.decode()
    # Each source was asked, and what went wrong with each is told.
    heard = {name.lower() for headers in echo.heard for name in headers}
    assert {"x-token", "authorization", "x-amz-security-token"} <= heard
    for source in ("a.csv", "b.csv", "s3://customs", "sftp://127.0.0.1", "XT_POSTGRES", "XT_MYSQL"):
        assert source.encode() in said
    everywhere = said + sources.everything_written()
    found = [secret for secret in SECRETS if any(one in everywhere for one in spellings(secret))]
    assert found == []
