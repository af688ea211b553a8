"""What every part of a contract is made of: strict models, paths that stay inside, names of secrets."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

VariableName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]

_KIND = "kind"
_SECRET_WORDS = re.compile(
    r"(?i)token|secret|passw|pwd|(api|access|subscription)[-_]?key|signature|credential|^sig$|auth|^cookie$"
)


class Strict(BaseModel):
    """Frozen, and strict about names: an unknown key is an error."""

    # A value may be a credential that someone put in the wrong place; an error must not repeat it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def said(value: Any) -> Any:
    """Return what a part of a contract says, for a fingerprint: fields at their defaults are left out.

    So a field that a later version adds changes no fingerprint. The kind stays, because it decides what
    the other defaults mean. Who changes a default changes what contracts mean, and raises
    `_LANDING_VERSION` of `landing.receipts`.
    """
    if isinstance(value, BaseModel):
        return {
            name: said(found)
            for name, field in type(value).model_fields.items()
            if (found := getattr(value, name)) != field.get_default(call_default_factory=True)
            or name == _KIND
        }
    if isinstance(value, dict):
        return {key: said(found) for key, found in value.items()}
    return [said(found) for found in value] if isinstance(value, tuple) else value


def inside(path: str) -> str:
    """Return a relative path that stays below its folder, or raise: contracts are passed around."""
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"'{path}' must be a relative path without '..'")
    return path


class Credential(Strict):
    """The name of a secret: exactly one of the two. The secret itself is never in a contract.

    Attributes:
        env: Name of the environment variable that holds it.
        block: Name of the Prefect Secret block that holds it.
    """

    env: VariableName | None = None
    block: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]*$")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.block is None):
            raise ValueError("give exactly one of env, block")
        return self

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env else f"Prefect Secret block {self.block}"


def public_url(url: str, schemes: tuple[str, ...]) -> str:
    """Return the URL, or raise without repeating it: what is wrong with it may be the secret in it."""
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"a URL must begin with {' or '.join(f'{s}://' for s in schemes)} and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL must not hold a user name or password: name a credential")
    secret = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if may_hold_a_secret(name)]
    if secret:
        raise ValueError(f"'{secret[0]}' in a URL may be a credential: name one under secret_headers")
    return url


def may_hold_a_secret(name: str) -> bool:
    """Whether a header or query parameter of this name commonly holds a credential."""
    return bool(_SECRET_WORDS.search(name))
