"""Credentials: looked up by name when they are needed, and kept out of everything that is written."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote, quote_plus, unquote, urlsplit

from tidewaiter.contracts.strict import Credential
from tidewaiter.errors import Problem, UsageProblem

_HIDDEN = "***"


class Secrets:
    """Looks credentials up and remembers them, so that a library's message can be cleaned of them."""

    def __init__(self, where: str, environment: Mapping[str, str] | None = None) -> None:
        self._where = where
        self._environment = os.environ if environment is None else environment
        self._values: set[str] = set()

    def __repr__(self) -> str:
        return f"Secrets({self._where!r})"

    def value(self, credential: Credential) -> str:
        """Return the secret that a credential names.

        Raises:
            UsageProblem: There is no such environment variable or block, or it is empty.
        """
        if credential.env is not None:
            found = self._environment.get(credential.env, "")
        else:
            found = self._from_block(str(credential.block))
        if not found:
            raise UsageProblem(
                Problem(
                    f"the {credential} is not set",
                    where=self._where,
                    next_step=f"set {credential.env}"
                    if credential.env
                    else f"create the Prefect Secret block {credential.block}",
                )
            )
        self.remember(found)
        return found

    def optional(self, credential: Credential | None) -> str | None:
        """Return the secret, or None where the contract names no credential."""
        return None if credential is None else self.value(credential)

    def basic_authorization(self, username: Credential, password: Credential) -> str:
        """Return the value of an Authorization header (RFC 7617)."""
        pair = f"{self.value(username)}:{self.value(password)}"
        encoded = base64.b64encode(pair.encode()).decode()
        self.remember(encoded)
        return f"Basic {encoded}"

    def remember(self, value: str) -> None:
        """Have `clean` hide a value, in the spellings that it takes in URLs."""
        self._values |= {value, quote(value, safe=""), quote_plus(value), unquote(value)}
        if "://" in value and (password := urlsplit(value).password):
            self.remember(password)

    def clean(self, text: object) -> str:
        """Return the first line of a library's message without any secret looked up so far."""
        line = next((line.strip() for line in str(text).splitlines() if line.strip()), "")
        for value in sorted(self._values, key=len, reverse=True):
            line = line.replace(value, _HIDDEN)
        return line

    def _from_block(self, name: str) -> str:
        # Prefect takes seconds to import and may start a server: only for those who use blocks.
        from prefect.blocks.system import Secret

        try:
            block = Secret.load(name, _sync=True)  # type: ignore[call-arg]
        except ValueError:
            return ""
        return str(cast(Secret[str], block).get())
