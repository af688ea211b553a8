"""The list of erased subjects: who must not land again, without saying who.

A subject is kept as a token: HMAC-SHA-256 of the identifier under a key of its own, per member and
kind of party. The key is not the pseudonym key, because that one may be rotated, and who has been
erased must stay erased. Removing rows belongs to `landing.erase` and to the rooms above.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tidewaiter import files, fingerprint
from tidewaiter.errors import Problem, TidewaiterError
from tidewaiter.home import Home
from tidewaiter.keys import load_key

KEY_VARIABLE = "TIDEWAITER_ERASURE_KEY"
KEY_FILE = "erasure.key"

# Stands where an erased subject's pseudonym would: landing drops every row that has it.
ERASED = hashlib.sha256(b"tidewaiter erased subject").hexdigest()[:32]

_CONTEXT = "tidewaiter erasures v1"


@dataclass(frozen=True)
class Erasures:
    """The erasure lists of all members.

    Attributes:
        tokens: (member, party) to the tokens of its erased subjects.
    """

    tokens: Mapping[tuple[str, str], frozenset[str]]
    _key: bytes = b""

    def __repr__(self) -> str:
        return f"Erasures({sum(map(len, self.tokens.values()))} subjects)"

    def names(self, member_iso2: str, party: str) -> bool:
        """Whether any subject of this member and kind of party was erased."""
        return bool(self.tokens.get((member_iso2, party)))

    def holds(self, member_iso2: str, party: str, identifier: str) -> bool:
        """Whether this subject was erased."""
        known = self.tokens.get((member_iso2, party), frozenset())
        return _token(self._key, member_iso2, party, identifier) in known

    def digest(self, member_iso2: str) -> str:
        """Return a digest of the member's list; empty where nobody was erased."""
        listed = sorted(
            [party, *sorted(tokens)] for (code, party), tokens in self.tokens.items() if code == member_iso2
        )
        return fingerprint.of_json(listed)[:12] if listed else ""


NOBODY = Erasures({})


def normalise_identifier(identifier: str) -> str:
    """Return the identifier as it is hashed: NFKC, upper case, without outer white space."""
    return unicodedata.normalize("NFKC", identifier).upper().strip()


def load_erasures(home: Home, environment: Mapping[str, str] | None = None) -> Erasures:
    """Return the lists that stand under the home; no key is made where there is none.

    Raises:
        TidewaiterError: The key that the lists were written with is gone: they can recognise nobody.
    """
    lists: dict[str, Any] = {
        path.stem.removeprefix("member="): files.read_json(path) for path in _lists(home)
    }
    if not lists:
        return NOBODY
    environment = os.environ if environment is None else environment
    if not environment.get(KEY_VARIABLE) and not (home.keys / KEY_FILE).exists():
        raise _key_lost(home)
    key = load_key(home, KEY_FILE, KEY_VARIABLE, environment)
    tokens: dict[tuple[str, str], set[str]] = {}
    for member, found in lists.items():
        if found["key_id"] != _key_id(key):
            raise _key_lost(home)
        for subject in found["subjects"]:
            tokens.setdefault((member, subject["party"]), set()).add(subject["token"])
    return Erasures({place: frozenset(values) for place, values in tokens.items()}, key)


def add_erasure(
    home: Home,
    member_iso2: str,
    party: str,
    identifier: str,
    now: datetime,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Put a subject on the member's list, unless it is there already, and return its token.

    Args:
        home: Layout of the output folder.
        member_iso2: Issuer of the identifier.
        party: Kind of party, such as `importer`.
        identifier: The subject in clear; it is not kept.
        now: Naive UTC, kept as the time of the erasure.
        environment: Defaults to the process environment.
    """
    load_erasures(home, environment)  # a lost key is found before another one is made
    key = load_key(home, KEY_FILE, KEY_VARIABLE, os.environ if environment is None else environment)
    token = _token(key, member_iso2, party, identifier)
    path = home.erasures / f"member={member_iso2}.json"
    found: dict[str, Any] = files.read_json(path) or {"key_id": _key_id(key), "subjects": []}
    if all((subject["party"], subject["token"]) != (party, token) for subject in found["subjects"]):
        entry = {"party": party, "token": token, "erased_at": now.isoformat(timespec="seconds")}
        files.write_json_atomically(path, found | {"subjects": [*found["subjects"], entry]})
    return token


def _lists(home: Home) -> list[Path]:
    return sorted(home.erasures.glob("member=*.json"))


def _key_lost(home: Home) -> TidewaiterError:
    return TidewaiterError(
        Problem(
            "the key of the erasure lists is gone or another one: erased subjects would land again",
            where=str(home.erasures),
            expected=f"{KEY_VARIABLE} or {home.keys / KEY_FILE} as it was when subjects were erased",
            next_step="put the key back from its backup",
        )
    )


def _key_id(key: bytes) -> str:
    return hmac.digest(key, f"{_CONTEXT}\x1fkey id".encode(), hashlib.sha256).hex()[:12]


def _token(key: bytes, member_iso2: str, party: str, identifier: str) -> str:
    message = "\x1f".join((_CONTEXT, member_iso2, party, normalise_identifier(identifier)))
    return hmac.digest(key, message.encode(), hashlib.sha256).hex()
