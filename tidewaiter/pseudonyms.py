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
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from tidewaiter.canonical import DATASETS, DatasetName, load_dataset
from tidewaiter.erasures import ERASED, NOBODY, Erasures, load_erasures, normalise_identifier
from tidewaiter.home import Home
from tidewaiter.keys import load_key, remove_expired_keys

KEY_VARIABLE = "TIDEWAITER_PSEUDONYM_KEY"
KEY_FILE = "pseudonym.key"
PSEUDONYM_HEX_DIGITS = 32  # 128 bits: collisions stay out of reach for 10^12 identifiers

_BLOCK_BYTES = 64  # of SHA-256
_CONTEXT = "tidewaiter pseudonyms v1"
_ROLE_AND_TIME = re.compile(r"(_initial|_final)?_id$")


class Pseudonymiser:
    """Turns identifiers of parties and officers into pseudonyms. Never shows its key.

    Attributes:
        key_id: Short digest of a derived value. Tells two keys apart, reveals neither.
    """

    __slots__ = ("__erasures", "__master", "key_id")

    def __init__(self, master_key: bytes, erasures: Erasures = NOBODY) -> None:
        self.__master = master_key
        self.__erasures = erasures
        self.key_id = _derive(master_key, "key id").hex()[:12]

    def __repr__(self) -> str:
        return f"Pseudonymiser(key_id={self.key_id!r})"

    def __reduce__(self) -> str:
        raise TypeError("a pseudonymiser holds a key and is not to be stored; load it where it is used")

    def pseudonymise(
        self, member_iso2: str, purpose: str, identifiers: Iterable[str | None]
    ) -> list[str | None]:
        """Return one pseudonym per identifier, in order; None for None and for what is only blanks.

        An erased subject has no pseudonym but `ERASED`, which landing drops with its row.

        Args:
            member_iso2: Issuer of the identifiers. The same text from another member is another person.
            purpose: Kind of party, from `purpose_of`.
            identifiers: Best given once each: the cost is per element.
        """
        keyed = _Keyed(_derive(self.__master, f"member={member_iso2}", f"purpose={purpose}"))
        if not self.__erasures.names(member_iso2, purpose):
            return [keyed.pseudonym(identifier) for identifier in identifiers]
        return [
            ERASED
            if identifier is not None and self.__erasures.holds(member_iso2, purpose, identifier)
            else keyed.pseudonym(identifier)
            for identifier in identifiers
        ]

    def before_erasures(self) -> Pseudonymiser:
        """Return the same key without the list, for finding what an erased subject has on land."""
        return Pseudonymiser(self.__master)

    def knows_erased(self, member_iso2: str) -> bool:
        """Whether any subject of the member was erased."""
        return bool(self.__erasures.digest(member_iso2))

    def identity(self, member_iso2: str) -> str:
        """Return what decides the member's pseudonyms: the key's id, and the list of erased subjects."""
        erased = self.__erasures.digest(member_iso2)
        return f"{self.key_id}-{erased}" if erased else self.key_id


def party_fields(dataset: DatasetName) -> dict[str, str]:
    """Return the pseudonymised fields of a dataset with their kind of party."""
    return {
        field.name: purpose_of(field.name) for field in load_dataset(dataset).fields if field.is_pseudonymised
    }


def parties() -> list[str]:
    """Return every kind of party that a canonical field names, sorted."""
    return sorted({party for dataset in DATASETS for party in party_fields(dataset).values()})


def purpose_of(field_name: str) -> str:
    """Return the kind of party that a canonical field names: `inspector_final_id` is `inspector`.

    The first and the last inspector share a purpose, so that a reassignment can be seen.
    """
    return _ROLE_AND_TIME.sub("", field_name)


def key_is_given(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the key comes from the environment and is not ours to change."""
    return bool((os.environ if environment is None else environment).get(KEY_VARIABLE))


def load_pseudonymiser(home: Home, environment: Mapping[str, str] | None = None) -> Pseudonymiser:
    """Return the pseudonymiser of this installation; generate its key file where there is none.

    Args:
        home: Where the key file is kept, mode 600.
        environment: Defaults to the process environment. `TIDEWAITER_PSEUDONYM_KEY` wins over the file.

    Raises:
        UsageProblem: The key is too short or not hexadecimal.
        TidewaiterError: The key file can be read by others, or cannot be written; the key of the
            erasure lists is gone.
    """
    environment = os.environ if environment is None else environment
    remove_expired_keys(home, datetime.now(UTC).replace(tzinfo=None))
    key = load_key(home, KEY_FILE, KEY_VARIABLE, environment)
    return Pseudonymiser(key, load_erasures(home, environment))


def _derive(key: bytes, *context: str) -> bytes:
    message = "\x1f".join((_CONTEXT, *context)).encode()
    return hmac.digest(key, message, hashlib.sha256)


class _Keyed:
    """HMAC-SHA-256 under one key, in half the time of `hmac`: copies of two hashes that have read the key.

    RFC 2104: H(key xor opad, H(key xor ipad, text)). A test holds it to `hmac.digest`.
    """

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")  # a derived key is shorter than a block
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def pseudonym(self, identifier: str | None) -> str | None:
        if identifier is None or not (normalised := normalise_identifier(identifier)):
            return None
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(normalised.encode())
        outer.update(inner.digest())
        return outer.hexdigest()[:PSEUDONYM_HEX_DIGITS]
