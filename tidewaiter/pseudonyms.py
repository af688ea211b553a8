"""Keyed pseudonyms: the same person is the same pseudonym within one member and purpose, and no other.

HMAC-SHA-256 under a key that is derived per member and purpose, truncated to 128 bits. Plain hashing
of tax numbers could be reversed by trying them all; without the key this cannot. The master key
comes from the environment or from a generated file, and never leaves this module.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from tidewaiter.errors import Problem, TidewaiterError, UsageProblem
from tidewaiter.home import Home

KEY_VARIABLE = "TIDEWAITER_PSEUDONYM_KEY"
KEY_FILE = "pseudonym.key"
PSEUDONYM_HEX_DIGITS = 32  # 128 bits: collisions stay out of reach for 10^12 identifiers

_MINIMUM_KEY_BYTES = 32
_OTHERS_MAY = 0o077
_CONTEXT = "tidewaiter pseudonyms v1"
_ROLE_AND_TIME = re.compile(r"(_initial|_final)?_id$")


class Pseudonymiser:
    """Turns identifiers of parties and officers into pseudonyms. Never shows its key.

    Attributes:
        key_id: Short digest of a derived value. Tells two keys apart, reveals neither.
    """

    __slots__ = ("__master", "key_id")

    def __init__(self, master_key: bytes) -> None:
        self.__master = master_key
        self.key_id = _derive(master_key, "key id").hex()[:12]

    def __repr__(self) -> str:
        return f"Pseudonymiser(key_id={self.key_id!r})"

    def __reduce__(self) -> str:
        raise TypeError("a pseudonymiser holds a key and is not to be stored; load it where it is used")

    def pseudonymise(
        self, member_iso2: str, purpose: str, identifiers: Iterable[str | None]
    ) -> list[str | None]:
        """Return one pseudonym per identifier, in order; None for None and for what is only blanks.

        Args:
            member_iso2: Issuer of the identifiers. The same text from another member is another person.
            purpose: Kind of party, from `purpose_of`.
            identifiers: Best given once each: the cost is per element.
        """
        key = _derive(self.__master, f"member={member_iso2}", f"purpose={purpose}")
        return [_pseudonym(key, identifier) for identifier in identifiers]


def purpose_of(field_name: str) -> str:
    """Return the kind of party that a canonical field names: `inspector_final_id` is `inspector`.

    The first and the last inspector share a purpose, so that a reassignment can be seen.
    """
    return _ROLE_AND_TIME.sub("", field_name)


def normalise_identifier(identifier: str) -> str:
    """Return the identifier as it is hashed: NFKC, upper case, without outer white space."""
    return unicodedata.normalize("NFKC", identifier).upper().strip()


def load_pseudonymiser(home: Home, environment: Mapping[str, str] | None = None) -> Pseudonymiser:
    """Return the pseudonymiser of this installation; generate its key file where there is none.

    Args:
        home: Where the key file is kept, mode 600.
        environment: Defaults to the process environment. `TIDEWAITER_PSEUDONYM_KEY` wins over the file.

    Raises:
        UsageProblem: The key is too short or not hexadecimal.
        TidewaiterError: The key file can be read by others, or cannot be written.
    """
    environment = os.environ if environment is None else environment
    if given := environment.get(KEY_VARIABLE):
        return Pseudonymiser(_parse_key(given, where=KEY_VARIABLE))
    path = home.keys / KEY_FILE
    if not path.exists():
        _generate_key_file(path)
    if path.stat().st_mode & _OTHERS_MAY:
        raise TidewaiterError(
            Problem(
                "the pseudonym key can be read by others",
                where=str(path),
                expected="mode 600",
                next_step=f"chmod 600 {path}",
            )
        )
    return Pseudonymiser(_parse_key(path.read_text(encoding="ascii", errors="replace"), where=str(path)))


def _generate_key_file(path: Path) -> None:
    """Create the key file in one step: of two racing processes one wins, and both read its key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(secrets.token_hex(_MINIMUM_KEY_BYTES) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        # A link fails where the name is taken and never shows a half-written file.
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was first; its key is the key
    except OSError as error:
        raise TidewaiterError(
            Problem(
                f"the pseudonym key cannot be written: {error.strerror}",
                where=str(path),
                next_step=f"set {KEY_VARIABLE}, or put TIDEWAITER_HOME on a disk that can hold it",
            )
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def _parse_key(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < _MINIMUM_KEY_BYTES:
        raise UsageProblem(
            Problem(
                "the pseudonym key is not usable",  # its value is a secret and stays out of the message
                where=where,
                expected=f"at least {_MINIMUM_KEY_BYTES} bytes as hexadecimal digits",
                next_step="python3 -c 'import secrets; print(secrets.token_hex(32))' makes one",
            )
        )
    return key


def _derive(key: bytes, *context: str) -> bytes:
    message = "\x1f".join((_CONTEXT, *context)).encode()
    return hmac.digest(key, message, hashlib.sha256)


def _pseudonym(key: bytes, identifier: str | None) -> str | None:
    if identifier is None or not (normalised := normalise_identifier(identifier)):
        return None
    return hmac.digest(key, normalised.encode(), hashlib.sha256).hex()[:PSEUDONYM_HEX_DIGITS]
